"""hwnas targets list, show, validate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwnas.cli import main
from hwnas.target import data_folder, names

Answer, Refusal = Callable[..., Any], Callable[..., str]


def test_list_is_what_targets_alone_prints(answer: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    assert [t["name"] for t in answer("targets", "list")] == names()
    assert answer("targets") == answer("targets", "list")
    assert main(["targets", "list"]) == 0
    listed = capsys.readouterr().out
    assert main(["targets"]) == 0
    assert capsys.readouterr().out == listed
    assert "jetson-orin-nano" in listed


def test_show_prints_figures_with_their_sources(answer: Answer, refusal: Refusal,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    shown = answer("targets", "show", "jetson")
    assert shown["name"] == "jetson-orin-nano"
    assert shown["hardware"]["bandwidth_gbs"] == 68
    assert Path(shown["path"]) == data_folder("targets") / "jetson-orin-nano.yaml"
    assert main(["targets", "show", "jetson"]) == 0
    text = capsys.readouterr().out
    assert "bandwidth_gbs" in text
    assert "Data Sheet" in text
    assert "jetson-jp6" in text
    assert main(["targets", "show", "local"]) == 0
    assert "Did you mean" in refusal(2, "targets", "show", "jetsn")


def test_validate_checks_the_files_given_or_all(tmp_path: Path, refusal: Refusal,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "validate"]) == 0
    assert capsys.readouterr().out.count("ok  ") == len(names())
    good, bad, absent = tmp_path / "good.yaml", tmp_path / "bad.yaml", tmp_path / "absent.yaml"
    good.write_text("name: good\n", encoding="utf-8")
    bad.write_text("name: bad\nbatch: 0\n", encoding="utf-8")
    assert main(["targets", "validate", str(good)]) == 0
    assert "good/onnxruntime" in capsys.readouterr().out
    said = refusal(2, "targets", "validate", good, bad, absent)
    assert "2 of 3 files are not targets" in said
    assert "bad.yaml: batch" in said
    assert "absent.yaml" in said

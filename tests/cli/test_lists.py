"""targets, spaces, tables, doctor, profile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwnas.cli import main
from hwnas.latency import Table
from hwnas.space import SPACES
from hwnas.target import names

Answer, Refusal = Callable[..., Any], Callable[..., str]


def test_targets(answer: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    assert [t["name"] for t in answer("targets")] == names()
    assert main(["targets"]) == 0
    assert "onnxruntime" in capsys.readouterr().out


def test_spaces(answer: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    found = {s["name"]: s for s in answer("spaces")}
    assert set(found) == set(SPACES)
    assert (found["fbnet"]["choices"], found["fbnet"]["ops"]) == (22, 9)
    assert found["ofa"]["flops"][0] < found["ofa"]["flops"][1]
    assert main(["spaces"]) == 0
    assert "proxyless" in capsys.readouterr().out


def test_tables_and_a_broken_one(made: Path, tables: Path, tmp_path: Path, answer: Answer,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    (mine,) = [t for t in answer("tables", "--tables", tables) if not t["shipped"]]
    assert mine["target"] == "local"
    assert mine["entries"] == len(Table.read(Path(mine["path"])).entries)
    (tmp_path / "bad.jsonl").write_text("{}\n", encoding="utf-8")
    assert main(["tables", "--tables", str(tmp_path)]) == 0
    assert "broken" in capsys.readouterr().out
    (broken,) = [t for t in answer("tables", "--tables", tmp_path) if not t["shipped"]]
    assert "not a latency table" in broken["error"]


def test_a_table_shows_its_entries(made: Path, answer: Answer, refusal: Refusal, tmp_path: Path,
                                   capsys: pytest.CaptureFixture[str]) -> None:
    stored = Table.read(made / "table.jsonl").entries
    assert {e["signature"] for e in answer("tables", "show", made / "table.jsonl")["entries"]} == set(stored)
    assert main(["tables", "show", str(made / "table.jsonl")]) == 0
    assert next(iter(stored)) in capsys.readouterr().out
    assert "no such file" in refusal(2, "tables", "show", tmp_path / "none.jsonl")


def test_doctor(answer: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HWNAS_TABLES", str(tmp_path / "tables"))
    found = answer("doctor")
    assert found["ok"]
    assert found["runtimes"]["onnxruntime"]["runs"]
    assert found["tables_folder"] == str(tmp_path / "tables")
    assert found["tables_writable"]
    assert not (tmp_path / "tables").exists(), "a doctor only looks"
    assert main(["doctor"]) == 0
    assert "ready" in capsys.readouterr().out


def test_profile_measures_what_lacks_and_nothing_twice(tmp_path: Path, answer: Answer,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    words = ("profile", "--imgsz", "8", "--depth", "1", "--width-mult", "0.5", "--classes", "4", "--channels", "1",
             "--tables", tmp_path, "--max-seconds", "3")
    first = answer(*words)
    assert first["measured"] > 0
    assert first["held_out"]["networks"] > 0
    assert Path(first["table"]).is_relative_to(tmp_path)
    assert first["smallest_ms"] < first["largest_ms"]
    assert answer(*words)["measured"] == 0
    assert main([str(word) for word in words]) == 0
    assert "held out" in capsys.readouterr().out


def test_profile_refuses_what_the_data_decides(refusal: Refusal, tmp_path: Path) -> None:
    refusal(2, "profile", "--data", "digits", "--classes", "4", "--tables", tmp_path)
    refusal(2, "profile", "--imgsz", "4", "--tables", tmp_path)
    assert not any(tmp_path.iterdir())

"""hwnas tables list, show, diff, merge, export, import."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwnas.cli import main
from hwnas.latency import Entry, Table, table_path
from hwnas.target import load

Answer, Refusal = Callable[..., Any], Callable[..., str]
A, B = "conv k3 e1 s1 8-8 8x8 relu", "conv k5 e1 s1 8-8 8x8 relu"
KEY = "expanded_conv-input:56x56x24-output:28x28x40-expand:6-kernel:5-stride:2-idskip:{}"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HWNAS_TABLES", str(tmp_path / "tables"))
    return tmp_path / "tables"


def make(path: Path, times: dict[str, float], cpu: str = "x") -> Path:
    table = Table.open(path, load("local"), {"cpu": cpu, "runtime_version": "1.0"})
    table.add(Entry(s, t, t, t, 8, "2026") for s, t in times.items())
    return path


def test_list_shows_yours_and_shipped(folder: Path, answer: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    path = make(table_path(folder, load("local")), {A: 1.0})
    (mine,) = [t for t in answer("tables", "list") if not t["shipped"]]
    assert (mine["path"], mine["entries"]) == (str(path), 1)
    assert answer("tables", "list", "--tables", folder) == answer("tables")
    assert main(["tables", "list"]) == 0
    assert "yours" in capsys.readouterr().out


def test_an_empty_folder_says_what_to_do(capsys: pytest.CaptureFixture[str], answer: Answer) -> None:
    if not answer("tables"):
        assert main(["tables"]) == 0
        assert "hwnas profile" in capsys.readouterr().out


def test_flags_before_the_command_are_refused_not_ignored(refusal: Refusal, tmp_path: Path) -> None:
    message = refusal(2, "tables", "--tables", tmp_path, "list")
    assert "behind the command: hwnas tables list" in message


def test_diff(tmp_path: Path, answer: Answer, refusal: Refusal, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = make(tmp_path / "1.jsonl", {A: 1.0, B: 2.0}), make(tmp_path / "2.jsonl", {A: 1.5}, "y")
    found = answer("tables", "diff", one, two)
    assert found["ratios"] == {A: 1.5}
    assert found["quantiles"]["median"] == 1.5
    assert found["only_first"] == [B]
    assert found["devices"] == ["cpu: x / y"]
    assert main(["tables", "diff", str(one), str(two)]) == 0
    printed = capsys.readouterr().out
    assert "cpu: x / y" in printed
    assert "1.500" in printed
    assert "no such file" in refusal(2, "tables", "diff", one, tmp_path / "none.jsonl")


def test_merge(tmp_path: Path, answer: Answer, refusal: Refusal, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = make(tmp_path / "1.jsonl", {A: 1.0}), make(tmp_path / "2.jsonl", {B: 2.0})
    other = make(tmp_path / "3.jsonl", {B: 3.0}, "y")
    assert answer("tables", "merge", one, two, "--out", tmp_path / "new.jsonl")["entries"] == 2
    assert "another device" in refusal(2, "tables", "merge", one, other)
    assert main(["tables", "merge", str(one), str(other), "--force"]) == 0
    said = capsys.readouterr()
    assert "2 entries from 2 tables" in said.out
    assert "warning: " in said.err
    assert set(Table.read(one).entries) == {A, B}
    refusal(2, "tables", "merge", one)


def test_export_and_import_again(tmp_path: Path, folder: Path, answer: Answer, refusal: Refusal) -> None:
    path = make(tmp_path / "1.jsonl", {A: 1.0, B: 2.0})
    assert answer("tables", "export", path, "--out", tmp_path / "t.csv")["rows"] == 2
    found = answer("tables", "import", tmp_path / "t.csv", "--target", "local")
    assert found["table"] == str(table_path(folder, load("local")))
    assert Table.read(Path(found["table"])).entries == Table.read(path).entries
    assert "assumed" not in Table.read(Path(found["table"])).header["provenance"][-1]  # such rows have it all
    assert ".csv or .parquet" in refusal(2, "tables", "export", path, "--out", tmp_path / "t.xls")


def test_import_says_what_is_left_out(tmp_path: Path, answer: Answer, refusal: Refusal,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mobile_trim.json"
    file.write_text(json.dumps({KEY.format(0): {"mean": 2.0}, KEY.format(1): {"mean": 3.0}}), encoding="utf-8")
    (tmp_path / "phone.yaml").write_text("name: phone\n", encoding="utf-8")
    words = ["tables", "import", str(file), "--target", str(tmp_path / "phone.yaml")]
    found = answer(*words)
    assert (found["format"], found["entries"]) == ("proxyless", 1)
    assert found["unmapped"][0]["key"] == KEY.format(1)
    assert Table.read(Path(found["table"])).source == "imported"
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "idskip:1" in printed
    assert "imported from mobile_trim.json (proxyless)" in printed
    assert "fp32, batch 1, 1 threads, as target phone has them" in " ".join(printed.split())
    assert main(["tables", "show", found["table"]]) == 0
    assert "imported" in capsys.readouterr().out
    assert "unknown target" in refusal(2, "tables", "import", file, "--target", "nothing-like-it")
    file.write_text("{", encoding="utf-8")
    assert "not valid JSON" in refusal(2, *words)


def test_publish_and_fetch(tmp_path: Path, folder: Path, answer: Answer, refusal: Refusal,
                           capsys: pytest.CaptureFixture[str]) -> None:
    path, zipped = make(tmp_path / "1.jsonl", {A: 1.0}), tmp_path / "shared.zip"
    assert "--as NAME" in refusal(2, "tables", "publish", zipped, path)
    made = answer("tables", "publish", zipped, path, "--as", "my-board", "--note", "with a fan")
    assert answer("tables", "fetch", zipped, "--list")[0]["note"] == "with a fan"
    assert "was changed on the way" in refusal(2, "tables", "fetch", zipped, "--sha256", "0" * 64)
    (found,) = answer("tables", "fetch", zipped, "--sha256", made["sha256"])
    assert (found["outcome"], Path(found["table"]).parent.name) == ("fetched", "my-board")
    assert main(["tables", "fetch", str(zipped)]) == 0
    assert "there already" in capsys.readouterr().out
    make(path, {A: 2.0})
    assert main(["tables", "publish", str(zipped), str(path), "--as", "my-board", "--force"]) == 0
    assert "hwnas tables fetch shared.zip --sha256" in " ".join(capsys.readouterr().out.split())
    assert main(["tables", "fetch", str(zipped)]) == 0
    assert "--force replaces them" in " ".join(capsys.readouterr().out.split())
    assert main(["tables", "show", found["table"]]) == 0
    assert "fetched from" in capsys.readouterr().out

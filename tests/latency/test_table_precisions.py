"""Tables of several precisions and of changes between them: what a line means, and what reads, writes and merges it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hwnas.cli import main
from hwnas.errors import InputError, MissingEntry, TableError
from hwnas.latency import Calibration, Entry, LatencyModel, Table, table_path
from hwnas.latency.compare import compare
from hwnas.latency.exports import export
from hwnas.latency.header import make_header
from hwnas.latency.imports import import_table, read_published
from hwnas.latency.merge import merge
from hwnas.space import SpaceConfig, build
from hwnas.target import load

REPOSITORY = Path(__file__).parents[2]
DEVICE: dict[str, Any] = {"cpu": "test", "runtime": "onnxruntime", "runtime_version": "1.0"}
A, B, CHANGE = "conv k1 e1 s1 8-8 8x8 relu", "conv k3 e1 s1 8-8 8x8 relu", "change fp32>int8 8x8x8"


def entry(signature: str, ms: float, precision: str = "", runs: int = 8) -> Entry:
    return Entry(signature, ms, ms, ms, runs, "2026-01-01", precision)


def make(path: Path, *entries: Entry, precision: str = "fp32") -> Table:
    table = Table.open(path, load("local", precision=precision), DEVICE)
    table.add(entries)
    return table


def schema_of(table: Table) -> int:
    return int(json.loads(table.path.read_text().splitlines()[0])["hwnas_table"])


OLD = [path for folder in ("latency_tables", "tests/files_of_0_1") for path in (REPOSITORY / folder).rglob("*.jsonl")
       if path.read_text().startswith('{"hwnas_table"')]


@pytest.mark.parametrize("path", OLD, ids=lambda path: "-".join(path.parts[-2:]))
def test_a_table_of_one_precision_is_written_as_it_was(path: Path) -> None:
    """Every line to the byte, but for lines that a later one of the same signature replaces."""
    table, lines = Table.read(path), path.read_text().splitlines()
    last = {(json.loads(line).get("signature") or json.dumps(json.loads(line))): line for line in lines[1:]}
    written = [json.dumps(line) for line in table.to_lines()]
    assert written[0] == lines[0]
    assert sorted(written[1:]) == sorted(last.values())
    assert table.precisions == (table.header["precision"],)
    assert not table.changes


def test_an_entry_is_of_a_signature_and_a_precision(tmp_path: Path) -> None:
    table = make(tmp_path / "t.jsonl", entry(A, 1), entry(A, 0.5, "int8"), entry(CHANGE, 0.1), entry(B, 2, "fp32"))
    again = Table.read(table.path)
    for one in (table, again):
        assert {s: e.median_ms for s, e in one.entries.items()} == {A: 1, B: 2}
        assert {s: e.median_ms for s, e in one.entries_in("int8").items()} == {A: 0.5}
        assert {s: e.median_ms for s, e in one.changes.items()} == {CHANGE: 0.1}
        assert list(one.every_entry) == [A, f"{A} in int8", CHANGE, B]
        assert one.precisions == ("fp32", "int8")
        assert [one.lookup(A, p).median_ms for p in (None, "int8", "fp32")] == [1, 0.5, 1]
        assert one.missing([A, B], precision="int8") == [B]
        with pytest.raises(MissingEntry, match="--precision int8"):
            one.lookup(B, "int8")
    assert again.content_hash == table.content_hash


def test_the_last_line_of_a_signature_in_a_precision_wins(tmp_path: Path) -> None:
    table = make(tmp_path / "t.jsonl", entry(A, 1), entry(A, 0.5, "int8"))
    table.add([entry(A, 0.4, "int8")])
    table.add([entry(A, 2, "fp32")])
    again = Table.read(table.path)
    assert {label: e.median_ms for label, e in again.every_entry.items()} == {A: 2, f"{A} in int8": 0.4}


@pytest.mark.parametrize("added", [entry(A, 1, "int8"), entry(CHANGE, 1)], ids=["precision", "change"])
def test_readers_of_schema_1_never_take_it_for_the_headers(tmp_path: Path, added: Entry) -> None:
    table, other = make(tmp_path / "t.jsonl", entry(A, 1)), Table.open(tmp_path / "t.jsonl", load("local"), DEVICE)
    assert schema_of(table) == 1
    before = table.path.read_text().splitlines()
    table.add([added])
    assert schema_of(table) == table.header["hwnas_table"] == 2
    assert table.path.read_text().splitlines()[1:-1] == before[1:]
    other.add([entry(B, 3)])  # a writer that read it before
    other.add([entry(B, 4, "fp16")])
    again = Table.read(table.path, load("local"))
    assert again.header["hwnas_table"] == 2
    assert again.lookup(B, "fp16").median_ms == 4
    assert len(again.every_entry) == 4
    assert again.to_lines()[0]["hwnas_table"] == 2


def test_calibrations_are_of_a_space_in_a_precision(tmp_path: Path) -> None:
    table = make(tmp_path / "t.jsonl", entry(A, 1))
    table.add_calibration("s", Calibration("scale", 1.1))
    assert schema_of(table) == 1
    table.add_calibration("s", Calibration("scale", 1.2), "int8")
    table.add_calibration("s", Calibration("scale", 1.3), "fp32")
    again = Table.read(table.path)
    assert schema_of(again) == 2
    assert [again.calibration("s", p).a for p in (None, "fp32", "int8")] == [1.3, 1.3, 1.2]  # type: ignore[union-attr]
    assert again.calibration("s", "fp16") is None
    assert set(again.calibration_records) == {"s"}
    assert len(again.every_calibration) == 2


@pytest.mark.parametrize(("line", "says"), [
    ({**entry(A, 1).to_json(), "precision": "fp8"}, "precision"),
    ({**entry(A, 1).to_json(), "precision": 8}, "precision"),
    ({**entry(CHANGE, 1).to_json(), "precision": "int8"}, "leave out precision"),
    (entry("change fp32>fp32 8x8x8", 1).to_json(), "two different"),
    (entry("change fp32>int8 8x", 1).to_json(), "change"),
    ({"calibration": {**Calibration().to_json(), "space": "s", "precision": "int4"}}, "precision")])
def test_a_line_that_cannot_be_is_named(tmp_path: Path, line: dict[str, Any], says: str) -> None:
    table = make(tmp_path / "t.jsonl", entry(A, 1, "int8"))
    with table.path.open("a") as file:
        file.write(json.dumps(line) + "\n")
    with pytest.raises(TableError, match=rf"line 3: .*{says}.*repair or delete"):
        Table.read(table.path)


def test_an_entry_that_cannot_be_is_not_added(tmp_path: Path) -> None:
    table = make(tmp_path / "t.jsonl", entry(A, 1))
    before = table.path.read_bytes()
    with pytest.raises(InputError, match="leave out precision"):
        table.add([entry(B, 1, "int8"), entry(CHANGE, 1, "int8")])
    assert table.path.read_bytes() == before


def test_tables_of_two_precisions_merge_into_one_of_both(tmp_path: Path) -> None:
    one = make(tmp_path / "1.jsonl", entry(A, 1), entry(CHANGE, 0.1, runs=2))
    two = make(tmp_path / "2.jsonl", entry(A, 0.5), entry(A, 1.5, "fp32", runs=99), entry(CHANGE, 0.2, runs=4),
               precision="int8")
    one.add_calibration("s", Calibration("scale", 1.1))
    two.add_calibration("s", Calibration("scale", 1.2))
    table, warnings = merge([one.path, two.path], tmp_path / "out.jsonl")
    assert warnings == []
    again = Table.read(table.path, load("local"))
    assert {label: e.median_ms for label, e in again.every_entry.items()} == {A: 1.5, f"{A} in int8": 0.5, CHANGE: 0.2}
    assert [again.calibration("s", p).a for p in ("fp32", "int8")] == [1.1, 1.2]  # type: ignore[union-attr]
    assert schema_of(again) == 2
    other, _ = merge([two.path, one.path], tmp_path / "other.jsonl")
    assert {label: e.median_ms for label, e in other.every_entry.items()} == {A: 0.5, f"{A} in fp32": 1.5, CHANGE: 0.2}


def test_rows_keep_their_precision(tmp_path: Path) -> None:
    table = make(tmp_path / "t.jsonl", entry(A, 1), entry(A, 0.5, "int8"), entry(CHANGE, 0.1))
    for name in ("rows.csv", "rows.parquet"):
        assert export(table, tmp_path / name) == 3
        target = load("local", precision="int8")
        back = import_table(read_published(tmp_path / name), tmp_path / f"{name}.jsonl", target)
        assert {label: e.median_ms for label, e in back.every_entry.items()} == {
            f"{A} in fp32": 1, A: 0.5, CHANGE: 0.1}, "of a table whose own precision is int8"
        assert Table.read(back.path, target).content_hash == back.content_hash


def test_two_tables_of_several_precisions_are_compared(tmp_path: Path) -> None:
    one = make(tmp_path / "1.jsonl", entry(A, 1), entry(A, 0.5, "int8"), entry(CHANGE, 0.1))
    two = make(tmp_path / "2.jsonl", entry(A, 2), entry(A, 2, "int8"), entry(B, 1, "int8"))
    found = compare(one, two)
    assert found.ratios == {A: 2, f"{A} in int8": 4}
    assert (found.only_first, found.only_second) == ((CHANGE,), (f"{B} in int8",))


def test_the_command_shows_and_lists_what_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = load("local")
    path = table_path(tmp_path, target)
    make(path, entry(A, 1), entry(A, 0.5, "int8"), entry(CHANGE, 0.1))
    assert main(["tables", "show", str(path)]) == 0
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("fp32, int8", f"{A} in int8", CHANGE))
    assert main(["tables", "show", str(path), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [e.get("precision") for e in data["entries"]] == [None, "int8", None]
    assert main(["tables", "list", "--tables", str(tmp_path), "--json"]) == 0
    mine = next(t for t in json.loads(capsys.readouterr().out) if not t["shipped"])
    assert (mine["precision"], mine["precisions"], mine["entries"]) == ("fp32", ["fp32", "int8"], 3)


def test_a_model_is_of_one_of_the_precisions(tmp_path: Path) -> None:
    space = build(SpaceConfig("mobile", 16, 3, 10, depth=1))
    header = make_header(load("local"), DEVICE, "measured")
    both = [entry(s, 0.1 * (1 + i), p) for p, i in (("", 1), ("int8", 0)) for s in space.signatures]
    record = {**Calibration("scale", 1.5).to_json(), "space": space.fingerprint, "precision": "int8"}
    table = Table.assemble(tmp_path / "t.jsonl", header, both, [record])
    plain, int8 = LatencyModel.from_table(table, space), LatencyModel.from_table(table, space, "int8")
    assert (plain.precision, int8.precision) == ("fp32", "int8")
    assert (plain.calibration.a, int8.calibration.a) == (1.0, 1.5)
    assert set(int8.entries_ms.values()) == {0.1}
    with pytest.raises(MissingEntry, match="--precision fp16"):
        LatencyModel.from_table(table, space, "fp16")

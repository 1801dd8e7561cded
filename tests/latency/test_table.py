import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from hwnas.errors import InputError, MissingEntry, TableError
from hwnas.latency import Calibration, Entry, Table, table_path
from hwnas.latency.exports import rows
from hwnas.runtime import Fingerprint
from hwnas.target import Target, load

DEVICE = {"cpu": "test", "flags": [], "runtime_version": "1.0"}
A, B = "mbconv k3 e3 s1 16-16 8x8 relu", "conv k3 e1 s2 3-16 16x16 relu"


def entry(signature: str = A, median_ms: float = 0.1, runs: int = 32) -> Entry:
    return Entry(signature, median_ms, 0.9 * median_ms, 1.2 * median_ms, runs, "2020-01-01T00:00:00+00:00")


@pytest.fixture
def target() -> Target:
    return load("local")


@pytest.fixture
def table(tmp_path: Path, target: Target) -> Table:
    return Table.open(table_path(tmp_path, target), target, DEVICE)


def test_path_says_what_makes_numbers_differ(target: Target) -> None:
    assert table_path(Path("x"), target) == Path("x/local/onnxruntime-fp32-b1-t1.jsonl")


def test_header_holds_the_provenance(table: Table) -> None:
    header = json.loads(table.path.read_text().splitlines()[0])
    assert header["hwnas_table"] == 1
    assert header["runtime"] == {"name": "onnxruntime", "version": "1.0"}
    assert (header["target"], header["precision"], header["batch"], header["threads"]) == ("local", "fp32", 1, 1)
    assert header["device"] == DEVICE
    assert header["source"] == "measured"
    assert {"created", "tool_version"} <= set(header)


def test_what_is_added_is_read_back_and_the_last_wins(table: Table, target: Target) -> None:
    table.add([entry(A, 0.1), entry(B, 0.2)])
    table.add([entry(A, 0.3)])
    again = Table.read(table.path, target)
    assert again.entries == table.entries
    assert again.lookup(A).median_ms == 0.3
    assert len(table.path.read_text().splitlines()) == 4


def test_opening_twice_keeps_the_content(table: Table, target: Target) -> None:
    table.add([entry()])
    assert Table.open(table.path, target, DEVICE).lookup(A).to_json() == entry().to_json()


def test_missing(table: Table) -> None:
    table.add([entry(A, runs=4)])
    assert table.missing([B, A, B]) == [B]
    assert table.missing([B, A], min_runs=5) == [B, A]
    with pytest.raises(MissingEntry, match="hwnas profile --target local"):
        table.lookup(B)
    with pytest.raises(MissingEntry, match="1 more"):
        table.require([B, A, "head k1 e1 s1 96-10 4x4 relu m256"])
    table.require([A])


def test_hash_follows_the_content_not_the_history(table: Table, tmp_path: Path, target: Target) -> None:
    other = Table.open(tmp_path / "other.jsonl", target, DEVICE)
    table.add([entry(A, 0.5), entry(B), entry(A)])
    other.add([entry(A), entry(B)])
    assert table.content_hash == other.content_hash == Table.read(table.path).content_hash
    other.add([entry(B, 0.21)])
    assert table.content_hash != other.content_hash


def test_calibration_is_kept_per_space(table: Table) -> None:
    table.add_calibration("space1", Calibration("scale", 1.1))
    table.add_calibration("space1", Calibration("scale", 1.2))
    before = table.content_hash
    again = Table.read(table.path)
    assert again.calibration("space1") == Calibration("scale", 1.2)
    assert again.calibration("space2") is None
    assert again.content_hash == before


def test_torn_last_line_is_left_out_and_cut_off(table: Table, target: Target) -> None:
    table.add([entry(A)])
    with table.path.open("a") as file:
        file.write('{"signature": "mbco')
    again = Table.open(table.path, target, DEVICE)
    assert set(again.entries) == {A}
    again.add([entry(B)])
    assert set(Table.read(table.path).entries) == {A, B}


@pytest.mark.parametrize("line", [
    "{broken", "[1]", '{"signature": "mbconv k3"}', json.dumps({**entry().to_json(), "signature": "nonsense"}),
    json.dumps({**entry().to_json(), "median_ms": -1}), json.dumps({**entry().to_json(), "median_ms": "x"}),
    '{"calibration": {"a": "x", "space": "s"}}', '{"calibration": {"a": 1.0}}',
])
def test_broken_line_is_named(table: Table, line: str) -> None:
    table.add([entry(A)])
    with table.path.open("a") as file:
        file.write(line + "\n")
    table.add([entry(B)])
    with pytest.raises(TableError, match=r"line 3.*repair or delete"):
        Table.read(table.path)


@pytest.mark.parametrize("first", ['{"hwnas_table": 3}', '{"hwnas_table": true}', "[]", '{"a": 1}', "3"])
def test_other_schema(tmp_path: Path, target: Target, first: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(first + "\n")
    with pytest.raises(TableError, match=r"t\.jsonl, line 1: not a latency table of schema 1 or 2.*hwnas profile"):
        Table.open(path, target, DEVICE)


@pytest.mark.parametrize("change", [{"batch": 4}, {"threads": 2}, {"name": "other"}])
def test_table_of_another_target(table: Table, target: Target, change: dict[str, object]) -> None:
    with pytest.raises(TableError, match="is not the table of"):
        Table.open(table.path, target.model_copy(update=change), DEVICE)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"no such file.*hwnas profile"):
        Table.read(tmp_path / "none.jsonl")


def test_folder_that_cannot_be_written(tmp_path: Path, target: Target) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        Table.open(tmp_path / "file" / "t.jsonl", target, DEVICE)


def test_what_older_versions_wrote_is_read(tmp_path: Path, target: Target) -> None:
    """Version 0.1.0: no cores, the runtime once as a bare name, a calibration without its later fields."""
    header = {"hwnas_table": 1, "target": "local", "runtime": {"name": "onnxruntime", "version": "1.20"},
              "precision": "fp32", "batch": 1, "threads": 1, "device": {"cpu": "x", "cores": 4}, "source": "measured",
              "created": "2026-01-01T00:00:00+00:00", "tool_version": "0.1.0"}
    calibration = {"form": "scale", "a": 1.1, "b_ms": 0.0, "c_ms_per_mb": 0.0, "log_spread": 0.05, "networks": 10,
                   "loo_mape": 2.0, "held_out": {}, "space": "s", "when": "2026-01-01T00:00:00+00:00"}
    odd = {**entry(A).to_json(), "p10_ms": -0.01}  # a block's cost is a difference, its quantiles can fall below 0
    for runtime in (header["runtime"], "onnxruntime"):
        path = tmp_path / "old.jsonl"
        lines = ({**header, "runtime": runtime}, odd, {"calibration": calibration})
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        table = Table.read(path, target)
        assert table.lookup(A).p10_ms == -0.01
        found = table.calibration("s")
        assert found is not None
        assert (found.a, found.networks) == (1.1, 10)
        assert table.differs_from({"cpu": "x", "cores": 4, "runtime_version": "1.31", "python": "3.12"}) == []
        Table.open(path, target, DEVICE).add([entry(B)])
        assert set(Table.read(path, target).entries) == {A, B}


def test_pinned_cores_make_another_table(tmp_path: Path, target: Target) -> None:
    pinned = target.model_copy(update={"cores": (4, 5)})
    path = Table.open(tmp_path / "t.jsonl", pinned, DEVICE).path
    assert Table.read(path, pinned).header["cores"] == [4, 5]
    with pytest.raises(TableError, match=r"cores: \[4, 5\] / \[0\]"):
        Table.read(path, target.model_copy(update={"cores": (0,)}))


def test_differs_from(table: Table, tmp_path: Path, target: Target) -> None:
    assert table.differs_from({**DEVICE, "flags": (), "python": "3.12", "new": 1}) == []
    assert table.differs_from({**DEVICE, "cpu": "other", "runtime_version": "2.0"}) == [
        "cpu: test / other", "runtime_version: 1.0 / 2.0"]
    estimated = Table.open(tmp_path / "e.jsonl", target, DEVICE, source="estimated")
    assert estimated.differs_from(DEVICE) == ["source: estimated / measured"]


def test_two_rooms_have_one_rule_for_the_same_device(tmp_path: Path, target: Target) -> None:
    base: dict[str, Any] = {"cpu": "a", "flags": ("avx2",), "cores": 2, "system": "Linux", "machine": "x86_64",
                            "python": "3.11", "runtime": "onnxruntime", "runtime_version": "1.0"}
    full = Fingerprint(**base, **{f.name: "known" for f in fields(Fingerprint) if f.name not in base})
    table = Table.open(tmp_path / "t.jsonl", target, full.to_json())
    verdicts = set()
    for field in fields(Fingerprint):
        for value in (("x",), None):
            other = replace(full, **{field.name: value})
            if None not in (other.cpu, other.flags):
                verdicts.add(bool(full.same_device(other)))
                assert len(table.differs_from(other.to_json())) == len(full.same_device(other)), field.name
    assert verdicts == {True, False}


@pytest.mark.parametrize("gone", ["target", "device", "source", "batch"])
def test_a_header_that_lacks_something(table: Table, gone: str) -> None:
    header = {k: v for k, v in table.header.items() if k != gone}
    table.path.write_text(json.dumps(header) + "\n")
    with pytest.raises(TableError, match=f"line 1: header: {gone}: Field required"):
        Table.read(table.path)


def test_lines_of_a_table_are_the_table(table: Table, tmp_path: Path) -> None:
    table.add([entry(A, 0.5), entry(B), entry(A)])
    table.add_calibration("s", Calibration("scale", 1.1))
    other = tmp_path / "other.jsonl"
    other.write_text("".join(json.dumps(line) + "\n" for line in Table.read(table.path).to_lines()))
    assert Table.read(other).content_hash == table.content_hash
    assert len(other.read_text().splitlines()) == 4


def test_two_writers_lose_nothing(table: Table, target: Target) -> None:
    names = [f"mbconv k3 e{e} s1 16-16 8x8 relu" for e in range(1, 25)]

    def write(part: list[str]) -> None:
        for name in part:
            Table.open(table.path, target, DEVICE).add([entry(name)])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, (names[::2], names[1::2])))
    assert set(Table.read(table.path).entries) == set(names)


def test_latency_imports_neither_torch_nor_a_runtime() -> None:
    code = "import sys, hwnas.latency; sys.exit(any(m in sys.modules for m in ('torch', 'onnx', 'onnxruntime')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_table_has_one_precision(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="a table has one precision, and the target is of several"):
        Table.open(tmp_path / "table.jsonl", load("local", precision="mixed"), {})
    assert not (tmp_path / "table.jsonl").exists()


UNIT = "unit 3x16x16>8x16x16 0123456789ab"


def test_units_of_networks_stand_beside_ops_and_change_nothing_of_them(table: Table, target: Target) -> None:
    table.add([entry(A)])
    before = table.content_hash
    table.add([entry(UNIT, 0.5), replace(entry(UNIT, 0.3), precision="int8")])
    again = Table.read(table.path, target)
    assert (set(again.entries), again.entries_in("int8"), again.precisions) == ({A}, {}, ("fp32",))
    assert again.content_hash == before  # of what predicts architectures
    assert again.units_in()[UNIT].median_ms == 0.5
    assert again.units_in("int8")[UNIT].median_ms == 0.3
    assert again.header["hwnas_table"] == 2
    assert [row["kind"] for row in rows(again)] == ["mbconv", "unit", "unit"]
    assert again.to_lines()[1:] == [e.to_json() for e in again.every_entry.values()]


@pytest.mark.parametrize("signature", ["unit", "unit 3x8x8>8 0123", "unit 3x8x8 0123456789ab", "unit a>b 0123456789ab"])
def test_a_signature_that_is_no_unit(signature: str) -> None:
    with pytest.raises(InputError):
        Entry.from_json(entry(signature).to_json())


def test_the_speed_that_units_were_timed_at_is_kept_and_belongs_to_no_space(table: Table, target: Target) -> None:
    table.add([entry()])
    assert table.units_kernel_ms == 0
    before = table.content_hash
    table.keep_units_kernel(0.17)
    table.keep_units_kernel(0.16)
    again = Table.read(table.path, target)
    assert again.units_kernel_ms == 0.16
    assert (again.content_hash, again.every_calibration, again.calibration_records) == (before, (), {})
    Table.assemble(table.path.with_name("copy.jsonl"), again.header, again.every_entry.values(),
                   again.every_calibration)

"""A table as rows and back."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwnas.errors import InputError, MissingDependency, UsageError
from hwnas.latency import Entry, Table
from hwnas.latency.exports import export
from hwnas.latency.imports import import_table, read_published
from hwnas.latency.imports_rows import read_rows
from hwnas.space import Op, SpaceConfig, build
from hwnas.target import load

OPS = [Op.parse(s) for name in ("mobile", "ofa", "fbnet") for s in build(SpaceConfig(name, 64)).signatures]
MS = st.floats(0, 1e5, allow_nan=False)
ENTRIES = st.lists(
    st.builds(lambda op, ms, runs, when: Entry.from_json(
                  Entry(op.signature, *(sorted(ms)[i] for i in (1, 0, 2)), runs, when).to_json()),
              st.sampled_from(OPS), st.tuples(MS, MS, MS), st.integers(1, 10**6),
              st.sampled_from(["", "2026-01-01T00:00:00"])),
    min_size=1, max_size=8, unique_by=lambda e: e.signature,
)


def make(path: Path, entries: list[Entry]) -> Table:
    path.unlink(missing_ok=True)
    table = Table.open(path, load("local"), {"cpu": 'a "CPU", 3 GHz', "runtime_version": "1.0"})
    table.add(entries)
    return table


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(entries=ENTRIES, suffix=st.sampled_from([".csv", ".parquet"]))
def test_rows_come_back(tmp_path: Path, entries: list[Entry], suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    table, out = make(tmp_path / "t.jsonl", entries), tmp_path / f"out{suffix}"
    assert export(table, out) == len(entries)
    found, said = read_rows(out)
    assert found == [replace(e, precision="fp32") for e in entries]
    assert said == {"device": 'a "CPU", 3 GHz', "runtime": "onnxruntime", "runtime_version": "1.0", "batch": "1",
                    "threads": "1", "source": "measured"}
    (tmp_path / "imported.jsonl").unlink(missing_ok=True)
    made = import_table(read_published(out), tmp_path / "imported.jsonl", load("local"))
    assert made.entries == table.entries
    assert (made.source, made.device) == ("imported", {"cpu": 'a "CPU", 3 GHz'})


def test_columns(tmp_path: Path) -> None:
    table = make(tmp_path / "t.jsonl", [Entry("mbconv k5 e6 s2 24-40 56x56 relu6 se", 1.5, 1.25, 2.0, 8, "2026")])
    export(table, tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["target"], row["runtime"], row["runtime_version"], row["precision"]) == (
        "local", "onnxruntime", "1.0", "fp32")
    assert (row["kind"], row["kernel"], row["expand"], row["se"], row["height"]) == ("mbconv", "5", "6", "True", "56")
    assert int(row["flops"]) == Op.parse(row["signature"]).flops
    assert (row["median_ms"], row["p10_ms"], row["runs"], row["when"]) == ("1.5", "1.25", "8", "2026")


def test_parquet_keeps_types_and_the_header(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = make(tmp_path / "t.jsonl", [Entry(op.signature, 1.5, 1.0, 2.0, 8, "") for op in OPS[:3]])
    export(table, tmp_path / "t.parquet")
    frame = parquet.read_table(tmp_path / "t.parquet")
    assert json.loads(frame.schema.metadata[b"hwnas"]) == table.header
    kinds = {field.name: str(field.type) for field in frame.schema}
    assert (kinds["median_ms"], kinds["runs"], kinds["se"], kinds["signature"]) == ("double", "int64", "bool", "string")


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = make(tmp_path / "t.jsonl", [])
    with pytest.raises(UsageError, match=r"ends in \.csv or \.parquet"):
        export(table, tmp_path / "t.xlsx")
    with pytest.raises(UsageError, match="no entries"):
        export(table, tmp_path / "t.csv")
    table.add([Entry(OPS[0].signature, 1.5, 1.0, 2.0, 8, "")])
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        export(table, tmp_path / "file" / "t.csv")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependency, match="pip install pyarrow"):
        export(table, tmp_path / "t.parquet")
    assert not (tmp_path / "t.parquet").exists()


def test_broken_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    (tmp_path / "a.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(InputError, match=r"a\.parquet as parquet") as caught:
        read_rows(tmp_path / "a.parquet")
    assert "\n" not in str(caught.value)
    parquet.write_table(pyarrow.table({"x": [1]}), tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"b\.parquet, row 1"):
        read_rows(tmp_path / "b.parquet")

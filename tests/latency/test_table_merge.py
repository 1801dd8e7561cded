"""Several tables into one: who wins, what is refused, and that nothing is lost."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwnas.errors import TableError, UsageError
from hwnas.latency import Calibration, Entry, Table, table_file
from hwnas.latency.merge import merge
from hwnas.target import load

DEVICE: dict[str, Any] = {"cpu": "test", "flags": ["avx2"], "runtime": "onnxruntime", "runtime_version": "1.0"}
A, B, C = (f"conv k{k} e1 s1 8-8 8x8 relu" for k in (1, 3, 5))


def make(path: Path, *entries: Entry, device: dict[str, Any] = DEVICE, source: str = "measured",
         **target: object) -> Table:
    table = Table.open(path, load("local", **target), device, source=source)
    table.add(entries)
    return table


def entry(signature: str, median_ms: float, runs: int, when: str = "2026-01-01") -> Entry:
    return Entry(signature, median_ms, median_ms, median_ms, runs, when)


def test_most_runs_win_then_the_latest(tmp_path: Path) -> None:
    one = make(tmp_path / "1.jsonl", entry(A, 1, 30), entry(B, 1, 16, "2026-01-02"))
    two = make(tmp_path / "2.jsonl", entry(A, 2, 16, "2026-02-01"), entry(B, 2, 16, ""), entry(C, 2, 4))
    three = make(tmp_path / "3.jsonl", entry(B, 3, 16, "2026-01-03"))
    table, warnings = merge([one.path, two.path, three.path])
    assert warnings == []
    assert {s: e.median_ms for s, e in table.entries.items()} == {A: 1, B: 3, C: 2}
    again = Table.read(one.path, load("local"))
    assert again.entries == table.entries
    assert [part["file"] for part in again.header["merged_from"]] == ["2.jsonl", "3.jsonl"]
    assert again.header["merged_from"][0]["content_hash"] == two.content_hash
    assert Table.read(two.path).entries == two.entries


def test_calibrations_of_the_most_networks_win(tmp_path: Path) -> None:
    one, two = make(tmp_path / "1.jsonl"), make(tmp_path / "2.jsonl")
    one.add_calibration("s", Calibration("scale", 1.1, networks=20))
    one.add_calibration("t", Calibration("scale", 1.2, networks=5))
    two.add_calibration("s", Calibration("scale", 1.3, networks=10))
    two.add_calibration("t", Calibration("scale", 1.4, networks=9))
    table, _ = merge([one.path, two.path], tmp_path / "out.jsonl")
    again = Table.read(table.path)
    assert [again.calibration(s) and again.calibration(s).a for s in ("s", "t", "u")] == [1.1, 1.4, None]
    assert Table.read(one.path).content_hash == one.content_hash, "--out leaves the inputs alone"


ENTRIES = st.lists(st.builds(entry, st.sampled_from([A, B, C]), st.floats(0, 9), st.integers(1, 3),
                             st.sampled_from(["", "2025", "2026"])), max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(parts=st.lists(ENTRIES, min_size=2, max_size=4))
def test_against_brute_force(tmp_path: Path, parts: list[list[Entry]]) -> None:
    paths = [tmp_path / f"{i}.jsonl" for i in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        path.unlink(missing_ok=True)
        make(path, *part)
    tables = [Table.read(path).entries for path in paths]
    merged, _ = merge(paths)
    assert set(merged.entries) == {s for t in tables for s in t}
    for signature, won in merged.entries.items():
        ranks = [(t[signature].runs, t[signature].when) for t in tables if signature in t]
        assert (won.runs, won.when) == max(ranks)
        first = next(t[signature] for t in tables
                     if signature in t and (t[signature].runs, t[signature].when) == max(ranks))
        assert won == first


@pytest.mark.parametrize("change", [{"target": {"batch": 2}}, {"target": {"threads": 2}},
                                    {"device": {**DEVICE, "cpu": "other"}},
                                    {"device": {**DEVICE, "runtime_version": "2.0"}}])
def test_another_target_or_device_needs_force(tmp_path: Path, change: dict[str, Any]) -> None:
    one = make(tmp_path / "1.jsonl", entry(A, 1, 1))
    two = make(tmp_path / "2.jsonl", entry(B, 2, 1), device=change.get("device", DEVICE), **change.get("target", {}))
    before = one.path.read_bytes()
    with pytest.raises(TableError, match=r"is of another (target|device).*--force"):
        merge([one.path, two.path])
    assert one.path.read_bytes() == before
    table, warnings = merge([one.path, two.path], force=True)
    assert len(warnings) == 1
    assert set(table.entries) == {A, B}
    differs = table.differs_from(DEVICE)
    assert bool(differs) == ("device" in change), "a merged table remembers that part of it is of another device"


def test_imported_and_measured_never_merge(tmp_path: Path) -> None:
    one, two = make(tmp_path / "1.jsonl"), make(tmp_path / "2.jsonl", source="imported")
    with pytest.raises(TableError, match="never share a table"):
        merge([one.path, two.path], force=True)


def test_refusals(tmp_path: Path) -> None:
    one, two = make(tmp_path / "1.jsonl", entry(A, 1, 1)), make(tmp_path / "2.jsonl", entry(A, 2, 1))
    with pytest.raises(UsageError, match="two tables or more"):
        merge([one.path])
    with pytest.raises(UsageError, match=r"exists.*--out"):
        merge([one.path, two.path], two.path)
    (tmp_path / "bad.jsonl").write_text("{}\n")
    with pytest.raises(TableError, match="bad"):
        merge([one.path, tmp_path / "bad.jsonl"])
    assert Table.read(one.path).entries == one.entries


def test_what_is_added_meanwhile_is_not_lost(tmp_path: Path) -> None:
    one, two = make(tmp_path / "1.jsonl", entry(A, 1, 1)), make(tmp_path / "2.jsonl", entry(B, 2, 1))
    with table_file.locked(one.path):
        waiting = threading.Thread(target=merge, args=([one.path, two.path],))
        waiting.start()
        table_file.append(one.path, [entry(C, 3, 1).to_json()])
    waiting.join()
    assert set(Table.read(one.path).entries) == {A, B, C}
    one.add([entry(A, 9, 9)])  # a writer that has the table open goes on in the new file
    assert Table.read(one.path).lookup(A).median_ms == 9

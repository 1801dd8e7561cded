"""Which table is taken: the user's, a shipped one of this device, a shipped one of the target's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hwnas.errors import TableError
from hwnas.latency import Calibration, Entry, Table, table_path
from hwnas.pipeline.latencies.tables import choose, own_table
from hwnas.pipeline.machine import inventory
from hwnas.space import SpaceConfig, build
from hwnas.target import Target, load

HERE: dict[str, Any] = {"cpu": "this", "flags": ["avx2"], "runtime": "onnxruntime", "runtime_version": "1.31"}
ELSEWHERE = {**HERE, "cpu": "another"}
LOCAL, NAMED = Target(name="local"), Target(name="x86-avx2")
A, B = "conv k3 e1 s1 8-8 8x8 relu", "conv k5 e1 s1 8-8 8x8 relu"


def entry(signature: str, median_ms: float) -> Entry:
    return Entry(signature, median_ms, median_ms, median_ms, 8, "2026")


def fill(folder: Path, target: Target, device: dict[str, Any], median_ms: float, source: str = "measured") -> Table:
    table = Table.open(table_path(folder, target), target, device, source=source)
    table.add([entry(A, median_ms)])
    table.add_calibration("space", Calibration("scale", 1.1, networks=9))
    return table


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setenv("HWNAS_SHIPPED_TABLES", str(folder))
    return folder


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return tmp_path / "mine"


def test_the_users_own_table_comes_first(shipped: Path, mine: Path) -> None:
    fill(shipped, LOCAL, HERE, 1.0)
    fill(mine, LOCAL, HERE, 2.0)
    found = choose(LOCAL, HERE, mine)
    assert found is not None
    assert (found.shipped, found.warnings, found.table.lookup(A).median_ms) == (False, (), 2.0)
    (warning,) = (choose(LOCAL, ELSEWHERE, mine) or found).warnings
    assert "cpu: this / another" in warning


def test_a_shipped_table_of_this_device_serves_any_target(shipped: Path, mine: Path) -> None:
    fill(shipped, NAMED, HERE, 1.0)
    for target in (LOCAL, NAMED):
        found = choose(target, HERE, mine)
        assert found is not None
        assert (found.shipped, found.warnings) == (True, ())
    assert choose(LOCAL.model_copy(update={"threads": 2}), HERE, mine) is None
    assert choose(LOCAL.model_copy(update={"precision": "int8"}), HERE, mine) is None
    assert choose(LOCAL.model_copy(update={"cores": (3,)}), HERE, mine) is None, "it was not pinned to that core"


def test_a_board_never_takes_the_table_of_this_machine(shipped: Path, mine: Path) -> None:
    fill(shipped, NAMED, HERE, 1.0)
    board = load("raspberry-pi-5", runtime=NAMED.runtime, precision=NAMED.precision, batch=NAMED.batch,
                 threads=NAMED.threads)
    assert (board.key, board.cores) == (NAMED.key, NAMED.cores)
    assert choose(board, HERE, mine) is None
    assert choose(NAMED.model_copy(update={"hardware": board.hardware}), HERE, mine) is not None, "its own name"


def test_local_never_takes_the_table_of_another_cpu(shipped: Path, mine: Path) -> None:
    fill(shipped, NAMED, HERE, 1.0)
    fill(shipped, LOCAL, HERE, 1.0)
    for device in (ELSEWHERE, {**HERE, "runtime_version": "1.30"}, {**HERE, "flags": []}, {"cpu": "this"}, None):
        assert choose(LOCAL, device, mine) is None
        assert not own_table(LOCAL, device or ELSEWHERE, mine).exists()


def test_another_device_by_name_is_taken_with_a_warning(shipped: Path, mine: Path) -> None:
    fill(shipped, NAMED, HERE, 1.0)
    for device, text in ((ELSEWHERE, "cpu: this / another"), (None, "was measured on this")):
        found = choose(NAMED, device, mine)
        assert found is not None
        assert found.shipped
        assert text in found.warnings[0]
    assert not own_table(NAMED, ELSEWHERE, mine).exists(), "numbers of another device are no start"


def test_a_shipped_table_is_a_start_and_is_never_written(shipped: Path, mine: Path) -> None:
    source = fill(shipped, NAMED, HERE, 1.0)
    before = source.path.read_bytes()
    path = own_table(LOCAL, HERE, mine)
    assert path == table_path(mine, LOCAL)
    own = Table.read(path, LOCAL)
    assert own.lookup(A).median_ms == 1.0
    assert own.calibration("space") == source.calibration("space")
    assert own.header["based_on"] == {"target": "x86-avx2", "content_hash": source.content_hash}
    assert own.differs_from(HERE) == []
    own.add([entry(B, 3.0)])
    assert own_table(LOCAL, HERE, mine) == path
    assert set(Table.read(path).entries) == {A, B}, "a table that is there is left alone"
    assert source.path.read_bytes() == before


def test_imported_and_broken_tables_are_no_start(shipped: Path, mine: Path) -> None:
    fill(shipped, NAMED, HERE, 1.0, source="imported")
    (shipped / "broken").mkdir()
    (shipped / "broken" / f"{LOCAL.key}.jsonl").write_text("{}\n")
    assert choose(LOCAL, HERE, mine) is None
    found = choose(NAMED, HERE, mine)
    assert found is not None
    assert "source: imported / measured" in found.warnings[0]
    table_path(mine, LOCAL).parent.mkdir(parents=True)
    table_path(mine, LOCAL).write_text("{}\n")
    with pytest.raises(TableError, match="not a latency table"):
        choose(LOCAL, HERE, mine)


def test_the_list_says_where_a_table_is_from(shipped: Path, mine: Path) -> None:
    fill(shipped, NAMED, HERE, 1.0)
    fill(mine, LOCAL, HERE, 1.0)
    assert [(t.where, t.table and t.table.target) for t in inventory.tables(mine)] == [
        ("yours", "local"), ("shipped", "x86-avx2")]


def test_coverage() -> None:
    space = build(SpaceConfig("proxyless", 160, classes=100))
    (all_of_it,) = [c for c in inventory.coverage(space.signatures) if c["space"] == "proxyless"]
    assert (all_of_it["imgsz"], all_of_it["classes"], all_of_it["missing"]) == (160, 100, [])
    part = [s for s in space.signatures if " k7 " not in s]
    (most,) = [c for c in inventory.coverage(part) if c["space"] == "proxyless"]
    assert most["held"] == len(part)
    assert set(most["missing"]) == set(space.signatures) - set(part)
    assert inventory.coverage([]) == []

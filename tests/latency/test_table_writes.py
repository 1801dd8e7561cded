"""What reaches the disk when several processes write, when one is killed, when the disk is full."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hwnas.errors import InputError, TableError
from hwnas.latency import Calibration, Entry, Table, table_file
from hwnas.target import load

KILLS = 20
DEVICE = {"cpu": "test", "flags": [], "runtime_version": "1.0"}

# Forks writers that report every addition once `add` has returned, and kills them at a random moment.
KILLER = """
import json, os, random, signal, sys, time
from pathlib import Path
from hwnas.latency import Calibration, Entry, Table
from hwnas.target import load

path, rounds, rng = Path(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
reported, opened = [], 0
for number in range(rounds):
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        os.close(read_end)
        table = Table.open(path, load("local"), {"cpu": "test"})
        os.write(write_end, b"o")
        for i in range(100000):
            names = [f"mbconv k3 e{e} s1 {8 * number + 8}-{8 * i + 8} 8x8 relu" for e in range(1, 9)]
            table.add([Entry(name, 0.1, 0.1, 0.1, 8, "") for name in names])
            table.add_calibration(f"space{number}", Calibration("scale", 1.0, networks=i))
            os.write(write_end, b"+")
        os._exit(1)
    os.close(write_end)
    wanted, marks = rng.randrange(5), b""  # marks to wait for: 0 kills the creation of the file, 1 the first addition
    while len(marks) < wanted and (more := os.read(read_end, 1 << 16)):
        marks += more
    time.sleep(rng.uniform(0.0, 0.006))
    os.kill(child, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    while more := os.read(read_end, 1 << 16):
        marks += more
    os.close(read_end)
    opened += marks[:1] == b"o"
    reported += [(number, i) for i in range(marks.count(b"+"))]
    if marks or path.exists():
        Table.read(path)
held = Table.read(path)
lost = [(number, i) for number, i in reported for e in range(1, 9)
        if f"mbconv k3 e{e} s1 {8 * number + 8}-{8 * i + 8} 8x8 relu" not in held.entries]
for number in {n for n, _ in reported}:
    newest = max(i for n, i in reported if n == number)
    assert held.calibration(f"space{number}").networks >= newest
lines = path.read_bytes().splitlines()
names = [json.loads(line)["signature"] for line in lines if b"signature" in line]
print(json.dumps({"reported": len(reported), "lost": lost, "opened": opened, "twice": len(names) - len(set(names))}))
"""

WRITER = """
import sys
from pathlib import Path
from hwnas.latency import Entry, Table
from hwnas.target import load

path, expand, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
table = Table.open(path, load("local"), {"cpu": "test"})
for i in range(1, count + 1):
    names = [f"mbconv k{k} e{expand} s1 {8 * i}-{8 * i} 8x8 relu" for k in (3, 5, 7)]
    table.add([Entry(name, i, i, i, 8, "2020") for name in names])
"""


def entry(i: int) -> Entry:
    return Entry(f"conv k3 e1 s1 {i}-{i} 8x8 relu", 0.1, 0.1, 0.1, 8, "2020")


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table.open(tmp_path / "t.jsonl", load("local"), DEVICE)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 11))])
def test_killed_at_any_moment_nothing_reported_is_lost(tmp_path: Path, seed: int) -> None:
    """220 kills over eleven tables: every writer reads its table whole, so that one table would take ever longer."""
    words = [sys.executable, "-c", KILLER, str(tmp_path / "t.jsonl"), str(KILLS), str(seed)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=550, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["lost"] == []
    assert found["twice"] == 0
    assert found["opened"] >= KILLS / 2
    assert found["reported"] >= KILLS / 2


def test_two_processes_write_and_a_reader_reads(tmp_path: Path) -> None:
    path, count = tmp_path / "t.jsonl", 20
    Table.open(path, load("local"), DEVICE)
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(e), str(count)]) for e in (1, 2)]
    seen = 0
    while any(writer.poll() is None for writer in writers):
        held = len(Table.read(path).entries)
        assert held >= seen
        seen = held
    assert [writer.returncode for writer in writers] == [0, 0]
    entries = Table.read(path).entries
    assert len(entries) == 2 * 3 * count
    assert all(e.median_ms == float(s.split()[4].split("-")[0]) / 8 for s, e in entries.items())


def test_many_entries_are_one_flush(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    flush = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append(handle), flush(handle)))
    table.add(entry(i) for i in range(1, 501))
    assert len(calls) == 1
    assert len(Table.read(table.path).entries) == 500
    table.add([])
    assert len(calls) == 1


@pytest.mark.parametrize("torn", ['{"signature": "mbco', "x" * 200_000, "\xc3"])
def test_a_torn_line_goes_with_the_next_addition(table: Table, torn: str) -> None:
    table.add([entry(1)])
    whole = table.path.read_bytes()
    with table.path.open("a", encoding="latin1") as file:
        file.write(torn)
    assert set(Table.read(table.path).entries) == {entry(1).signature}
    table.add([entry(2)])
    assert table.path.read_bytes() == whole + json.dumps(entry(2).to_json()).encode() + b"\n"


def test_a_full_disk_leaves_the_table_as_it_was(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    table.add([entry(1)])
    before = table.path.read_bytes()

    def half(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", half)
    with pytest.raises(InputError, match="No space left"):
        table.add([entry(i) for i in range(2, 50)])
    assert table.path.read_bytes() == before
    assert set(table.entries) == {entry(1).signature}


def test_what_is_no_number_is_refused_before_anything_is_written(table: Table) -> None:
    before = table.path.read_bytes()
    bad = Entry(entry(1).signature, 0.1, float("nan"), 0.1, 8, "2020")
    with pytest.raises(InputError, match=r"p10_ms: .* finite"):
        table.add([entry(2), bad])
    with pytest.raises(InputError, match="median_ms"):
        table.add([entry(2), Entry(entry(1).signature, -1.0, 0.1, 0.1, 8, "2020")])
    assert table.path.read_bytes() == before
    assert table.entries == {}


def test_a_writer_that_never_ends_is_named(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_file, "LOCK_SECONDS", 0.1)
    with table_file.locked(table.path), pytest.raises(TableError, match="being written by another process"):
        table.add_calibration("space", Calibration())
    table.add([entry(1)])

"""A table has one campaign at a time, in real processes; a killed one holds nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hwnas.errors import InputError, TableError
from hwnas.latency.hold import held

HOLD = """
import sys, time
from pathlib import Path
from hwnas.latency.hold import held
with held(Path(sys.argv[1]), seconds=30):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a table."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_who_does_not_wait_is_told_who_holds_it(tmp_path: Path) -> None:
    with holder(tmp_path / "t.jsonl") as process:
        told = rf"being measured by process {process.pid} since \d\d:\d\d:\d\d: wait"
        with pytest.raises(TableError, match=told), held(tmp_path / "t.jsonl", wait=False):
            pass
        with held(tmp_path / "other.jsonl", wait=False):
            pass


def test_a_killed_holder_blocks_nobody(tmp_path: Path) -> None:
    with holder(tmp_path / "t.jsonl") as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)
        assert (tmp_path / ".t.jsonl.holder").exists()
        with held(tmp_path / "t.jsonl", wait=False):
            pass


def test_a_second_waits_says_for_whom_and_goes_on(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    with holder(tmp_path / "t.jsonl") as process:
        def progress(what: str, done: int, total: int) -> None:
            told.append((what, done, total))
            if len(told) == 3:
                process.kill()

        with held(tmp_path / "t.jsonl", progress=progress):
            assert process.wait(60) == -signal.SIGKILL
    assert len(told) >= 3
    assert all(f"process {process.pid} since" in what for what, _, _ in told)
    assert all(done < total for _, done, total in told)


def test_who_waits_can_be_interrupted(tmp_path: Path) -> None:
    def interrupt(what: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with holder(tmp_path / "t.jsonl"), pytest.raises(KeyboardInterrupt), \
            held(tmp_path / "t.jsonl", progress=interrupt):
        pass


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"), held(tmp_path / "file" / "t.jsonl"):
        pass


def test_an_error_within_is_passed_on_and_lets_go(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), held(tmp_path / "t.jsonl"):
        raise PermissionError("of the campaign")
    with held(tmp_path / "t.jsonl", wait=False):
        pass

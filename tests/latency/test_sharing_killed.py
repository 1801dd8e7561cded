"""publish and fetch killed at every step of a write: nothing half-written is taken, and run again they end well."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hwnas.errors import InputError
from hwnas.latency import Entry, Table
from hwnas.latency.sharing import fetch, listed, publish
from hwnas.target import load

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

BOARDS = ("raspberry-pi-4", "raspberry-pi-5")
OP = "conv k3 e1 s1 8-8 8x8 relu"
OLD, NEW = 1.0, 2.0
STEPS = ("write_bytes", "replace")


def tables(folder: Path, ms: float) -> list[Path]:
    found = []
    for name in BOARDS:
        target = load(name)
        made = Table.open(folder / f"{name}-{ms}.jsonl", target, {"cpu": "a core", "runtime_version": "1.9"})
        made.add([Entry(OP, ms, ms, ms, 8, "2026")])
        found.append(made.path)
    return found


def dies(moment: int, work: Callable[[], object]) -> bool:
    """Do it in another process, which is killed at one of its moments; False where it has fewer.

    A moment is before a step, after it, and of writing bytes also in its middle.
    """
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            _count(moment)
            work()
            os._exit(0)
        os._exit(1)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "it failed of itself"
    return os.WIFSIGNALED(status)


def _count(moment: int) -> None:
    passed = iter(range(1 << 30))

    def here() -> None:
        if next(passed) == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def stepped(step: Callable[..., Any]) -> Callable[..., Any]:
        def taken(path: Path, *words: Any, **more: Any) -> Any:
            here()
            if step is write:
                step(path, words[0][: len(words[0]) // 2])
                here()
            found = step(path, *words, **more)
            here()
            return found

        return taken

    write = Path.write_bytes
    for name in STEPS:
        setattr(Path, name, stepped(getattr(Path, name)))


def moments(work: Callable[[], object], before: Callable[[], object]) -> Iterator[int]:
    """After each kill, with what was there before put back for the next."""
    moment = 0
    while True:
        before()
        if not dies(moment, work):
            break
        yield moment
        moment += 1
    assert moment >= 5, "of one file at least"


def taken(source: Path, folder: Path) -> set[float]:
    """Medians of the tables that a fetch takes; none where it refuses."""
    try:
        found = fetch(str(source), folder)
    except InputError:
        assert not list(folder.rglob("*.jsonl")), "what was refused left nothing"
        return set()
    return {Table.read(each.path).entries[OP].median_ms for each in found}


@pytest.mark.parametrize("name", ["shared", "shared.zip"])
@pytest.mark.parametrize("there", [False, True], ids=["new", "over an older one"])
def test_publish(name: str, there: bool, tmp_path: Path) -> None:
    old, new, round_ = tables(tmp_path, OLD), tables(tmp_path, NEW), iter(range(1 << 30))
    where: list[Path] = []

    def before() -> None:
        where[:] = [tmp_path / str(next(round_)) / name]
        if there:
            publish(old, where[0])

    for moment in moments(lambda: publish(new, where[0], force=True), before):
        folder = tmp_path / "tables" / str(moment)
        assert taken(where[0], folder) in ([{OLD}, {NEW}, set()] if there else [{NEW}, set()])
        publish(new, where[0], force=there)
        assert len(listed(str(where[0]))) == len(BOARDS)
        assert taken(where[0], folder.with_name(f"{moment} again")) == {NEW}


@pytest.mark.parametrize("there", [False, True], ids=["new", "over an older one"])
def test_fetch(there: bool, tmp_path: Path) -> None:
    publish(tables(tmp_path, NEW), tmp_path / "new")
    publish(tables(tmp_path, OLD), tmp_path / "old")
    round_, folder = iter(range(1 << 30)), list[Path]()

    def before() -> None:
        folder[:] = [tmp_path / "tables" / str(next(round_))]
        if there:
            fetch(str(tmp_path / "old"), folder[0])

    for _ in moments(lambda: fetch(str(tmp_path / "new"), folder[0], force=True), before):
        lying = [Table.read(path).entries for path in folder[0].rglob("*.jsonl")]
        assert all(entries[OP].median_ms in (OLD, NEW) for entries in lying)
        assert len(lying) == len(BOARDS) or not there, "what was there is there"
        again = fetch(str(tmp_path / "new"), folder[0], force=there)
        assert all(each.outcome in ("fetched", "there already") for each in again)
        assert {Table.read(each.path).entries[OP].median_ms for each in again} == {NEW}

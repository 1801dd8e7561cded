"""Numbers exchanged over shared memory by real processes, and what happens to those that wait for one that is gone."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwnas.errors import RunError
from hwnas.nets import board

pytestmark = pytest.mark.skipif(not board.possible(), reason="no memory that processes share in the order of writes")
TURNS = 300


def _take_part(path: Path, rank: int, world: int, turns: int, told: Any) -> None:
    mine = board.Board(path, rank, world)
    rng = np.random.default_rng(0)
    for turn in range(turns):
        size = int(rng.integers(1, 2000))
        found = mine.exchange(np.full(size, turn * 10 + rank, np.float32))
        if found.shape != (world, size) or (found != np.arange(world)[:, None] + turn * 10).any():
            told.put((rank, f"turn {turn}"))
            return
    told.put((rank, "done"))


@pytest.fixture
def path() -> Any:
    made = board.create()
    yield made
    made.unlink(missing_ok=True)


@pytest.mark.parametrize("world", [2, 3])
def test_everyone_sees_the_numbers_of_everyone_in_every_turn(world: int, path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    processes = [context.Process(target=_take_part, args=(path, r, world, TURNS, told)) for r in range(world)]
    for process in processes:
        process.start()
    assert {told.get(timeout=240) for _ in processes} == {(rank, "done") for rank in range(world)}
    for process in processes:
        process.join()


def test_a_process_that_is_gone_is_noticed(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    other = context.Process(target=_take_part, args=(path, 1, 2, 1, told))
    other.start()
    mine = board.Board(path, 0, 2)
    mine.exchange(np.zeros(3, np.float32))
    other.join()
    with pytest.raises(RunError, match="process 1 of 2 that train together is gone"):
        mine.exchange(np.zeros(3, np.float32))


def test_numbers_of_a_process_that_ended_after_it_wrote_them_count(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes and ends between the last look at the numbers and the look at who is alive."""
    mine, other = board.Board(path, 0, 2), board.Board(path, 1, 2)

    def written(pid: int) -> bool:
        other._slots[1, 1, :3], other._turns[1] = 7, 1
        return False

    monkeypatch.setattr(board, "_PATIENT", 0)
    monkeypatch.setattr(board, "_alive", written)
    assert (mine.exchange(np.zeros(3, np.float32))[1] == 7).all()


def test_what_a_board_takes(path: Path) -> None:
    torch = pytest.importorskip("torch")
    mine = board.Board(path, 0, 2)
    assert mine.takes(torch.zeros(mine.room))
    assert not mine.takes(torch.zeros(mine.room + 1))
    assert not mine.takes(torch.zeros(3, dtype=torch.float64))

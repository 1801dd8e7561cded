"""Searches in parallel processes; the outcomes are those of one process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from hwnas.bench.benchmark import Benchmark
from hwnas.bench.outcome import Outcome
from hwnas.bench.strategy_spec import StrategySpec
from hwnas.bench.threads import one_blas_thread
from hwnas.errors import HwnasError, UsageError
from hwnas.search.history import checked_sample
from hwnas.search.strategy import Score, Strategy


@dataclass(frozen=True)
class Search:
    """One run of a strategy.

    Args:
        benchmark: as the seed sees it.
        spec: strategy and options.
        seed: of the strategy.
        evaluations: numbers at which it is read off, increasing; it is built for the last.
    """

    benchmark: Benchmark
    spec: StrategySpec
    seed: int
    evaluations: tuple[int, ...]


def play_all(searches: Sequence[Search], workers: int) -> Iterator[tuple[int, list[Outcome]]]:
    """Each search's number and outcomes, as they are finished; with one worker in this process and in order.

    Raises:
        UsageError: a strategy failed.
        HwnasError: a worker was killed.
    """
    if workers == 1 or len(searches) < 2:
        yield from ((number, play(search)) for number, search in enumerate(searches))
        return
    with one_blas_thread(), _pool(min(workers, len(searches))) as pool:
        numbers = {pool.submit(play, search): number for number, search in enumerate(searches)}
        try:
            for future in as_completed(numbers):
                yield numbers[future], future.result()
        except BrokenProcessPool as err:
            raise HwnasError("a worker process was killed, perhaps for its memory: take fewer workers; with an output "
                             "folder the same command goes on with what is done") from err
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def play(search: Search) -> list[Outcome]:
    """Run one search.

    Raises:
        UsageError: the strategy failed; other errors of its own carry its name and seed.
    """
    where = f"strategy {search.spec.label!r}, seed {search.seed}"
    try:
        return _read_off(search, search.spec.build(search.benchmark.choices, search.evaluations[-1], search.seed))
    except HwnasError as err:
        raise UsageError(f"{where}: {err}") from None  # one that survives the way to another process
    except Exception as err:
        raise RuntimeError(f"{where}: {type(err).__name__}: {err}") from err


def _read_off(search: Search, strategy: Strategy) -> list[Outcome]:
    outcomes: list[Outcome] = []
    benchmark, spent = search.benchmark, 0
    for count in search.evaluations:
        while spent < count and not strategy.done:
            (ask,) = strategy.ask(1)
            strategy.tell(ask.id, Score(benchmark.signal(_legal(ask.choice, benchmark))))
            spent += 1
        answer = strategy.answer
        if answer is None:
            raise UsageError("it was done before it asked for anything")
        truth, limit = benchmark.truth(answer[0]), benchmark.limit
        outcomes.append(Outcome(search.seed, count, spent, *answer, truth, benchmark.best_truth - truth, limit))
    return outcomes


def _legal(choice: Sequence[int], benchmark: Benchmark) -> tuple[int, ...]:
    try:
        return checked_sample(choice, benchmark.choices)
    except (TypeError, ValueError) as err:
        raise UsageError(f"it asked for what is no architecture: {err}") from err


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin)


def _begin() -> None:
    """A worker ends with its parent, however that ended, and leaves it to the parent to speak of Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

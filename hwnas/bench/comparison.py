"""Comparing strategies on a benchmark: many seeds, a few numbers of evaluations, the regret at each.

A search never sees the truth. Its answer is `Strategy.answer`: the evaluated architecture with the best signal, the
earliest of equals, unless the strategy knows better. A strategy that is `anytime` runs once a seed, to the largest
number of evaluations, and is read off at each; another one runs anew for each number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.bench.benchmark import Benchmark, FloatArray
from hwnas.bench.outcome import Outcome
from hwnas.bench.results_log import ResultsLog, alone
from hwnas.bench.strategy_spec import StrategySpec, is_anytime
from hwnas.bench.workers import Search, play_all
from hwnas.errors import UsageError
from hwnas.progress import Progress, silent
from hwnas.search.history import is_whole


@dataclass(frozen=True)
class Result:
    """All outcomes of one strategy on one benchmark, in order of evaluations, then seeds.

    Args:
        benchmark: its name.
        spec: the strategy with its options.
        evaluations: the numbers compared at, increasing.
        outcomes: one per number and seed.
    """

    benchmark: str
    spec: StrategySpec
    evaluations: tuple[int, ...]
    outcomes: tuple[Outcome, ...]

    @property
    def entrant(self) -> StrategySpec:
        """The name of `spec` in hwnas 0.1; goes with the next version."""
        return self.spec

    def regrets(self) -> FloatArray:
        """Regret in the units of the truth, shape (evaluations, seeds)."""
        return np.array([outcome.regret for outcome in self.outcomes]).reshape(len(self.evaluations), -1)

    def spent(self) -> list[int]:
        """Most evaluations that a seed made, per number of evaluations."""
        return [max(o.spent for o in self.outcomes if o.evaluations == count) for count in self.evaluations]

    def limit(self) -> float | None:
        """Mean over the seeds of what the signal allows; None where unknown."""
        found = [o.limit for o in self.outcomes if o.limit is not None]
        return float(np.mean(found)) if found else None


def run(benchmark: Benchmark, strategy: str, options: Mapping[str, Any], evaluations: Sequence[int],
        seeds: Sequence[int], workers: int = 1, *, out: Path | None = None, progress: Progress = silent) -> Result:
    """`compare` for one strategy."""
    spec = StrategySpec(strategy, options)
    return compare(benchmark, [spec], evaluations, seeds, workers, out=out, progress=progress)[0]


def compare(benchmark: Benchmark, specs: Sequence[StrategySpec], evaluations: Sequence[int], seeds: Sequence[int],
            workers: int = 1, *, out: Path | None = None, progress: Progress = silent) -> list[Result]:
    """Search the benchmark with every strategy, once or more per seed.

    Args:
        benchmark: what is searched.
        specs: strategies with their options, all different.
        evaluations: numbers of evaluations to compare at, at least 1 each.
        seeds: of the searches, at least 0 each.
        workers: processes, with one thread for linear algebra each; 1 works in this one, with its threads. The results
            do not depend on it, but for last bits of strategies that solve large systems on several threads.
        out: folder for regret.jsonl; what it holds of this benchmark, these strategies and their code is not repeated.
        progress: told of every finished search.

    Returns:
        One result per spec, in their order.

    Raises:
        UnknownName: no such strategy or option.
        UsageError: nothing to compare, a strategy that cannot be built for a number of evaluations, or one that fails.
        InputError: `out` cannot be read or written.
    """
    counts = _whole("evaluations", evaluations, 1)
    wanted = [(seed, count) for count in counts for seed in _whole("seeds", seeds, 0)]
    _check(benchmark, specs, counts, workers)
    with alone(out):
        results_log = ResultsLog(out)
        known = [results_log.known(benchmark.identity, spec) for spec in specs]
        searches = _missing(benchmark, specs, wanted, known)
        for done, (number, outcomes) in enumerate(play_all(searches, workers), 1):
            search = searches[number]
            results_log.add(benchmark.identity, search.spec, outcomes)
            known[specs.index(search.spec)].update({(o.seed, o.evaluations): o for o in outcomes})
            progress("searches", done, len(searches))
    return [Result(benchmark.name, spec, counts, tuple(found[key] for key in wanted))
            for spec, found in zip(specs, known, strict=True)]


def _missing(benchmark: Benchmark, specs: Sequence[StrategySpec], wanted: Sequence[tuple[int, int]],
             known: Sequence[Mapping[tuple[int, int], Outcome]]) -> list[Search]:
    """The searches that are not known yet: for an anytime strategy one per seed, else one per seed and number."""
    searches = []
    for spec, found in zip(specs, known, strict=True):
        plans: dict[tuple[int, int], list[int]] = {}
        once = is_anytime(spec.build(benchmark.choices, wanted[-1][1], 0))
        for seed, count in wanted:
            if (seed, count) not in found:
                plans.setdefault((seed, 0 if once else count), []).append(count)
        searches += [Search(benchmark.seeded(seed), spec, seed, tuple(at)) for (seed, _), at in plans.items()]
    return searches


def _check(benchmark: Benchmark, specs: Sequence[StrategySpec], counts: Sequence[int], workers: int) -> None:
    """Find out before any work what would fail at its end."""
    if not specs or any(spec in specs[:i] for i, spec in enumerate(specs)):
        raise UsageError(f"strategies to compare must be at least one and all different: "
                         f"{', '.join(spec.label for spec in specs) or 'none'}")
    if workers < 1:
        raise UsageError(f"workers must be at least 1, not {workers}")
    for spec in specs:
        for count in counts:
            spec.build(benchmark.choices, count, 0)


def _whole(name: str, values: Sequence[int], least: int) -> tuple[int, ...]:
    found = sorted(set(values))
    if not found or found[0] < least or not all(is_whole(value) for value in found):
        raise UsageError(f"{name} must be whole numbers of at least {least}, at least one; got {list(values)}")
    return tuple(int(value) for value in found)

"""Stage search: learn which ops are worth their time.

| file               | what                                                                |
|--------------------|---------------------------------------------------------------------|
| search.jsonl       | every evaluation: its score, or why it failed                       |
| search.safetensors | shared weights                                                      |
| distribution.json  | per choice which ops are live, and what they add to the score       |
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from hwnas.documents import read_json
from hwnas.latency import LatencyModel
from hwnas.pipeline.context import RunContext
from hwnas.pipeline.latencies.latency_sources import known_latencies, targets_of
from hwnas.pipeline.run.results import ReferenceResult, SearchResult
from hwnas.pipeline.stages.stage import Stage
from hwnas.pipeline.tracked import evaluations
from hwnas.search import resumable
from hwnas.search.log import SearchLog
from hwnas.space import FULL, Space

OFFSETS = 8  # architectures that compare variants


class SearchStage(Stage[SearchResult]):
    """The distribution over architectures."""

    name = SearchResult.stage
    together = True
    beside = ReferenceResult.stage

    def run(self, context: RunContext) -> SearchResult:
        folder = context.run.path
        found = resumable.run(
            context.space, context.searched_workload, context.search_config, folder=folder, seed=context.config.seed,
            protect=_cheapest(context), init=context.starts_from("search", "search.safetensors"),
            smaller=context.searched_smaller, progress=context.progress, curve=context.curve("search/weights"),
            told=evaluations(context.tracking.metrics, context.space, _latency(context)))
        log = SearchLog(folder / "search.jsonl")
        scores = [e.score for e in log.comparable()]
        return SearchResult(
            warnings=_told(log), failed=len(log.failures), evaluator=context.config.search.evaluator,
            baseline=sum(scores) / len(scores) if scores else found.best[1], metric=context.workload.metric.name,
            evaluations=len(log.entries), entropy=found.distribution.entropy(), best=list(found.best[0]),
            best_score=found.best[1], offsets=_offsets(context, found))

    def leaves(self, found: SearchResult) -> Sequence[str]:
        return "search.jsonl", "distribution.json", "search.safetensors"


def _told(log: SearchLog) -> list[str]:
    """That evaluations failed, and why the first did."""
    if not log.failures:
        return []
    asked = len(log.asked()) + len(log.failures)
    return [f"{len(log.failures)} of {asked} evaluations failed, the first: {log.failures[0].failed}"]


def _offsets(context: RunContext, found: resumable.SearchResult) -> dict[str, float]:
    """Variant -> what it adds to the scores, in points: over some of the architectures that settled the effects."""
    entries = SearchLog(context.run.path / "search.jsonl").comparable()[:OFFSETS]
    known = [(e.choice, e.score) for e in entries] or [found.best]
    others = {variant.key: space for variant, space in context.spaces.items() if variant != FULL}
    gains: dict[str, list[float]] = {key: [] for key in others}
    for i, ((choice, score), (key, space)) in enumerate(itertools.product(known, others.items()), 1):
        gains[key].append(found.evaluator.score(choice, space) - score)
        context.progress("compare variants", i, len(known) * len(others))
    return {key: sum(each) / len(each) for key, each in gains.items()}


def _latency(context: RunContext) -> LatencyModel:
    return LatencyModel.from_json(read_json(context.run.path / "latency.json"))


def _cheapest(context: RunContext) -> list[int | list[int]]:
    """Per choice the op that costs least, on every target of the run; never pruned, so that tight budgets stay
    reachable.

    An op that gives nothing counts where it cannot cut the network (`Space.cheapest`).
    """
    on_each = [_cheapest_by(model, context.space) for model in (_latency(context), *_on_others(context))]
    different = (list(dict.fromkeys(ops)) for ops in zip(*on_each, strict=True))
    return [ops[0] if len(ops) == 1 else ops for ops in different]


def _cheapest_by(model: LatencyModel, space: Space) -> list[int]:
    return space.cheapest([row.tolist() for row in model.costs_ns(space)[1]])


def _on_others(context: RunContext) -> list[LatencyModel]:
    """The latency models of the targets that a run is for besides its first, as stage profile filled their tables."""
    config = context.config
    tables = Path(config.target.tables) if config.target.tables else None
    known = (known_latencies(context.space, targets_of(config.replaced(target=name))[0], tables).model
             for name in config.target.names[1:])
    return [model for model in known if model is not None]

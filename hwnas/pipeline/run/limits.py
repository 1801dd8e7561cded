"""What the budgets of a run come to, and what it promises of its result: from run.json, for every command alike."""

from __future__ import annotations

from collections.abc import Mapping

from hwnas.documents import read_json
from hwnas.latency import LatencyModel
from hwnas.pipeline.config.budget import THROUGHPUT, parse_all
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.reference import Limit, Reference
from hwnas.pipeline.run.results import DataResult, ExportResult, GenerateResult
from hwnas.pipeline.run.spends import Spends
from hwnas.runtime import Measurement
from hwnas.runtime.promise import ESTIMATED, MEASURED, NOISE, PREDICTED, Promise
from hwnas.space import Space


def reference_of(run: RunFolder, space: Space | None = None) -> Reference:
    """What percentages of a run are of.

    A run of hwnas 0.1 did not fix it: there it is what the run measured last, or else what its latency model says.

    Args:
        space: of the run, if it is at hand.

    Raises:
        RunError: stage profile is not finished.
    """
    if run.state.reference is not None:
        return run.state.reference.model_copy(update={"batch": batch_of(run)})  # runs before 0.2 do not say it
    network = (space or run.space).reference
    exported, generated = run.found_if_done(ExportResult), run.found_if_done(GenerateResult)
    for timed in (exported and exported.reference.latency, generated and generated.reference_measured_ms):
        if timed:
            return Reference.measured(network, Measurement(**timed.to_json()), derived=True)
    lane = run.lane()
    model = LatencyModel.from_json(read_json(run.path / lane.file))
    return Reference.said(network, model, lane.reference_ratio, derived=True)


def limits_of(run: RunFolder) -> dict[str, Limit]:
    """What the run's own budgets come to.

    Raises:
        RunError: stage profile is not finished.
    """
    return reference_of(run).limits(parse_all(run.state.config.budgets))


def promise_of(run: RunFolder) -> Promise | None:
    """The latency that a run promises of its result; None without a budget of latency or throughput.

    A percentage is promised at the speed that the reference was fixed at, milliseconds at that of the final check.

    Raises:
        RunError: stage profile is not finished.
    """
    limit = time_limit(limits_of(run), reference_of(run).batch)
    if limit is None:
        return None
    exported, generated = run.found_if_done(ExportResult), run.found_if_done(GenerateResult)
    beside = exported.reference.latency if exported else None
    return promised(limit, beside.median_ms if beside else None, generated.interval if generated else None)


def time_limit(limits: Mapping[str, Limit], batch: int) -> Limit | None:
    """The limit on the median time of a call: of latency and throughput the one that allows less; None without both."""
    found = [limits["latency"]] if "latency" in limits else []
    found += [limits[THROUGHPUT].as_latency(batch)] if THROUGHPUT in limits else []
    return min(found, key=lambda limit: limit.value, default=None)


def promised(limit: Limit, beside_ms: float | None, interval: tuple[float, float] | None) -> Promise:
    """A latency budget as a promise.

    Args:
        beside_ms: latency of the reference as timed in turns with the result; None where nothing was timed.
        interval: 90 % interval of the result's latency, ms; of use where nothing was timed.
    """
    latency_ms, noise = limit.value / 1e6, 0.0 if beside_ms is None else NOISE
    interval = interval if beside_ms is None else None
    if limit.budget.relative:
        basis = limit.basis if beside_ms is not None or limit.basis != MEASURED else PREDICTED
        return Promise(latency_ms, basis, limit.reference / 1e6, limit.budget.value, interval, noise)
    if beside_ms is not None:
        return Promise(latency_ms, MEASURED, beside_ms)
    return Promise(latency_ms, ESTIMATED if limit.basis == ESTIMATED else PREDICTED, None, None, interval, noise)


def spends_of(run: RunFolder, precision: str) -> Spends:
    """What budgets on what was measured leave in one precision; networks of several are held to what fp32 takes."""
    return Spends(batch_of(run), run.state.spends.get(precision, {}), run.state.tightened)


def batch_of(run: RunFolder) -> int:
    """Images of a call."""
    return int(run.found(DataResult).target.get("batch", 1))

"""What the budgets of a run come to, and what it promises of its result: from run.json, for every command alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwnas.documents import read_json
from hwnas.latency import LatencyModel
from hwnas.pipeline.config.budget import parse_all
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.reference import Limit, Reference
from hwnas.runtime import Measurement
from hwnas.runtime.promise import ESTIMATED, MEASURED, NOISE, PREDICTED, Promise
from hwnas.space import Space, SpaceConfig, build


def reference_of(run: RunFolder, space: Space | None = None) -> Reference:
    """What percentages of a run are of.

    A run of hwnas 0.1 did not fix it: there it is what the run measured last, or else what its latency model says.

    Args:
        space: of the run, if it is at hand.

    Raises:
        RunError: stage profile is not finished.
    """
    if run.state.reference is not None:
        return run.state.reference
    largest = (space or build(SpaceConfig.from_json(run.result("data")["space"]))).largest()
    exported, generated = (run.state.stages.get(stage) for stage in ("export", "generate"))
    for timed in (exported and exported.result["reference"]["latency"],
                  generated and generated.result.get("reference_measured_ms")):
        if timed:
            return Reference.measured(largest, _measurement(timed), derived=True)
    lane = run.lane()
    model = LatencyModel.from_json(read_json(run.path / lane["file"]))
    return Reference.said(largest, model, float(lane["reference_ratio"]), derived=True)


def limits_of(run: RunFolder) -> dict[str, Limit]:
    """What the run's own budgets come to.

    Raises:
        RunError: stage profile is not finished.
    """
    return reference_of(run).limits(parse_all(run.state.config.budgets))


def promise_of(run: RunFolder) -> Promise | None:
    """The latency that a run promises of its result; None without a latency budget.

    A percentage is promised at the speed that the reference was fixed at, milliseconds at that of the final check.

    Raises:
        RunError: stage profile is not finished.
    """
    limit = limits_of(run).get("latency")
    if limit is None:
        return None
    exported, generated = (run.state.stages.get(stage) for stage in ("export", "generate"))
    beside = exported.result["reference"]["latency"] if exported else None
    found = generated.result if generated else {}
    interval = None
    if not beside and "predicted_low_ms" in found:
        interval = float(found["predicted_low_ms"]), float(found["predicted_high_ms"])
    return promised(limit, beside, interval)


def promised(limit: Limit, beside: Mapping[str, Any] | None, interval: tuple[float, float] | None) -> Promise:
    """A latency budget as a promise.

    Args:
        beside: latency of the reference as timed in turns with the result, as JSON; None where nothing was timed.
        interval: 90 % interval of the result's latency, ms.
    """
    latency_ms, noise = limit.value / 1e6, NOISE if beside else 0.0
    if limit.budget.relative:
        basis = limit.basis if beside or limit.basis != MEASURED else PREDICTED
        return Promise(latency_ms, basis, limit.reference / 1e6, limit.budget.value, interval, noise)
    if beside:
        return Promise(latency_ms, MEASURED, float(beside["median_ms"]))
    return Promise(latency_ms, ESTIMATED if limit.basis == ESTIMATED else PREDICTED, None, None, interval, noise)


def _measurement(timed: Mapping[str, Any]) -> Measurement:
    return Measurement(timed["median_ms"], timed["p10_ms"], timed["p90_ms"], int(timed["runs"]), timed.get("kernel_ms"))

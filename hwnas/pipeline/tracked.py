"""What the trackers of a run are told: the run itself, what its stages found, the final numbers, the files.

Curves and evaluations are told by the stages while they work (`RunContext.curve`).

| stage                          | step              | what                                                     |
|--------------------------------|-------------------|----------------------------------------------------------|
| `reference`, `finetune`        | training step     | loss; at the end of an epoch loss, score and lr          |
| `generate/finalist N`          | training step     | the same of a finalist's trial                           |
| `search/weights`               | round             | loss and lr of the shared weights                        |
| `search/train`, `settle`, `alone` | evaluation     | score, predicted latency, architecture                   |
| `generate/candidates`          | rank              | scores, latencies, architecture                          |
| `found/STAGE`                  | 0                 | what a finished stage found, in numbers                  |
| `result`                       | 0                 | accuracy, latency, FLOPs, ... of both networks; budgets  |

A stage that a run goes back to has `-2`, `-3`, ... behind its name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import singledispatch
from typing import TYPE_CHECKING, Any

from hwnas.pipeline.report.summary import NetworkSummary, summary
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.own_results import ScoresResult, ShipResult, UnitsResult
from hwnas.pipeline.run.read_result import EVERY_RESULT
from hwnas.pipeline.run.result_parts import TimedResult
from hwnas.pipeline.run.results import (
    DataResult,
    ExportResult,
    GenerateResult,
    ProfileResult,
    SearchResult,
    StageResult,
    TrainedResult,
)
from hwnas.search.log import Failure, Line
from hwnas.tracking.record import FOLDER, Tracking
from hwnas.tracking.registry import makers
from hwnas.tracking.tracker import RESULT, Track, TrackedRun, Value

if TYPE_CHECKING:
    from hwnas.latency import LatencyModel
    from hwnas.space import Architecture, Space

FILES: Mapping[str, tuple[str, ...]] = {
    "search": ("distribution.json", "search.jsonl"), "generate": ("architecture.json", "front.json"),
    "export": ("model.onnx",), "ship": ("model.onnx",)}
REPORT = ("report.html", "report.json")
REPEATED = ("generate", "finetune", "export")  # stages that a run may go back to
"""Stage -> files that trackers are given."""


def tracking_of(run: RunFolder, group: str = "", *, part: bool = False) -> Tracking:
    """The trackers that the configuration of a run names.

    Args:
        group: name of the run for several budgets that this one is, or is a part of.
        part: whether it is a part.
    """

    def about(number: str) -> TrackedRun:
        name = f"{group}-{run.path.name}" if part else run.path.name
        return TrackedRun(name, number, run.path / FOLDER, _about(run), group)

    return Tracking(run.path, makers(run.state.config.track or ()), about)


def name_of(run: RunFolder, stage: str) -> str:
    """What the points of a stage are told under; another name for each time that a run goes back."""
    first, slash, rest = stage.partition("/")
    again = run.state.attempts + len(run.state.refused) if first in REPEATED else 0
    return f"{first}-{again + 1}{slash}{rest}" if again else stage


def tell_stage(tracking: Tracking, run: RunFolder, stage: str) -> None:
    """What a finished stage found; what was told before is not told again."""
    if not tracking.anyone:
        return
    found = run.found(next(result for result in EVERY_RESULT if result.stage == stage))
    numbers = {"seconds": run.state.stages[stage].seconds, **dict(_numbers(found))}
    tracking.metrics(f"found/{name_of(run, stage)}", 0, numbers)
    if isinstance(found, GenerateResult):
        for rank, values in enumerate(_candidates(found)):
            tracking.metrics(name_of(run, "generate/candidates"), rank, values)
    for name in FILES.get(stage, ()):
        tracking.artefact(run.path / name)


def tell_result(tracking: Tracking, run: RunFolder) -> None:
    """The final numbers, and the report, which is written."""
    if not tracking.anyone:
        return
    tracking.metrics(RESULT, 0, dict(_result(run)))
    for name in REPORT:
        tracking.artefact(run.path / name)


def evaluations(track: Track, space: Space, latency: LatencyModel) -> Callable[[Line], None]:
    """What is told of every evaluation of a search."""

    def told(line: Line) -> None:
        arch = space.architecture(line.choice)
        worth: dict[str, Value] = ({"failed": line.failed} if isinstance(line, Failure)
                                   else {"score": line.score, "seconds": line.seconds})
        track(f"search/{line.phase}", line.number, {
            **worth, "latency_ms": latency.predict(arch).latency_ms, "architecture": _as_json(arch)})

    return told


def _as_json(arch: Architecture) -> str:
    """`run.space.architecture(choice)` makes it again."""
    return json.dumps({"choice": list(arch.choice), "ops": [op.signature for op in arch.ops]})


def _about(run: RunFolder) -> dict[str, Any]:
    """The options under their flat names, and what the data and the space turned out to be."""
    found: dict[str, Any] = {name: value for name, value in run.state.config.flat().items() if value is not None}
    if (data := run.found_if_done(DataResult)) is not None:
        found |= {"data_summary": data.summary, "data_fingerprint": data.fingerprint, "space_size": data.size}
    return {**found, **{f"version_{name}": version for name, version in run.state.versions.items()}}


def _ms(timed: TimedResult | None, name: str) -> Iterator[tuple[str, Value]]:
    if timed is not None:
        yield name, timed.median_ms


@singledispatch
def _numbers(found: StageResult) -> Iterator[tuple[str, Value]]:
    yield from ()


@_numbers.register
def _(found: ProfileResult) -> Iterator[tuple[str, Value]]:
    for lane in found.lanes:
        yield f"{lane.precision}.reference_ms", lane.reference_ms
        yield f"{lane.precision}.smallest_ms", lane.smallest_ms
        yield f"{lane.precision}.timed_blocks", lane.measured
        if lane.held_out is not None and "mape" in lane.held_out:
            yield f"{lane.precision}.held_out_error_percent", float(lane.held_out["mape"])


@_numbers.register
def _(found: TrainedResult) -> Iterator[tuple[str, Value]]:
    yield "score", found.score


@_numbers.register
def _(found: SearchResult) -> Iterator[tuple[str, Value]]:
    yield from (("baseline", found.baseline), ("best_score", found.best_score), ("entropy", found.entropy),
                ("evaluations", found.evaluations), ("failed", found.failed))


@_numbers.register
def _(found: GenerateResult) -> Iterator[tuple[str, Value]]:
    yield "predicted_ms", found.predicted["latency"] / 1e6
    yield from _ms(found.measured_ms, "measured_ms")
    yield from _ms(found.reference_measured_ms, "reference_measured_ms")
    yield "choice", json.dumps(found.choice)


@_numbers.register
def _(found: ExportResult) -> Iterator[tuple[str, Value]]:
    yield from (("score", found.verdict.score), ("reference_score", found.reference.score))
    yield from _ms(found.verdict.latency, "measured_ms")
    yield from _ms(found.reference.latency, "reference_measured_ms")


def _candidates(found: GenerateResult) -> Iterator[dict[str, Value]]:
    for c in found.candidates:
        numbers = {"score": c.score, "predicted_score": c.predicted_score, "predicted_ms": c.predicted_ms,
                   "measured_ms": c.measured_ms, "trial_score": c.trial}
        told = json.dumps({"choice": c.choice, "variant": c.variant, "precision": c.precision})
        yield {**{name: value for name, value in numbers.items() if value is not None}, "architecture": told}


def _result(run: RunFolder) -> Iterator[tuple[str, Value]]:
    found = summary(run)
    for who, network in (("reference", found.reference), ("compressed", found.compressed)):
        yield from ((f"{who}.{name}", value) for name, value in _network(network))
    if found.ratio is not None:
        yield "latency_ratio", found.ratio
    for budget in found.budgets:
        yield f"budget.{budget.name}.asked", budget.asked
        yield f"budget.{budget.name}.limit", budget.limit
        yield f"budget.{budget.name}.reached", budget.value


def _network(network: NetworkSummary) -> Iterator[tuple[str, Value]]:
    yield from (("score", network.score), ("predicted_ms", network.predicted_ms))
    yield from _ms(network.measured, "measured_ms")
    yield from (("flops", network.flops), ("params", network.params), ("memory_bytes", network.memory_bytes),
                ("size_bytes", network.size_bytes))
    yield from network.spent.items()


@_numbers.register
def _(found: UnitsResult) -> Iterator[tuple[str, Value]]:
    yield "whole_ms", found.whole_ms
    yield "units", len(found.units)


@_numbers.register
def _(found: ScoresResult) -> Iterator[tuple[str, Value]]:
    for precision, scores in found.uniform.items():
        yield from ((f"uniform.{precision}.{name}", value) for name, value in scores.items())


@_numbers.register
def _(found: ShipResult) -> Iterator[tuple[str, Value]]:
    yield "ratio", found.ratio
    for row in found.rows:
        yield f"{row.name}.latency_ms", row.latency.median_ms
        yield from ((f"{row.name}.{name}", value) for name, value in row.scores.items())

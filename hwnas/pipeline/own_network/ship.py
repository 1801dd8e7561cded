"""Stage ship: the result as a file, beside the user's network and its uniform int8, in one interleaved run.

| file              | what                                                                         |
|-------------------|------------------------------------------------------------------------------|
| model.onnx        | the result                                                                   |
| uniform-int8.onnx | every unit in int8, for comparison                                           |
| report.json       | units, plans, networks: what became of everything, in time and in loss       |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hwnas.errors import VerificationFailed
from hwnas.files import write_bytes, write_json
from hwnas.pipeline.own_network.context import OwnContext
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.own_results import OWN_RESULTS, PlanResult, ShippedRow, ShipResult
from hwnas.pipeline.run.result_parts import TimedResult
from hwnas.pipeline.selection.candidates import MARGIN, TRIES
from hwnas.pipeline.stages.stage import Again, Stage
from hwnas.runtime import compare
from hwnas.runtime.pinning import pinned
from hwnas.surgery.plan import FLOAT

SWEEPS = 40
ORIGINAL, RESULT = "network", "model"


class OverBudget(Again):
    """The result measured over its budget beside the user's network."""

    stage = PlanResult.stage

    def __init__(self, median_ms: float, limit_ms: float) -> None:
        super().__init__()
        self.median_ms, self.limit_ms = median_ms, limit_ms

    def amend(self, run: RunFolder) -> None:
        """A tighter budget.

        Raises:
            VerificationFailed: this was the last try.
        """
        if run.state.attempts >= TRIES:
            raise VerificationFailed(f"over budget after {TRIES} tries: median {self.median_ms:.3f} ms, budget "
                                     f"{self.limit_ms:.3f} ms beside the network as it was given; the model is in "
                                     f"{run.path / 'model.onnx'}: raise the budget")
        run.state.tighten *= MARGIN * self.limit_ms / self.median_ms
        run.state.attempts += 1


class ShipStage(Stage[ShipResult]):
    """What ships, and the evidence that it is right and fast enough."""

    name = ShipResult.stage

    def run(self, context: OwnContext) -> ShipResult:
        """Write, judge and time.

        Raises:
            OverBudget: the result measured over its budget.
        """
        models = self._models(context)
        for name, model in models.items():
            if name != ORIGINAL:
                write_bytes(context.run.path / f"{name}.onnx", model)
        sessions = {name: context.runtime.load(model) for name, model in models.items()}
        with pinned(context.target.cores):
            times = compare(sessions, sweeps=SWEEPS, batch=context.target.batch, progress=context.progress)
        limit = context.budget.absolute(times[ORIGINAL].median_ms * 1e6) / 1e6
        if times[RESULT].median_ms > limit:
            raise OverBudget(times[RESULT].median_ms, limit)
        judge = context.judging
        rows = [ShippedRow(
            name=name, file=f"{name}.onnx", latency=TimedResult.model_validate(times[name].to_json()),
            scores=judge.score(context.running(model)).to_json(), size_bytes=len(model))
            for name, model in models.items()]
        found = ShipResult(rows=rows, ratio=times[RESULT].median_ms / times[ORIGINAL].median_ms, limit_ms=limit,
                           met=times[RESULT].median_ms <= limit)
        write_json(context.run.path / "report.json", report_json(context.run, found))
        return found

    def leaves(self, found: ShipResult) -> Sequence[str]:
        return sorted({"report.json", *(row.file for row in found.rows if row.name != ORIGINAL)})

    def _models(self, context: OwnContext) -> dict[str, bytes]:
        """The result is what stage tune left, byte by byte; nothing is calibrated anew."""
        assembler, places = context.assembler, context.places
        uniform = {f"uniform-{p}": places.uniform(p) for p in context.precisions if p != FLOAT}
        lower: dict[str, Any] = {name: assembler.model(plan) for name, plan in uniform.items()}
        chosen = (context.run.path / "result.onnx").read_bytes()
        return {ORIGINAL: assembler.model({}), **lower, RESULT: chosen}


def report_json(run: RunFolder, last: ShipResult) -> dict[str, Any]:
    """What all stages found, under their names."""
    before = {result.stage: run.found(result).to_json() for result in OWN_RESULTS if result is not ShipResult}
    return {**before, ShipResult.stage: last.to_json()}

"""Stage ship: the result as a file, beside the user's network and its uniform int8, in one interleaved run.

| file              | what                                                                         |
|-------------------|------------------------------------------------------------------------------|
| model.onnx        | the result                                                                   |
| uniform-int8.onnx | every unit in int8, for comparison                                           |
| model.py, model.safetensors | the result in floats as a torch module, and its weights              |
| samples.safetensors | images, and what the user's network and the result give for them           |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hwnas.errors import UsageError, VerificationFailed
from hwnas.export.metadata import stamped
from hwnas.export.own_samples import OwnSamples, stacked
from hwnas.files import write_bytes
from hwnas.pipeline.own_network.context import OwnContext
from hwnas.pipeline.own_network.provenance import own_provenance
from hwnas.pipeline.own_network.tune import FILE as CHOSEN
from hwnas.pipeline.own_network.tune import FLOATS
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.own_results import PlanResult, ShippedRow, ShipResult
from hwnas.pipeline.run.result_parts import TimedResult
from hwnas.pipeline.selection.candidates import MARGIN, TRIES
from hwnas.pipeline.stages.stage import Again, Stage
from hwnas.quantize.graph import parse
from hwnas.surgery.plan import FLOAT

SWEEPS = 40
SAMPLES = "samples.safetensors"
MOST_SAMPLES, MOST_BYTES = 64, 64 << 20
SOURCE, WEIGHTS = "model.py", "model.safetensors"
FEEDING = """x = (pixel - mean) / std of pixels 0..255: mean {mean}, std {std}, colour {colour}, {layout}.
An image comes to {size} px by {fit} (crop {crop})."""
UNSTACKED = ("an output of the network has no axis of images, or another shape for every image: `hwnas verify` holds "
             "no outputs against each other, and `hwnas deploy` makes no bundle of it")
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
        times = context.timed(models, SWEEPS)
        limit = context.budget.absolute(times[ORIGINAL].median_ms * 1e6) / 1e6
        judge, samples = context.judging, self._samples(context, models)
        kept = len(samples.images) if samples else 0
        shapes = [(1, *output.shape[1:]) for output in samples.outputs] if samples else None
        for name, model in models.items():
            if name != ORIGINAL:
                promised = (limit, kept) if name == RESULT else (None, 0)
                models[name] = stamped(model, own_provenance(context, judge, model, shapes,
                                                             (times[ORIGINAL], times[name]), *promised))
        for name, model in models.items():
            if name != ORIGINAL:
                write_bytes(context.run.path / f"{name}.onnx", model)
        if times[RESULT].median_ms > limit:
            raise OverBudget(times[RESULT].median_ms, limit)
        if samples:
            samples.save(context.run.path / SAMPLES)
        rows = [ShippedRow(
            name=name, file=f"{name}.onnx", latency=TimedResult.model_validate(times[name].to_json()),
            scores=judge.score(context.running(model)).to_json(), size_bytes=len(model))
            for name, model in models.items()]
        why = self._leave_source(context)
        return ShipResult(
            rows=rows, ratio=times[RESULT].median_ms / times[ORIGINAL].median_ms, limit_ms=limit,
            samples=kept, no_source=why, warnings=[*([] if samples else [UNSTACKED]), *context.company(times[RESULT])])

    def leaves(self, found: ShipResult) -> Sequence[str]:
        return [*(row.file for row in found.rows if row.name != ORIGINAL), *([SAMPLES] if found.samples else []),
                *([] if found.no_source else [SOURCE, WEIGHTS])]

    def _models(self, context: OwnContext) -> dict[str, bytes]:
        """The result is what stage tune left, byte by byte; nothing is calibrated anew."""
        assembler, places = context.assembler, context.places
        uniform = {f"uniform-{p}": places.uniform(p) for p in context.precisions if p != FLOAT}
        lower: dict[str, Any] = {name: assembler.model(plan) for name, plan in uniform.items()}
        chosen = (context.run.path / CHOSEN).read_bytes()
        return {ORIGINAL: assembler.model({}), **lower, RESULT: chosen}

    def _leave_source(self, context: OwnContext) -> str:
        """The result in floats as a torch module and its weights; why not, where that cannot be."""
        try:
            from safetensors.torch import save

            from hwnas.surgery.torch_source import torch_source
        except ImportError as err:
            return f"{err.name} is not installed"
        network, contract = context.network, context.contract
        unit_of = {name: unit for i, unit in context.cut.unit_of.items() for name in context.cut.flow.nodes[i].output}

        def place_of(made: str) -> str:
            first = made.partition("/")[0]
            return unit_of.get(made) or (first if first in context.cut else "")

        try:
            found = torch_source(
                parse((context.run.path / FLOATS).read_bytes()), title=f"What became of {network.name}.",
                feeding=FEEDING.format(**contract.to_json(), size="x".join(map(str, network.size))),
                version=context.run.state.versions.get("hwnas", ""), place_of=place_of)
        except UsageError as err:
            return str(err)
        write_bytes(context.run.path / SOURCE, found.text.encode())
        write_bytes(context.run.path / WEIGHTS, save(dict(found.weights)))
        return ""

    def _samples(self, context: OwnContext, models: Mapping[str, bytes]) -> OwnSamples | None:
        """Images that judge, and what both networks give for them; None where that has no axis of images."""
        chosen = context.judged.take(MOST_SAMPLES, context.config.seed)
        first = chosen.pixels(slice(0, 1))
        run, given = context.running(models[RESULT]), context.running(models[ORIGINAL])
        apply = context.contract.apply
        size = first.nbytes + 2 * sum(np.asarray(output).nbytes for output in run(apply(first)))
        images = chosen.pixels(slice(0, max(1, min(MOST_SAMPLES, MOST_BYTES // max(size, 1)))))
        rows = [[list(map(np.asarray, network(apply(image[None])))) for image in images] for network in (run, given)]
        outputs, truth = map(stacked, rows)
        if outputs is None or truth is None or [a.shape for a in outputs] != [b.shape for b in truth]:
            return None
        runtime = f"{context.runtime.name} {context.runtime.version}"
        return OwnSamples(images, outputs, truth, chosen.labels[: len(images)], runtime)

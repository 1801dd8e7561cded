"""Stage export: the networks as ONNX in the precision that ships, checked and timed side by side.

| file             | what                                                                       |
|------------------|----------------------------------------------------------------------------|
| model.onnx       | the result, in the precision that ships                                    |
| model-fp32.onnx  | the same network in fp32, if that does not ship: torch's outputs to 1e-4    |
| reference.onnx   | the reference in fp32, which percentages are of                            |
| reference-P.onnx | the reference in every other precision of the run                          |

A lower precision is calibrated on training images and judged on the validation images against the same weights in fp32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hwnas.data.views import AnyImages
from hwnas.errors import VerificationFailed
from hwnas.export import Samples, Verdict, answers, onnx_bytes, stamped, verify
from hwnas.export.onnx_export import INPUT
from hwnas.files import write_bytes
from hwnas.nets import Network
from hwnas.pipeline.commands import profile_command
from hwnas.pipeline.context import RunContext
from hwnas.pipeline.exported.inference import answering, calibration_inputs, in_form
from hwnas.pipeline.exported.provenance import provenance
from hwnas.pipeline.exported.validation_artifacts import Artifacts, write_artifacts
from hwnas.pipeline.latencies.latency_sources import in_fp32
from hwnas.pipeline.run import details
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.limits import limits_of, promised
from hwnas.pipeline.run.result_parts import DifferenceResult, PromiseResult, VerdictResult
from hwnas.pipeline.run.results import ExportResult, GenerateResult
from hwnas.pipeline.selection.candidates import FP32, MARGIN, TRIES
from hwnas.pipeline.stages.stage import Again, Stage
from hwnas.runtime import Measurement, Session, compare
from hwnas.runtime.pinning import pinned
from hwnas.runtime.promise import Promise
from hwnas.space import Architecture
from hwnas.target import Target
from hwnas.tasks.metric import Batches
from hwnas.train.evaluate import outputs_of

if TYPE_CHECKING:
    from hwnas.train import Workload

CHECK_IMAGES = 512  # kept beside the model to check it on a device that has no data
CHECK_PIXELS = 1 << 23  # of these at most, so that large images stay few megabytes
SWEEPS = 40
SAME = 0.02  # by which two medians of one interleaved run may differ and mean nothing


class OverBudget(Again):
    """The exported model measured over its latency budget.

    Args:
        limit_ms: what the budget came to at the speed of the measurement.
        factor: by how much to tighten.
    """

    stage = "generate"

    def __init__(self, verdict: Verdict, limit_ms: float, factor: float) -> None:
        super().__init__()
        self.verdict, self.limit_ms, self.factor = verdict, limit_ms, factor

    def amend(self, run: RunFolder) -> None:
        """A tighter budget.

        Raises:
            VerificationFailed: this was the last try.
        """
        if run.state.attempts >= TRIES:
            latency = self.verdict.latency
            median = latency.median_ms if latency else float("nan")
            raise VerificationFailed(
                f"over budget after {TRIES} tries: median {median:.3f} ms, budget {self.limit_ms:.3f} ms beside the "
                f"reference; the model is in {run.path / 'model.onnx'}: measure the table "
                "again (`hwnas profile --again`) or raise the budget"
            )
        run.state.tighten *= self.factor
        run.state.attempts += 1


class Refused(Again):
    """The precision that `auto` took does not hold in the exported model."""

    stage = "generate"

    def __init__(self, precision: str) -> None:
        super().__init__()
        self.precision = precision

    def amend(self, run: RunFolder) -> None:
        """Without that precision."""
        run.state.refused.append(self.precision)


@dataclass(frozen=True)
class Export:
    """One model in one precision.

    Args:
        name: e.g. 'model', 'reference-int8'.
        task: with images of the size that it takes.
        model: ONNX bytes in the target's form.
        session: the model, loaded once.
        samples: images with the outputs of torch.
        exact: outputs of the network in fp32 for the validation images; None for fp32 itself.
    """

    name: str
    task: Workload
    target: Target
    model: bytes
    session: Session
    samples: Samples
    exact: Batches | None


class ExportStage(Stage[ExportResult]):
    """What ships, and the evidence that it is right and fast enough."""

    name = ExportResult.stage

    def run(self, context: RunContext) -> ExportResult:
        """Raises OverBudget, Refused or VerificationFailed as `ModelExporter.export`."""
        return ModelExporter(context).export()

    def leaves(self, found: ExportResult) -> Sequence[str]:
        lowered = ["model-fp32.onnx"] if found.exact else []
        references = [f"reference-{precision}.onnx" for precision in found.references]
        return sorted(["model.onnx", "reference.onnx", "samples.safetensors", details.FILE, *lowered, *references,
                       *found.examples])


class ModelExporter:
    """Makes, checks and times the models of one run.

    Args:
        context: the run.
    """

    def __init__(self, context: RunContext) -> None:
        self._context, self._run = context, context.run
        self.precision = self._run.found(GenerateResult).precision
        self.target = context.targets[self.precision]
        self._exact = in_fp32(self.target)
        self._here = self._run.lane(self.precision).here

    def export(self) -> ExportResult:
        """Write, check and time all of them.

        Raises:
            OverBudget: the result measured over its budget.
            Refused: one of several precisions turned out to lose too much, or to be slower than fp32.
            VerificationFailed: the model is not right.
        """
        exports = self._exports()
        times = self._times(exports)
        promise = self._promise(times.get("reference"))
        verdicts = {e.name: self._verdict(e, promise, times) for e in exports.values()}
        self._judge(verdicts)
        artifacts = write_artifacts(exports["model"].task, exports["model"].session, self._run.path,
                                    {"reference": verdicts["reference"], "compressed": verdicts["model"]})
        return self._told(verdicts, promise, artifacts)

    def write_model(self, net: Network, path: Path) -> Session:
        """A network in eval mode as ONNX, in the precision that ships; returns it loaded."""
        exact = self._fp32("model-fp32" if self._lossy else "model", net, self._context.architecture)
        found = self._lowered("model", exact, self.target) if self._lossy else exact
        write_bytes(path, found.model)
        return found.session

    @property
    def _lossy(self) -> bool:
        return self.precision != FP32

    def _exports(self) -> dict[str, Export]:
        """All models by name, written."""
        context, path = self._context, self._run.path
        context.progress("export", 0, 2)
        reference = self._fp32("reference", context.reference, context.space.reference)
        found = {"reference": reference}
        for precision, target in context.targets.items():
            if precision != FP32:
                found[f"reference-{precision}"] = self._lowered(f"reference-{precision}", reference, target)
        context.progress("export", 1, 2)
        net = context.network_of(context.architecture, path / "model.safetensors")
        exact = self._fp32("model-fp32" if self._lossy else "model", net, context.architecture)
        found[exact.name] = exact
        if self._lossy:
            found["model"] = self._lowered("model", exact, self.target)
        exact.samples.save(path / "samples.safetensors")
        for name, export in found.items():
            write_bytes(path / f"{name}.onnx", export.model)
        context.progress("export", 2, 2)
        return found

    def _fp32(self, name: str, net: Network, arch: Architecture) -> Export:
        told = provenance(self._context, arch, name.partition("-")[0], self._exact)
        model = onnx_bytes(net, told)
        task, classes = self._context.task_of(arch.space), len(self._context.dataset.classes)
        images = np.asarray(task.val_images[: _check_images(task.val_images)])
        outputs = (np.concatenate(parts) for parts in zip(*outputs_of(net, images), strict=True))
        samples = Samples(images, task.metric.first(len(images)), tuple(outputs), classes)
        return Export(name, task, self._exact, model, answering(model, self._exact), samples, None)

    def _lowered(self, name: str, exact: Export, target: Target) -> Export:
        """An fp32 export in another precision, calibrated on training images."""
        arch = self._context.space.reference if name.startswith("reference") else self._context.architecture
        inputs = calibration_inputs(exact.task.train_images, INPUT, self._context.config.seed)
        model = stamped(in_form(exact.model, target, inputs),
                        provenance(self._context, arch, name.partition("-")[0], target))
        found = list(answers(exact.session, exact.task.val_images))
        return Export(name, exact.task, target, model, answering(model, target), exact.samples, found)

    def _times(self, exports: dict[str, Export]) -> dict[str, Measurement]:
        """Latencies in one interleaved run; nothing where the device is not at hand."""
        if not self._here:
            return {}
        with pinned(self.target.cores):
            return compare({name: e.session for name, e in exports.items()}, sweeps=SWEEPS, batch=self.target.batch,
                           progress=self._context.progress)

    def _promise(self, reference: Measurement | None) -> Promise | None:
        """The latency budget as it will be judged from now on."""
        limit = limits_of(self._run).get("latency")
        if limit is None:
            return None
        return promised(limit, reference.median_ms if reference else None, self._run.found(GenerateResult).interval)

    def _verdict(self, export: Export, promise: Promise | None, times: Mapping[str, Measurement]) -> Verdict:
        task = export.task
        return verify(self._run.path / f"{export.name}.onnx", export.samples, export.target,
                      promise=promise if export.name == "model" else None,
                      evaluation=(task.val_images, task.metric), exact=export.exact, latency=times.get(export.name),
                      reference=times.get("reference"), session=export.session, timing=False,
                      classes=self._context.dataset.classes)

    def _judge(self, verdicts: dict[str, Verdict]) -> None:
        """Raise where the result does not hold."""
        found, exact = verdicts["model"], verdicts.get("model-fp32")
        if exact is not None:
            exact.check()
            if len(self._context.targets) > 1 and (_costs_too_much(found) or _gains_nothing(found, exact)):
                raise Refused(self.precision)
        limit = self._limit_now_ms(verdicts["reference"])
        if limit is not None and found.latency is not None and found.latency.median_ms > limit:
            raise OverBudget(found, limit, MARGIN * limit / found.latency.median_ms)
        found.check()

    def _limit_now_ms(self, reference: Verdict) -> float | None:
        """What the budget comes to at the speed of this run's times: a percentage is of the reference among them."""
        budget = self._context.budgets.get("latency")
        if budget is None or reference.latency is None:
            return None
        return budget.absolute(reference.latency.median_ms * 1e6) / 1e6

    def _told(self, verdicts: dict[str, Verdict], promise: Promise | None, artifacts: Artifacts) -> ExportResult:
        found, reference, exact = verdicts["model"], verdicts["reference"], verdicts.get("model-fp32")
        path = self._run.path
        ratio = found.latency.median_ms / reference.latency.median_ms if found.latency and reference.latency else None
        others = {name.removeprefix("reference-"): VerdictResult.of(v) for name, v in verdicts.items()
                  if name.startswith("reference-")}
        return ExportResult(
            precision=self.precision, here=self._here, verdict=VerdictResult.of(found),
            reference=VerdictResult.of(reference), exact=VerdictResult.of(exact) if exact else None, references=others,
            budget_ms=promise.latency_ms if promise else None,
            promise=PromiseResult.model_validate(promise.to_json()) if promise else None, ratio=ratio,
            size_bytes=(path / "model.onnx").stat().st_size,
            reference_size_bytes=(path / "reference.onnx").stat().st_size,
            difference=DifferenceResult.model_validate(artifacts.difference), examples=list(artifacts.pictures),
            next=None if self._here else profile_command(self._context.config, self._context.space, self.target),
            warnings=[*artifacts.warnings, *no_gain(found, exact)],
        )


def _check_images(images: AnyImages) -> int:
    return int(min(CHECK_IMAGES, max(8, CHECK_PIXELS // (images.shape[1] * images.shape[2]))))


def no_gain(found: Verdict, exact: Verdict | None) -> list[str]:
    """What must be said of a lower precision that was asked for and gains nothing over the same network in fp32."""
    if exact is None or found.latency is None or exact.latency is None:
        return []
    times, lost = found.latency.median_ms / exact.latency.median_ms, exact.accuracy - found.accuracy
    if times < 1 - SAME or (times <= 1 + SAME and lost <= 0):
        return []
    how = "slower" if times > 1 + SAME else "no faster"
    worse = " and worse" if lost > 0 else ""
    return [f"{found.precision} is {how}{worse} than fp32 of the same network on this device: "
            f"{found.latency.median_ms:.3f} ms and {found.accuracy:.2f} % against {exact.latency.median_ms:.3f} ms and "
            f"{exact.accuracy:.2f} %. --precision fp32 ships the better one, --precision auto whichever is better"]


def _costs_too_much(found: Verdict) -> bool:
    return found.loss is not None and found.loss.too_much


def _gains_nothing(found: Verdict, exact: Verdict) -> bool:
    both = found.latency is not None and exact.latency is not None
    return both and found.latency.median_ms > exact.latency.median_ms  # type: ignore[union-attr]

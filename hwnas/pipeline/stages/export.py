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

from hwnas.errors import VerificationFailed
from hwnas.export import Verdict, verify
from hwnas.pipeline.commands import profile_command
from hwnas.pipeline.context import RunContext
from hwnas.pipeline.exported.model_exporter import Export, ModelExporter
from hwnas.pipeline.exported.validation_artifacts import Artifacts, write_artifacts
from hwnas.pipeline.run import details
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.limits import limits_of, promised
from hwnas.pipeline.run.result_parts import DifferenceResult, PromiseResult, VerdictResult
from hwnas.pipeline.run.results import ExportResult, GenerateResult
from hwnas.pipeline.selection.candidates import MARGIN, TRIES
from hwnas.pipeline.stages.stage import Again, Stage
from hwnas.runtime import Measurement, compare
from hwnas.runtime.pinning import pinned
from hwnas.runtime.promise import Promise

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


class ExportStage(Stage[ExportResult]):
    """What ships, and the evidence that it is right and fast enough."""

    name = ExportResult.stage

    def run(self, context: RunContext) -> ExportResult:
        """Write, check and time all models.

        Raises:
            OverBudget: the result measured over its budget.
            Refused: one of several precisions turned out to lose too much, or to be slower than fp32.
            VerificationFailed: the model is not right.
        """
        return _Shipping(context).found()

    def leaves(self, found: ExportResult) -> Sequence[str]:
        lowered = ["model-fp32.onnx"] if found.exact else []
        references = [f"reference-{precision}.onnx" for precision in found.references]
        return sorted(["model.onnx", "reference.onnx", "samples.safetensors", details.FILE, *lowered, *references,
                       *found.examples])


class _Shipping:
    """Times and judges the models of one run.

    Args:
        context: the run.
    """

    def __init__(self, context: RunContext) -> None:
        self._context, self._run = context, context.run
        self._exporter = ModelExporter(context)
        self.precision, self.target = self._exporter.precision, self._exporter.target
        self._here = self._run.lane(self.precision).here

    def found(self) -> ExportResult:
        """Write, check and time all of them."""
        exports = self._exporter.exports()
        times = self._times(exports)
        promise = self._promise(times.get("reference"))
        verdicts = {e.name: self._verdict(e, promise, times) for e in exports.values()}
        self._judge(verdicts)
        artifacts = write_artifacts(exports["model"].workload, exports["model"].session, self._run.path,
                                    {"reference": verdicts["reference"], "compressed": verdicts["model"]})
        return self._told(verdicts, promise, artifacts)

    def _times(self, exports: dict[str, Export]) -> dict[str, Measurement]:
        """Latencies in one interleaved run; nothing where the device is not at hand."""
        if not self._here:
            return {}
        then = self._run.state.reference
        with pinned(self.target.cores):
            return compare({name: e.session for name, e in exports.items()}, sweeps=SWEEPS, batch=self.target.batch,
                           calm_kernel_ms=(then.kernel_ms if then else None) or 0.0, progress=self._context.progress)

    def _promise(self, reference: Measurement | None) -> Promise | None:
        """The latency budget as it will be judged from now on."""
        limit = limits_of(self._run).get("latency")
        if limit is None:
            return None
        return promised(limit, reference.median_ms if reference else None, self._run.found(GenerateResult).interval)

    def _verdict(self, export: Export, promise: Promise | None, times: Mapping[str, Measurement]) -> Verdict:
        workload = export.workload
        return verify(self._run.path / f"{export.name}.onnx", export.samples, export.target,
                      promise=promise if export.name == "model" else None,
                      evaluation=(workload.val_images, workload.metric), exact=export.exact,
                      latency=times.get(export.name), reference=times.get("reference"), session=export.session,
                      timing=False, classes=self._context.dataset.classes)

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


def no_gain(found: Verdict, exact: Verdict | None) -> list[str]:
    """What must be said of a lower precision that was asked for and gains nothing over the same network in fp32."""
    if exact is None or found.latency is None or exact.latency is None:
        return []
    times, lost = found.latency.median_ms / exact.latency.median_ms, exact.score - found.score
    if times < 1 - SAME or (times <= 1 + SAME and lost <= 0):
        return []
    how = "slower" if times > 1 + SAME else "no faster"
    worse = " and worse" if lost > 0 else ""
    return [f"{found.precision} is {how}{worse} than fp32 of the same network on this device: "
            f"{found.latency.median_ms:.3f} ms and {found.score:.2f} % against {exact.latency.median_ms:.3f} ms and "
            f"{exact.score:.2f} %. --precision fp32 ships the better one, --precision auto whichever is better"]


def _costs_too_much(found: Verdict) -> bool:
    return found.loss is not None and found.loss.too_much


def _gains_nothing(found: Verdict, exact: Verdict) -> bool:
    both = found.latency is not None and exact.latency is not None
    return both and found.latency.median_ms > exact.latency.median_ms  # type: ignore[union-attr]

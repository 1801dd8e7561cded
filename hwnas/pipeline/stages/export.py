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
from hwnas.pipeline.config.budget import MEASURED_AT_THE_END, THROUGHPUT, called, show
from hwnas.pipeline.context import RunContext
from hwnas.pipeline.exported.inference import LEAST, busy
from hwnas.pipeline.exported.model_exporter import Export, ModelExporter
from hwnas.pipeline.exported.validation_artifacts import Artifacts, write_artifacts
from hwnas.pipeline.latencies.latency_sources import in_fp32, targets_of
from hwnas.pipeline.latencies.spending import spent_by
from hwnas.pipeline.run import details
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.limits import batch_of, limits_of, promised, reference_of, time_limit
from hwnas.pipeline.run.result_parts import DifferenceResult, PromiseResult, SpentResult, VerdictResult
from hwnas.pipeline.run.results import ExportResult, GenerateResult
from hwnas.pipeline.selection.candidates import MARGIN, TRIES
from hwnas.pipeline.stages.stage import Again, Stage
from hwnas.runtime import Measurement, compare
from hwnas.runtime.pinning import pinned
from hwnas.runtime.promise import MEASURED, Promise
from hwnas.runtime.timing import patience

SWEEPS = 40
SAME = 0.02  # by which two medians of one interleaved run may differ and mean nothing


class OverBudget(Again):
    """The exported model measured over a budget.

    Args:
        name: of the budget; of time in the median 'latency'.
        told: what measured, and what the budget came to.
        factor: by how much to tighten.
    """

    stage = "generate"

    def __init__(self, name: str, told: str, factor: float) -> None:
        super().__init__()
        self.budget, self.told, self.factor = name, told, factor

    def amend(self, run: RunFolder) -> None:
        """A tighter budget.

        Raises:
            VerificationFailed: this was the last try.
        """
        if run.state.attempts >= TRIES:
            way_out = ""
            if self.budget == "latency":
                again = profile_command(run.state.config, run.space, targets_of(run.state.config)[0], again=True)
                way_out = f"measure the table again (`{again}`) or "
            raise VerificationFailed(f"over budget after {TRIES} tries: {self.told}; the model is in "
                                     f"{run.path / 'model.onnx'}: {way_out}raise the budget")
        if self.budget == "latency":
            run.state.tighten *= self.factor
        else:
            run.state.tightened[self.budget] = run.state.tightened.get(self.budget, 1.0) * self.factor
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
        spent = {name: self._spent(name) for name in ("model", "reference")}
        self._check_spent(spent["model"])
        artifacts = write_artifacts(exports["model"].workload, exports["model"].session, self._run.path,
                                    {"reference": verdicts["reference"], "compressed": verdicts["model"]})
        return self._told(verdicts, promise, artifacts, spent)

    def _times(self, exports: dict[str, Export]) -> dict[str, Measurement]:
        """Latencies in one interleaved run; nothing where the device is not at hand."""
        if not self._here:
            return {}
        with pinned(self.target.cores):
            return compare({name: e.session for name, e in exports.items()}, sweeps=SWEEPS, batch=self.target.batch,
                           min_seconds=min(LEAST, patience()), calm_kernel_ms=self._calm_kernel_ms,
                           usual_ms=self._usual_ms, progress=self._context.progress)

    @property
    def _calm_kernel_ms(self) -> float:
        """What the reference kernel takes on this machine when it is calm; 0 where the run does not know."""
        then = self._run.state.reference
        return (then.kernel_ms if then else None) or 0.0

    @property
    def _usual_ms(self) -> dict[str, float]:
        """What the reference takes on this machine when it is calm; empty where the run did not measure it."""
        then = self._run.state.reference
        return {"reference": then.latency_ms} if then and then.basis == MEASURED and not then.derived else {}

    def _promise(self, reference: Measurement | None) -> Promise | None:
        """The latency budget as it will be judged from now on."""
        limit = time_limit(limits_of(self._run), batch_of(self._run))
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
            median = found.latency.median_ms
            raise OverBudget("latency", f"median {median:.3f} ms, budget {limit:.3f} ms beside the reference",
                             MARGIN * limit / median)
        found.check()

    def _spent(self, name: str) -> SpentResult:
        """What a network takes besides its median time: what budgets ask for, and what is of interest anyhow."""
        thorough = [budget for budget in MEASURED_AT_THE_END if budget in self._context.budgets]
        content = (self._run.path / f"{name}.onnx").read_bytes()
        if not self._here:
            return SpentResult(file_bytes=len(content))
        self._context.progress("measuring memory, energy and tails", int(name != "model"), 2)
        target = self.target if name == "model" else in_fp32(self.target)
        return spent_by(content, target, thorough, besides=True, calm_kernel_ms=self._calm_kernel_ms)

    def _check_spent(self, spent: SpentResult) -> None:
        """Raises OverBudget for the budget that the result exceeds by most."""
        silent = [name for name in MEASURED_AT_THE_END if name in self._context.budgets and spent.amount(name) is None]
        if silent:
            raise VerificationFailed(f"{called(silent[0])} of the result was not measured although there is a budget: "
                                     "the meter fell silent, or the device is another; go on with --resume on it")
        over = [(limit.value / value, name, limit) for name, limit in limits_of(self._run).items()
                if name in MEASURED_AT_THE_END and (value := spent.amount(name)) is not None
                and spent.kept(name, limit.value, again=False).failed]
        if over:
            share, name, limit = min(over, key=lambda found: found[0])
            raise OverBudget(name, f"{called(name)} {show(name, limit.value / share)}, budget {limit.text()}",
                             MARGIN * share)

    def _limit_now_ms(self, reference: Verdict) -> float | None:
        """What the budget comes to at the speed of this run's times: a percentage is of the reference among them."""
        if reference.latency is None:
            return None
        of = reference_of(self._run).model_copy(update={"latency_ms": reference.latency.median_ms})
        limit = time_limit({name: of.limit(budget) for name, budget in self._context.budgets.items()
                            if name in ("latency", THROUGHPUT)}, of.batch)
        return None if limit is None else limit.value / 1e6

    def _told(self, verdicts: dict[str, Verdict], promise: Promise | None, artifacts: Artifacts,
              spent: Mapping[str, SpentResult]) -> ExportResult:
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
            spent=spent["model"], reference_spent=spent["reference"],
            difference=DifferenceResult.model_validate(artifacts.difference), examples=list(artifacts.pictures),
            next=None if self._here else profile_command(self._context.config, self._context.space, self.target),
            warnings=[*artifacts.warnings, *no_gain(found, exact),
                      *busy(found.latency, self._calm_kernel_ms)],
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

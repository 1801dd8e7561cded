"""verify: is an exported model, or that of a run, still right and fast enough on this device? No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.data.views import AnyImages
from hwnas.documents import read_bytes
from hwnas.errors import DataError, InputError, UsageError, VerificationFailed
from hwnas.export.metadata import is_own_network, read_exported, task_of_model
from hwnas.export.samples import Samples
from hwnas.export.verification import Verdict, verify
from hwnas.pipeline.config.budget import MEASURED_AT_THE_END, Budget, parse, parse_all
from hwnas.pipeline.config.compress_config import CompressConfig, DataSection
from hwnas.pipeline.exported.inference import TimedModel, busy, time_models
from hwnas.pipeline.exported.own_checking import OwnCheck, check_own
from hwnas.pipeline.latencies.latency_sources import cannot_be_here, in_fp32
from hwnas.pipeline.latencies.spending import spent_by
from hwnas.pipeline.run.cautions import of_standing
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.limits import limits_of, promise_of, reference_of
from hwnas.pipeline.run.reference import Reference
from hwnas.pipeline.run.result_parts import SpentResult, as_json
from hwnas.pipeline.task_setup import load_data
from hwnas.profile.graph_format import graph_form
from hwnas.progress import Progress, silent
from hwnas.runtime import Measurement
from hwnas.runtime.onnx_file import LARGEST_MODEL
from hwnas.runtime.promise import MEASURED, Promise
from hwnas.runtime.spending import Kept
from hwnas.space import SpaceConfig
from hwnas.target import Target
from hwnas.target import load as load_target
from hwnas.tasks import Metric
from hwnas.validation import checked

SWEEPS = 40  # as many as the export stage compares with


@dataclass(frozen=True)
class Check:
    """A verdict and what it was reached with.

    Args:
        model: the file.
        target: where it ran.
        reference: latency of reference.onnx in the same run; None where that tells nothing of the budget.
        promise: what the latency was held against; None without a budget.
        elsewhere: why this machine cannot be the target, so that its latency says nothing; None where it can.
        spent: what the model takes besides its median time; None where this machine cannot be the target.
        kept: of the run's budgets on that, whether they are kept.
        busy: a sentence where no calm machine was found for all patience.
    """

    verdict: Verdict
    model: Path
    target: Target
    reference: Measurement | None
    promise: Promise | None = None
    elsewhere: str | None = None
    spent: SpentResult | None = None
    kept: Sequence[Kept] = ()
    busy: Sequence[str] = ()

    def failures(self) -> list[str]:
        """What is wrong, one sentence each; empty if all is well."""
        return [*self.verdict.failures(), *(found.sentence for found in self.kept if found.failed)]

    def check(self) -> None:
        """Raise VerificationFailed with every failure, if there is one."""
        if failures := self.failures():
            raise VerificationFailed("the exported model failed its check: " + "; ".join(failures))

    def to_json(self) -> dict[str, Any]:
        details = self.verdict.breakdown.to_json() if self.verdict.breakdown else None
        return {
            "model": str(self.model), "target": self.target.model_dump(), **self.verdict.to_json(),
            "reference_latency": self.reference.to_json() if self.reference else None,
            "details": details, "warnings": self.warnings,
            "promise": self.promise.to_json() if self.promise else None, "elsewhere": self.elsewhere,
            "budget_ms": self.promise.latency_ms if self.promise else None,
            "spent": as_json(self.spent), "kept": [found.to_json() for found in self.kept],
            "failures": self.failures(),
        }

    @property
    def warnings(self) -> list[str]:
        """What a person must be told of the score and of the times."""
        told = of_standing("the model", self.verdict.breakdown.standing) if self.verdict.breakdown else []
        return [*told, *self.busy]


def check_model(path: Path, *, samples: Path | None = None, latency: str | None = None, data: str | None = None,
                target: str | None = None, overrides: Mapping[str, object] | None = None,
                progress: Progress = silent) -> Check | OwnCheck:
    """Check the model of a run, or an ONNX file with its samples beside it.

    Args:
        path: a run folder or an ONNX file that hwnas exported.
        samples: images with torch's logits; None takes samples.safetensors beside the model.
        latency: budget such as "8ms" or "50%" (of the reference as its run fixed it, else of reference.onnx beside the
            model, which is timed in turns with it); None takes the budget of the run, or none for a single file.
        data: data set whose validation part gives the score; None takes the samples.
        target: name of a target; None takes the one the model was made for.
        overrides: fields of the target to replace.

    Raises:
        RunError: the run has no exported model, or its files were changed.
        InputError: not a model of hwnas.
        UsageError: a budget that cannot be read, a percentage without a reference, or a precision that is not the
            model's.
    """
    model, run = model_of(path)
    content, metadata = exported_model(model)
    budget = parse("latency", latency) if latency is not None else None
    where = target_of(metadata, target, overrides or {})
    _check_precision(model, metadata, where)
    if is_own_network(metadata):
        return check_own(model, content, metadata, where, budget, samples, data, progress)
    stored = Samples.load(samples or model.parent / "samples.safetensors")
    own = _is_its_own(metadata, where)
    if budget is None and run is not None and not own:  # another setting: the same share, of its own reference
        budget = parse_all(run.state.config.budgets).get("latency")
    promise = _promise(run, metadata, budget, own)
    timing = (promise is None and budget) or (promise and promise.reference_ms)
    calm = _calm_kernel_ms(run, metadata) if own else None
    times = _time(model, where, promise if own else None, calm, progress) if timing else {}
    if budget is not None and budget.relative and "reference" not in times:
        raise UsageError(f"--latency {budget.text} is a share of reference.onnx, which is not beside {model}: "
                         "give a budget in ms")
    if promise is None and budget is not None:
        now_ms = times["reference"].median_ms  # of another setting, or of a file that knows no reference
        promise = Promise(budget.absolute(now_ms), MEASURED, now_ms, budget.value, noise=0.0)
    evaluation = _evaluation(data, metadata, progress) if data else None
    elsewhere = cannot_be_here(where)
    verdict = verify(model, stored, where, promise=None if elsewhere else promise, evaluation=evaluation,
                     latency=times.get("model"), reference=times.get("reference"),
                     classes=_classes(metadata, stored))
    limits = limits_of(run) if run is not None and own and not elsewhere else {}
    asked = [name for name in limits if name in MEASURED_AT_THE_END]
    progress("measuring memory, energy and tails", 0, 1)
    spent = None if elsewhere else spent_by(content, where, asked, besides=True)
    kept = [spent.kept(name, limits[name].value, again=True) for name in asked] if spent else []
    return Check(verdict, model, where, times.get("reference"), promise, elsewhere, spent, kept,
                 busy(times.get("model"), calm or 0.0))


def _classes(metadata: Mapping[str, Any], samples: Samples) -> list[str] | None:
    """The names of the classes, where the model says as many as the samples hold."""
    named = [str(name) for name in metadata.get("classes", [])]
    return named if len(named) == samples.classes else None


def model_of(path: Path) -> tuple[Path, RunFolder | None]:
    """The ONNX file, and its run if that was given."""
    if path.is_file():
        return path, None
    run = RunFolder.open(path)
    run.result(run.model_stage)
    for stage in run.evidence:
        run.done(stage)
    return path / "model.onnx", run


def exported_model(path: Path) -> tuple[bytes, dict[str, Any]]:
    """An exported model, and what it says of itself.

    Raises:
        InputError: it cannot be read, or is not a model of hwnas.
    """
    content = read_model(path)
    try:
        return content, read_exported(content)
    except InputError as err:
        raise InputError(f"{path}: {err}: copy it again, or export it anew with `hwnas export RUN`") from err


def read_model(path: Path) -> bytes:
    return read_bytes(path, LARGEST_MODEL)


def target_of(metadata: Mapping[str, Any], name: str | None, overrides: Mapping[str, object]) -> Target:
    if name is not None:
        return load_target(name, **{"precision": metadata.get("precision"), **_given(overrides)})
    return checked(Target, {**metadata["target"], **_given(overrides)}, "the target", UsageError)


def _given(overrides: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in overrides.items() if value is not None}


def _check_precision(model: Path, metadata: Mapping[str, Any], where: Target) -> None:
    """The precision of a graph is in the graph: int8 cannot be asked of a float file, nor the reverse."""
    stored = metadata.get("precision", metadata["target"]["precision"])
    if graph_form(where) != graph_form(where.model_copy(update={"precision": stored})):
        raise UsageError(f"{model} was exported in {stored} and cannot be run in {where.precision}: leave --precision "
                         f"out, or compress with --precision {where.precision}")


def _is_its_own(metadata: Mapping[str, Any], where: Target) -> bool:
    """Whether a model runs as it was made to: only then the milliseconds of its run say anything."""
    made = target_of(metadata, None, {})
    return (made.name, made.key, made.cores) == (where.name, where.key, where.cores)


def _promise(run: RunFolder | None, metadata: Mapping[str, Any], budget: Budget | None,
             own: bool) -> Promise | None:
    """What the model is held against; None where a percentage is of a reference that has yet to be timed."""
    if budget is None:
        return promise_of(run) if run is not None else None
    if not budget.relative:
        return Promise(budget.value / 1e6, noise=0.0)
    if not own:
        return None
    stored = metadata.get("reference")
    reference = reference_of(run) if run is not None else checked(Reference, stored, "the model") if stored else None
    if reference is None:
        return None
    limit = reference.limit(budget)
    return Promise(limit.value / 1e6, limit.basis, limit.reference / 1e6, budget.value, noise=0.0)


def _calm_kernel_ms(run: RunFolder | None, metadata: Mapping[str, Any]) -> float | None:
    """What the reference kernel took on this target when its run began; None where nothing tells."""
    stored = metadata.get("reference")
    if run is not None:
        return reference_of(run).kernel_ms
    return checked(Reference, stored, "the model").kernel_ms if stored else None


def _time(model: Path, target: Target, promise: Promise | None, calm_kernel_ms: float | None, progress: Progress
          ) -> dict[str, Measurement]:
    """Latencies of 'reference' and 'model' in turns; of the model alone where no reference lies beside it.

    Args:
        promise: of the model on this target: how long the reference took when it was made; None where nothing tells.
        calm_kernel_ms: of the reference kernel then.
    """
    models = {"model": TimedModel(read_model(model), target, in_form=True)}
    other = model.parent / "reference.onnx"
    if other.is_file():
        models = {"reference": TimedModel(read_model(other), in_fp32(target), in_form=True), **models}
    return time_models(models, sweeps=SWEEPS, calm_kernel_ms=calm_kernel_ms,
                       usual_ms=promise.usual_ms if promise else None, progress=progress)


def _evaluation(data: str, metadata: Mapping[str, Any], progress: Progress) -> tuple[AnyImages, Metric]:
    """Validation images and their truth, split with the seed of the run so that no training image is among them."""
    space = SpaceConfig.from_json(metadata["architecture"]["space"])
    task = task_of_model(metadata)
    config = CompressConfig(task=task.name, seed=int(metadata.get("seed", 0)),
                            data=DataSection(source=data, imgsz=space.imgsz, width=space.width))
    found = load_data(config, progress)
    if list(found.classes) != list(metadata["classes"]):
        raise DataError(f"{data} has the classes {', '.join(found.classes[:8])}, the model was trained on "
                        f"{', '.join(metadata['classes'][:8])}: give the data set of the model")
    return found.parts[1].pixels, task.metric(found, task.layout_from(metadata))

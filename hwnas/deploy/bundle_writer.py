"""deploy: a model, its samples and a runner in one folder, for a device that has no hwnas. Whole or not at all."""

from __future__ import annotations

import importlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.deploy.container import DOCKERFILE, IGNORED, container_of
from hwnas.deploy.manifest import LatencyPromise, described
from hwnas.deploy.readme import readme
from hwnas.deploy.reference import beside
from hwnas.deploy.runner.bundle import ANCHORS, DESCRIPTION, IR, MODEL, REFERENCE, SAMPLES, SUMS, Bundle
from hwnas.deploy.runner.checking import Finding, verify
from hwnas.deploy.runner.schema import SPENT
from hwnas.deploy.vendoring import sources
from hwnas.errors import InputError, MissingDependency, UsageError, VerificationFailed
from hwnas.export.interface import Interface
from hwnas.export.metadata import is_own_network, read_exported
from hwnas.export.own_samples import OwnSamples
from hwnas.export.samples import Samples
from hwnas.export.verification import answers
from hwnas.files import appearing, sha256, write_bytes, write_json
from hwnas.pipeline.commands import branch_command
from hwnas.pipeline.config.budget import parse
from hwnas.pipeline.exported.checking import target_of
from hwnas.pipeline.exported.inference import SUBSTITUTE, answering, reach
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.limits import limits_of
from hwnas.pipeline.run.reference import INSIDE
from hwnas.pipeline.run.result_parts import as_json
from hwnas.pipeline.run.results import ExportResult
from hwnas.profile.graph_format import graph_form
from hwnas.quantize import variant_for
from hwnas.runtime.parity import LOSSY
from hwnas.target import Target
from hwnas.target import load as load_target
from hwnas.tasks import DetectionHeadLayout

QUANTISED = ("int8", "mixed")  # forms in which a runtime says where the pairs stand
MOST_IMAGES, MOST_BYTES = 32, 32 << 20  # of samples; at least one image travels


@dataclass(frozen=True)
class Deployed:
    """A bundle that was written.

    Args:
        path: the folder.
        target: what it is for.
        size_bytes: of all its files.
        promise_ms: largest median latency that it promises; None where nothing is known.
        basis: what that is known from: 'measured', 'predicted' or 'estimated'; None where nothing is.
        reference_ms: what the reference that travels with it takes at the speed of the promise; None without one.
        finding: its outputs against the stored ones, on this machine.
    """

    path: Path
    target: Target
    size_bytes: int
    promise_ms: float | None
    finding: Finding
    basis: str | None = None
    reference_ms: float | None = None


def deploy_run(run: RunFolder, out: Path, target: str | None = None) -> Deployed:
    """Pack the model of a run.

    Args:
        run: its stage export is done.
        out: the folder to make.
        target: name of a target; None takes the one the model was made for. For another one nothing is promised.

    Raises:
        RunError: nothing is exported yet, or the files were changed.
        UsageError: `out` is taken, or the target takes another form of graph.
        MissingDependency: the target runs OpenVINO, which is not installed here.
        VerificationFailed: the bundle does not give the stored outputs; nothing is left behind.
    """
    run.result(run.model_stage)
    run.done(run.model_stage)
    model = (run.path / "model.onnx").read_bytes()
    metadata = read_exported(model)
    own = is_own_network(metadata)
    if own and not metadata.get("samples"):
        raise UsageError(f"{run.path}: an output of the network has no axis of images, or another shape for every "
                         "image, so a bundle could not check itself: take model.onnx, which says how it is fed")
    made, where = target_of(metadata, None, {}), _named(metadata, target)
    _check_target(run, made, where, target or where.name)
    promise, spends = None, list[dict[str, Any]]()
    if (where.name, where.key) == (made.name, made.key):
        promise = _own_promise(metadata) if own else _promise(run, run.found(ExportResult))
        spends = [] if own else _spends(run)
    samples = (OwnSamples if own else Samples).load(run.path / "samples.safetensors")
    return write_bundle(out, model, samples, where, promise, spends)


def write_bundle(out: Path, model: bytes, samples: Samples | OwnSamples, target: Target,
                 promise: LatencyPromise | None = None, spends: Sequence[Mapping[str, Any]] = ()) -> Deployed:
    """Write a bundle, and check that it gives what it holds.

    Args:
        out: a folder that is not there, or is empty.
        model: ONNX bytes that hwnas exported, in the form that the target takes.
        samples: images with the outputs that the model must give.
        promise: what is known of the latency; None promises nothing.
        spends: as of `hwnas.deploy.manifest.described`.

    Raises:
        UsageError: `out` is there, or the target cannot take the model.
        InputError: the model is not one of hwnas, or the folder cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists and is not an empty folder: remove it, or choose another -o")
    metadata = read_exported(model)
    stored, outputs_of = _stored(model, samples, target)
    known = promise or LatencyPromise()
    reference = beside(model, metadata, target, reach(target), known.measured, known.device)
    latency = known.to_json(metadata if promise else {}, reference.median_ms if reference else None)
    facts = described(model, metadata, target, latency, outputs_of, samples.relative, spends)
    with appearing(out) as folder:
        if reference:
            write_bytes(folder / REFERENCE, reference.model)
        _write(folder, model, facts, stored, target, Interface.of(metadata).answers)
        finding = verify(Bundle(folder), None if reach(target) else SUBSTITUTE, timing=False, keep=False)
        if failures := finding.failures():
            raise VerificationFailed(f"the bundle was not written, its model fails its check: {'; '.join(failures)}")
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Deployed(out, target, size, latency["promise_ms"], finding, latency["basis"], latency["reference_ms"])


def _check_target(run: RunFolder, made: Target, where: Target, asked: str) -> None:
    """The graph must be one that the target takes; and a name alone never changes what was chosen of it."""
    forms = [(graph_form(t), variant_for(t.runtime) if graph_form(t) in QUANTISED else "") for t in (where, made)]
    if forms[0] != forms[1]:
        told = [f"{form}{f' as {t.runtime} wants it' if variant else ''}" for (form, variant), t in
                zip(forms, (where, made), strict=True)]
        raise UsageError(f"{where} takes a graph in {told[0]}, the model of {run.path} is one in {told[1]}: "
                         f"{branch_command(run.path, asked)}")
    if where.name == made.name and where.key != made.key:
        raise UsageError(f"the model of {run.path} was made for {made}, --target {where.name} alone is {where}: leave "
                         f"--target out, or {branch_command(run.path, asked)}")


def _named(metadata: dict[str, Any], name: str | None) -> Target:
    """The target in the model's precision; in its own where the model's is fp32 and the device, an NPU, has none."""
    found = target_of(metadata, name, {})
    lacks = found.hardware is not None and "fp32" not in found.hardware.peak_tops and found.precision == "fp32"
    return load_target(name) if name is not None and lacks else found


def _promise(run: RunFolder, told: ExportResult) -> LatencyPromise:
    """What the run measured: of its final model, on the device that its tables are of."""
    lane = run.lane()
    device = lane.device if lane.here else None
    asked = _share(run, told)
    return LatencyPromise(as_json(told.verdict.latency), told.budget_ms, device or None, *asked)


def _spends(run: RunFolder) -> list[dict[str, Any]]:
    """Budgets on what the model takes besides its median time, in ms, mJ and bytes."""
    return [{"name": name, "limit": limit.value / INSIDE.get(name, 1.0),
             "share": limit.budget.value if limit.budget.relative else None}
            for name, limit in limits_of(run).items() if name in SPENT]


def _share(run: RunFolder, told: ExportResult) -> tuple[float | None, float | None]:
    """The budget as a share, and what of in ms; none of a budget in ms. Runs of 0.1 say it in their budget alone."""
    if promise := told.promise:
        return promise.share, promise.reference_ms if promise.share else None
    text, limit = run.state.config.budgets.get("latency"), told.budget_ms
    budget = parse("latency", text) if text is not None else None
    if budget is None or limit is None or not budget.relative:
        return None, None
    return budget.value, limit / budget.value


def _own_promise(metadata: dict[str, Any]) -> LatencyPromise:
    """What the run of a user's own network measured."""
    told = metadata["latency"]
    share = told.get("share")
    return LatencyPromise(told["measured"], told["limit_ms"], told.get("device"), share,
                          told["given_ms"] if share else None)


def _stored(model: bytes, samples: Samples | OwnSamples, target: Target) -> tuple[dict[str, np.ndarray], str]:
    """Images and the outputs that the model must give for them, and whose outputs those are."""
    size = samples.images[0].nbytes + sum(output[0].nbytes for output in samples.outputs)
    images = samples.images[: max(1, min(MOST_IMAGES, MOST_BYTES // size))]
    if isinstance(samples, OwnSamples):
        outputs, source = [output[: len(images)] for output in samples.outputs], samples.runtime
    elif target.precision in LOSSY:
        found = zip(*answers(answering(model, target), images), strict=True)
        outputs = [np.concatenate(parts) for parts in found]
        runtime = reach(target)
        source = f"{runtime.name} {runtime.version}" if runtime else SUBSTITUTE
    else:
        outputs, source = [output[: len(images)] for output in samples.outputs], "torch"
    return {"images": images, **{f"output_{i}": output for i, output in enumerate(outputs)}}, source


def _write(folder: Path, model: bytes, facts: dict[str, Any], stored: dict[str, np.ndarray], target: Target,
           answers_of: str) -> None:
    """All files but the sums, then the sums.

    Args:
        answers_of: what is told of an image.
    """
    write_bytes(folder / MODEL, model)
    write_json(folder / DESCRIPTION, facts)
    write_bytes(folder / SAMPLES, _npz(stored))
    if head := facts.get("detection_head"):
        write_bytes(folder / ANCHORS, _npz(_places(DetectionHeadLayout.from_json(head))))
    if target.runtime.startswith("openvino"):
        _save_ir(model, folder / IR)
    for name, content in sources({target.runtime, SUBSTITUTE}).items():
        write_bytes(folder / name, content)
    container = container_of(target)
    if container is not None:
        write_bytes(folder / DOCKERFILE, container.dockerfile().encode())
        write_bytes(folder / IGNORED, b"cache\n**/__pycache__\n")
    write_bytes(folder / "README.md", readme(facts, answers_of, folder / IR, container).encode())
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    lines = [f"{sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    write_bytes(folder / SUMS, "".join(lines).encode())


def _places(head: DetectionHeadLayout) -> dict[str, np.ndarray]:
    """Where the predictions of a detector stand, so that the runner need not know how that is computed."""
    anchors = {"anchors": head.anchors()} if head.kind == "ssdlite" else {}
    return {"points": head.points(), "strides": head.point_strides(), **anchors}


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{name: np.ascontiguousarray(array) for name, array in arrays.items()})  # type: ignore[arg-type]
    return buffer.getvalue()


def _save_ir(model: bytes, path: Path) -> None:
    """OpenVINO's own form, weights as they are: its default would halve them."""
    try:
        openvino: Any = importlib.import_module("openvino")
    except ImportError as err:
        raise MissingDependency("openvino", "a bundle for OpenVINO", 'pip install "hwnas[openvino]"') from err
    try:
        openvino.save_model(openvino.Core().read_model(model), str(path), compress_to_fp16=False)
    except RuntimeError as err:
        raise InputError(f"OpenVINO cannot read this model: {err}") from err

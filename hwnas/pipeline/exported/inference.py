"""Models in the form that a target's runtime wants, loaded and timed. No torch.

Where the runtime of a target is not installed here (a Jetson's, say), answers are computed by ONNX Runtime on this
machine from the same graph; they say nothing of its latency.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hwnas.data.views import AnyImages
from hwnas.errors import MissingDependency, UsageError
from hwnas.imaging.fitting import to_input
from hwnas.profile.graph_format import graph_form
from hwnas.progress import Progress, silent
from hwnas.quantize import Samples, cached, in_precisions, to_form, variant_for
from hwnas.runtime import Fingerprint, Measurement, Runtime, Session, compare, open_runtime, runtime_for
from hwnas.runtime.calm import company
from hwnas.runtime.pinning import pinned
from hwnas.runtime.timing import patience
from hwnas.target import MIXED, Target

SUBSTITUTE = "onnxruntime"
LEAST = 1.0  # seconds of a comparison: two small networks are visited 40 times in a fifth of one, which may be slow
UNTOLD = 3.0  # seconds of a comparison to which nobody told how fast the machine is
CALIBRATION_IMAGES, CALIBRATION_BATCH = 256, 32


@dataclass(frozen=True)
class TimedModel:
    """A model to be timed: fp32 ONNX bytes, or bytes that are in form already, and where."""

    model: bytes
    target: Target
    in_form: bool = False


def reach(target: Target) -> Runtime | None:
    """The runtime of a target, or None where it, its device or its precision is not on this machine."""
    try:
        return runtime_for(target)
    except (MissingDependency, UsageError):
        return None


def fingerprint(target: Target) -> Fingerprint | None:
    """Of this machine with the target's runtime; None where that does not run here."""
    runtime = reach(target)
    return None if runtime is None else Fingerprint.of(runtime)


def in_form(model: bytes, target: Target, samples: Samples | None = None,
            precisions: Mapping[str, str] | None = None) -> bytes:
    """fp32 ONNX bytes in the form that the target's runtime loads.

    Args:
        samples: inputs to calibrate int8 with, which is remembered on disk; None where only the speed matters.
        precisions: position -> precision, for a target of several; the model's nodes are named by position. None leaves
            all in floats.
    """
    if target.precision == MIXED:
        return in_precisions(model, precisions or {}, samples=samples, variant=variant_for(target.runtime))
    make = to_form if samples is None else cached
    return make(model, graph_form(target), samples=samples, variant=variant_for(target.runtime))


def calibration_inputs(images: AnyImages, name: str, seed: int) -> list[dict[str, np.ndarray]]:
    """Inputs to calibrate with: `CALIBRATION_IMAGES` of the uint8 images (N, H, W, C), drawn with `seed`."""
    count = min(CALIBRATION_IMAGES, len(images))
    drawn = np.sort(np.random.default_rng((seed, 3)).permutation(len(images))[:count])
    parts = (images[drawn[i : i + CALIBRATION_BATCH]] for i in range(0, count, CALIBRATION_BATCH))
    return [{name: to_input(part)} for part in parts]


def answering(model: bytes, target: Target) -> Session:
    """A session that gives a model's answers: on the target's runtime, or on the substitute where that is not here.

    The substitute rounds to half floats between its nodes where the target computes in fp16; bf16 it cannot imitate.

    Args:
        model: in the target's form.
    """
    runtime = reach(target)
    if runtime is not None:
        return runtime.load(model)
    graph = to_form(model, "fp16") if target.precision == "fp16" and graph_form(target) == "fp32" else model
    return open_runtime(SUBSTITUTE, target.threads, batch=target.batch).load(graph)


def time_models(models: Mapping[str, TimedModel], *, sweeps: int, calm_kernel_ms: float | None = None,
                usual_ms: Mapping[str, float] | None = None, progress: Progress = silent) -> dict[str, Measurement]:
    """Latencies of models in one interleaved run on this machine; results in the order given.

    Args:
        calm_kernel_ms: of the reference kernel on this machine when it is calm; None where nothing told: then the run
            is long enough to see it calm.
        usual_ms: name -> what a model takes on this machine when it is calm, where that was measured.

    Raises:
        MissingDependency: the runtime is not here.
    """
    sessions = {
        name: runtime_for(entry.target).load(entry.model if entry.in_form else in_form(entry.model, entry.target))
        for name, entry in models.items()
    }
    first = next(iter(models.values())).target
    with pinned(first.cores):
        return compare(sessions, sweeps=sweeps, batch=first.batch, calm_kernel_ms=calm_kernel_ms or 0.0,
                       usual_ms=usual_ms, min_seconds=min(LEAST if calm_kernel_ms else UNTOLD, patience()),
                       progress=progress)


def busy(timed: Measurement | None, calm_kernel_ms: float) -> list[str]:
    """A sentence where a result was timed and no calm machine was found for all patience.

    Args:
        calm_kernel_ms: of the reference kernel on this machine when it is calm; 0 where nothing tells.
    """
    said = company(timed.kernel_ms or 0.0, calm_kernel_ms) if timed else ""
    return [f"the result was timed on a busy machine: {said}"] if said else []

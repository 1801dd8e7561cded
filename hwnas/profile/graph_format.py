"""What a target's runtime is given and how it is timed: the form of the graph, the clock, the untimed runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hwnas.errors import MissingDependency, UsageError
from hwnas.runtime import runtime_for
from hwnas.target import Target

_ON_PROCESSOR = ("onnxruntime", "openvino")
_WARMUP = {"openvino": 4}  # its third run after another model is 20 % slower than the steady one, the fifth 4 %


@dataclass(frozen=True)
class Recipe:
    """How a campaign treats its models.

    Args:
        prepare: turns fp32 ONNX bytes into the form that the runtime wants.
        warmup, timed: runs of a visit.
        processor_clock: whether times are processor time of one thread, so that waiting for a core shows.
    """

    prepare: Callable[[bytes], bytes]
    warmup: int
    timed: int
    processor_clock: bool


def recipe_for(target: Target, runtime_version: str = "") -> Recipe:
    """The recipe of a target.

    Args:
        runtime_version: of the library on the device, for a runtime that is not installed here.
    """
    return Recipe(
        preparer(target, runtime_version), _WARMUP.get(target.runtime, 3), 2,
        target.threads == 1 and target.runtime in _ON_PROCESSOR,
    )


def preparer(target: Target, runtime_version: str = "") -> Callable[[bytes], bytes]:
    """Turns fp32 ONNX bytes into the form that the target's runtime wants."""
    form = graph_form(target, runtime_version)
    if form == "fp32":
        return bytes

    def prepare(model: bytes) -> bytes:
        from hwnas.quantize import to_form, variant_for  # loads the quantiser, which most targets never need

        return to_form(model, form, variant=variant_for(target.runtime))

    return prepare


def graph_form(target: Target, runtime_version: str = "") -> str:
    """'fp32', 'fp16' or 'int8': what the runtime says; its usual form where it is on another machine only."""
    try:
        return runtime_for(target).graph_form
    except (MissingDependency, UsageError):
        pass
    typed = target.runtime in ("onnxruntime", "onnxruntime-cuda") or (
        target.runtime == "tensorrt" and not runtime_version.startswith("10.")  # from 11 on the graph says the type
    )
    usual = {"int8": "int8", "fp16": "fp16" if typed else "fp32"}
    return usual.get(target.precision, "fp32")

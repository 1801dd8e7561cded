"""Where a runtime wants the quantise-dequantise pairs, and of which type.

A runtime folds the pairs into its integer kernels only where they stand as it expects; elsewhere the network runs in
float with conversions on top. Measured (benchmarks/precision.md):

    u8s8    ONNX Runtime on CPUs. An op is folded only if its output is quantised too, so every tensor gets a pair and
            activation functions become part of the rounding. s8 activations are slower than float there.
    fused   OpenVINO. Convolution and activation are one kernel: no pair between them.
    s8s8    TensorRT. As `fused`, but zero points must be 0 and biases stay in float.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwnas.errors import UnknownName


@dataclass(frozen=True)
class Variant:
    """How a family of runtimes wants its int8.

    Args:
        fused: activation functions stay behind their convolution, without a pair between.
        signed: activations are s8 with zero point 0 and biases float, else u8 and int32.
        narrow: weights keep to seven bits where kernels add two products in 16 bits, which overflows silently on
            processors with AVX2 or AVX-512 but without VNNI. Depthwise kernels do not, and take all eight.
    """

    fused: bool
    signed: bool
    narrow: bool


VARIANTS = {
    "u8s8": Variant(fused=False, signed=False, narrow=True),
    "fused": Variant(fused=True, signed=False, narrow=True),
    "s8s8": Variant(fused=True, signed=True, narrow=False),
}
_OF_RUNTIME = {
    "openvino": "fused", "openvino-gpu": "fused", "openvino-npu": "fused",
    "tensorrt": "s8s8", "onnxruntime-tensorrt": "s8s8",
}


def variant_for(runtime: str) -> str:
    """Name of the variant that is fast on a runtime of `hwnas.target.Target.runtime`."""
    return _OF_RUNTIME.get(runtime, "u8s8")


def named(variant: str) -> Variant:
    """A variant by name.

    Raises:
        UnknownName: no such variant.
    """
    if variant not in VARIANTS:
        raise UnknownName("int8 variant", variant, VARIANTS)
    return VARIANTS[variant]

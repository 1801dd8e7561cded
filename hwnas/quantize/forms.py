"""From a float ONNX model to the form in which a runtime takes a precision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Set
from typing import Any

import onnx
from numpy.typing import NDArray

from hwnas.errors import UnknownName
from hwnas.quantize.calibrate import Range, ranges
from hwnas.quantize.graph import parse
from hwnas.quantize.half import halved
from hwnas.quantize.layout import Layout
from hwnas.quantize.qdq import Writer
from hwnas.quantize.rewrite import prepared
from hwnas.quantize.variants import named

FORMS = ("fp32", "fp16", "bf16", "int8")
Samples = Iterable[Mapping[str, NDArray[Any]]]


def to_form(
    model: bytes, form: str, *, samples: Samples | None = None, variant: str = "u8s8", within: Set[str] | None = None,
    known: MutableMapping[str, Range] | None = None,
) -> bytes:
    """A float32 ONNX model in another form; inputs and outputs stay float32.

    Args:
        model: serialised, float32.
        form: 'fp32' gives the model back; 'fp16' and 'bf16' hold weights and activations in half precision; 'int8' is
            static quantisation, weights per channel, written as QuantizeLinear and DequantizeLinear; what has no
            integer kernel stays float.
        samples: inputs to calibrate int8 with, a batch each, e.g. [{'image': pixels}]; None takes random ones, which
            is enough where only the speed matters. 256 to 512 images are plenty.
        variant: where int8 pairs stand: `variant_for(runtime)`.
        within: tensors; only the nodes that make them take the form, all others stay in float32. None for every node.
        known: ranges of tensors of int8 from before, which are not looked for again; what is found is added.

    Raises:
        UnknownName: no such form or variant.
        InputError: not a model, or samples that do not fit it.
    """
    if form not in FORMS:
        raise UnknownName("form", form, FORMS)
    if form == "fp32":
        return model
    found = parse(model)
    changed = _int8(found, samples, variant, within, known) if form == "int8" else _half(found, form, within)
    data: bytes = changed.SerializeToString()
    return data


def _half(model: onnx.ModelProto, form: str, within: Set[str] | None) -> onnx.ModelProto:
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    if within is not None or form != "fp16":
        return halved(model, within, DEFAULT_OP_BLOCK_LIST, form)
    changed: onnx.ModelProto = convert_float_to_float16(model, keep_io_types=True, disable_shape_infer=True)
    return changed


def _int8(
    model: onnx.ModelProto, samples: Samples | None, variant: str, within: Set[str] | None,
    known: MutableMapping[str, Range] | None,
) -> onnx.ModelProto:
    how = named(variant)
    floats = prepared(model, how, within)
    layout = Layout(floats.graph, how, within)
    found = {} if known is None else known
    found.update(ranges(floats, [name for name in layout.pairs if name not in found], samples))
    return Writer(floats, layout, found, how).write()

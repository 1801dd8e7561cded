"""Several precisions in one network: every node in that of the position that it belongs to.

Networks of a space, built for timing or exported, have nodes that are named `POSITION/...`. A node without a position,
an addition between two of them, say, has the precision of all that it reads where that is one, and else floats.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from hwnas.quantize.forms import Samples, to_form
from hwnas.quantize.graph import Lookup, parse

FLOATS, CALIBRATED = "fp32", "int8"


def position_of(node: onnx.NodeProto) -> str:
    """The position that a node is named by; empty for a node that has none."""
    name, slash, _ = node.name.partition("/")
    return name if slash else ""


def in_precisions(model: bytes, precisions: Mapping[str, str], *, samples: Samples | None = None,
                  variant: str = "u8s8") -> bytes:
    """A float32 model with the nodes of its positions in their precisions; inputs and outputs stay float32.

    Args:
        model: serialised, its nodes named by position.
        precisions: position -> one of `hwnas.quantize.FORMS`; one that is missing stays in floats.
        samples, variant: as in `to_form`.

    Raises:
        UnknownName: no such precision or variant.
        InputError: not a model, or samples that do not fit it.
    """
    within = tensors_in(parse(model), precisions)
    for form in sorted(within, key=lambda form: (form != CALIBRATED, form)):  # int8 first: it is calibrated on floats
        model = to_form(model, form, samples=samples if form == CALIBRATED else None, variant=variant,
                        within=within[form])
    return model


def tensors_in(model: onnx.ModelProto, precisions: Mapping[str, str]) -> dict[str, set[str]]:
    """Precision other than floats -> the tensors that nodes in it make."""
    constants, of_tensor = Lookup(model.graph).constants, dict[str, str]()
    found: dict[str, set[str]] = {}
    for node in model.graph.node:
        own = precisions.get(position, FLOATS) if (position := position_of(node)) else None
        if own is None:
            read = {of_tensor.get(name, FLOATS) for name in node.input if name and name not in constants}
            own = read.pop() if len(read) == 1 else FLOATS
        of_tensor |= dict.fromkeys(node.output, own)
        if own != FLOATS:
            found.setdefault(own, set()).update(node.output)
    return found

"""Half precision, fp16 or bf16, for nodes of a graph; all others read and make floats as they did, to the last bit.

ONNX Runtime's own converter takes nodes out as well, but turns the inputs of the graph into halves first, so that the
nodes outside read rounded images. Here a tensor t has a twin, 't/half' in fp16 and 't/brain' in bf16, as one graph may
hold both and a bound of clips is read by nodes of either: where a node inside makes t the twin comes first, else a cast
follows where t is made. Every cast is there once, whoever reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from hwnas.quantize.graph import Lookup

TYPED = ("Cast", "CastLike", "Constant", "ConstantOfShape", "EyeLike", "QuantizeLinear", "DequantizeLinear",
         "DynamicQuantizeLinear", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Range")
"""Types of nodes whose attributes or other inputs say what they make; they stay."""
SETTINGS = {"Resize": (1, 2, 3), "Upsample": (1,)}  # floats that are no map: read as they are
LARGEST, SMALLEST = 65504.0, 2.0**-24  # of fp16
TWINS = {"fp16": "half", "bf16": "brain"}
HALVES = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}


def halved(model: onnx.ModelProto, within: Set[str] | None, left_out: Iterable[str] = (),
           form: str = "fp16") -> onnx.ModelProto:
    """A model whose nodes that make some tensors compute in halves; the given one is not changed.

    Args:
        within: the tensors; None for all.
        left_out: types of nodes that stay in float all the same.
        form: `fp16`, or `bf16`: eight bits of a float's mantissa and all of its range. ONNX knows convolutions in bf16
            since opset 22; the model keeps its opset, as runtimes that compute in bf16 take earlier ones too.
    """
    kind, twin = HALVES[form], TWINS[form]
    floats, stay, lookup = _floats(model), {*left_out, *TYPED}, Lookup(model.graph)
    inside = [node for node in model.graph.node if _may(node, within, floats, stay)]
    made = {name for node in inside for name in node.output if name in floats}
    wanted = {name for node in inside for name in _maps(node) if name in floats}
    chosen = {node.output[0] for node in inside}
    read = {name for node in model.graph.node if node.output[0] not in chosen for name in node.input} | lookup.outputs
    read |= {name for node in inside for i, name in enumerate(node.input) if i in SETTINGS.get(node.op_type, ())}
    inner = any(a.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for n in model.graph.node for a in n.attribute)
    nodes = [_cast(name, f"{name}/{twin}", kind) for name in lookup.inputs if name in wanted]
    for node in model.graph.node:
        if node.output[0] not in chosen:
            nodes.append(node)
            nodes += [_cast(name, f"{name}/{twin}", kind) for name in node.output if name in wanted]
            continue
        half = onnx.NodeProto()
        half.CopyFrom(node)
        maps = {*_maps(node)}
        half.input[:] = [f"{name}/{twin}" if name in maps & floats else name for name in node.input]
        half.output[:] = [f"{name}/{twin}" if name in made else name for name in node.output]
        nodes.append(half)
        nodes += [_cast(f"{n}/{twin}", n, TensorProto.FLOAT) for n in node.output if n in made and (n in read or inner)]
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    del changed.graph.node[:]
    changed.graph.node.extend(nodes)
    _constants(changed, wanted, read, inner, kind, twin)
    return changed


def _floats(model: onnx.ModelProto) -> set[str]:
    """Tensors that are known to hold float32."""
    try:
        known = onnx.shape_inference.infer_shapes(model).graph
    except Exception:  # its errors share no base class; what is not known stays in float
        known = model.graph
    values = (*known.input, *known.value_info, *known.output)
    found = {v.name for v in values if v.type.tensor_type.elem_type == TensorProto.FLOAT}
    return found | {t.name for t in model.graph.initializer if t.data_type == TensorProto.FLOAT}


def _may(node: onnx.NodeProto, within: Set[str] | None, floats: Set[str], stay: Set[str]) -> bool:
    plain = node.domain in ("", "ai.onnx") and node.op_type not in stay
    branches = any(a.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for a in node.attribute)
    chosen = within is None or bool(within & {*node.output})
    return plain and not branches and chosen and any(name in floats for name in node.output)


def _maps(node: onnx.NodeProto) -> list[str]:
    kept = SETTINGS.get(node.op_type, ())
    return [name for i, name in enumerate(node.input) if i not in kept]


def _cast(source: str, target: str, to: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], name=f"{target}/cast", to=to)


def _constants(model: onnx.ModelProto, wanted: Set[str], read: Set[str], inner: bool, kind: int,
               twin: str) -> None:
    """Constants as halves where nodes inside read them, and as they were where others do."""
    found = []
    for tensor in model.graph.initializer:
        if tensor.name in wanted and tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor)
            if kind == TensorProto.FLOAT16:
                size = np.clip(np.abs(values), SMALLEST, LARGEST)  # a weight that is not 0 does not become it
                values = np.where(values == 0, 0, np.copysign(size, values))
            half = values.astype(helper.tensor_dtype_to_np_dtype(kind))
            found.append(numpy_helper.from_array(half, f"{tensor.name}/{twin}"))
            if tensor.name not in read and not inner:
                continue
        found.append(tensor)
    kept = [onnx.TensorProto.FromString(t.SerializeToString()) for t in found]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)

"""One form for every ONNX file: fixed shapes, constants folded, batch norms and scales inside their convolutions.

The folding is ONNX Runtime's own, of the level that keeps to standard operators and to what any device computes. What
comes out computes what came in up to rounding; `hwnas.surgery.reading` holds the two against each other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import onnx
import onnxruntime
from onnx import helper, version_converter

from hwnas.documents import brief
from hwnas.errors import InputError
from hwnas.surgery.dataflow import STANDARD, read_by, static_shape
from hwnas.surgery.patterns import with_patterns

LEAST_OPSET, WANTED_OPSET = 13, 17  # before 13 a weight cannot be quantised by channel
LEAST_FORMAT = 4  # before it every constant was an input
MOST_SAID = 240  # characters of what ONNX Runtime says


def canonical(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]] | None = None) -> onnx.ModelProto:
    """A model in the one form; the given one is not changed.

    Args:
        model: checked.
        shapes: input -> the shape that it is to have; where it lacks one, open dimensions are refused, except that
            of the batch, which becomes 1.

    Raises:
        InputError: an input has open dimensions, or ONNX Runtime cannot read the model; says why.
    """
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    constants = {t.name for t in fixed.graph.initializer}
    for value in fixed.graph.input:
        if value.name not in constants:
            _fix(value, (shapes or {}).get(value.name))
    del fixed.graph.value_info[:]
    for value in fixed.graph.output:
        value.type.tensor_type.ClearField("shape")
    found = _optimised(_live(_settled(_upgraded(fixed))))
    # The converter names constants as inputs, and one that was folded leaves its name there.
    wanted = {v.name for v in model.graph.input} - constants
    given = [v for v in found.graph.input if v.name in wanted]
    del found.graph.input[:]
    found.graph.input.extend(given)
    return _with_shapes(with_patterns(_tidied(found)))


def _fix(value: onnx.ValueInfoProto, shape: tuple[int, ...] | None) -> None:
    if not value.type.HasField("tensor_type"):
        raise InputError(f"the input {value.name!r} is no tensor: give a model that takes tensors")
    dims = value.type.tensor_type.shape.dim
    if shape is None:
        known = [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in dims]
        if known and known[0] is None:
            known[0] = 1
        if any(d is None for d in known) or not known:
            told = ", ".join("?" if d is None else str(d) for d in known)
            raise InputError(f"the input {value.name!r} leaves its size open ({told}): say it, e.g. --imgsz 224")
        shape = tuple(d for d in known if d is not None)
    if len(dims) not in (0, len(shape)):
        raise InputError(f"the input {value.name!r} has {len(dims)} dimensions, not the {len(shape)} of {shape}")
    for dim, wanted in zip(dims, shape, strict=False):
        if dim.HasField("dim_value") and dim.dim_value > 0 and dim.dim_value != wanted:
            raise InputError(f"the input {value.name!r} is {static_shape(value) or 'open'}, which {shape} does not "
                             "fit: leave the size out")
    value.type.tensor_type.ClearField("shape")
    for wanted in shape:
        value.type.tensor_type.shape.dim.add().dim_value = wanted


def _upgraded(model: onnx.ModelProto) -> onnx.ModelProto:
    opset = next((o.version for o in model.opset_import if o.domain in STANDARD), 0)
    if not opset or opset >= LEAST_OPSET:
        return model
    try:
        return version_converter.convert_version(model, WANTED_OPSET)
    except Exception:  # the converter's errors share no base class; a model that stays old runs, in float
        return model


def _optimised(model: onnx.ModelProto) -> onnx.ModelProto:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4  # fatal only: what it cannot do it raises as well
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "canonical.onnx"
        options.optimized_model_filepath = str(path)
        try:
            onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
            return onnx.load_model(path)
        except Exception as err:  # the library's errors share no base class of their own
            said = next((line for line in str(err).strip().splitlines() if line.strip()), "no reason given")
            raise InputError(f"ONNX Runtime does not read the model: {brief(said, MOST_SAID)}; if it lacks an "
                             "operator, give the part of the network without it (onnx.utils.extract_model)") from err


def _settled(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without constants that are inputs as well: a caller may give others, so ONNX Runtime folds none of them."""
    constants = {t.name for t in model.graph.initializer}
    kept = [v for v in model.graph.input if v.name not in constants]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.ir_version = max(model.ir_version, LEAST_FORMAT)
    return model


def _live(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without nodes that lead to no output: runtimes carry them out, and fold nothing that they read."""
    wanted, nodes = {value.name for value in model.graph.output}, []
    for node in reversed(model.graph.node):
        if wanted & set(node.output):
            nodes.append(node)
            wanted |= set(read_by(node))
    if len(nodes) < len(model.graph.node):
        kept = [t for t in model.graph.initializer if t.name in wanted]
        del model.graph.node[:]
        del model.graph.initializer[:]
        model.graph.node.extend(reversed(nodes))
        model.graph.initializer.extend(kept)
    return model


def _tidied(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without domains that no node is of and what exporters note; nodes named by what they make."""
    used = {n.domain for n in _every_node(model.graph)}
    kept = [o for o in model.opset_import if o.domain in used or o.domain in STANDARD]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    for node in model.graph.node:
        node.name = next(name for name in node.output if name)
        node.doc_string = ""
    for part in (model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output,
                 *model.graph.initializer):
        del part.metadata_props[:]  # where an exporter's machine keeps its files, for one
    model.producer_name, model.producer_version, model.doc_string = "hwnas", "", ""
    return model


def _with_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """With the shape of every tensor whose shape follows from the inputs'; ONNX Runtime leaves out some."""
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception:  # its errors share no base class; what has no shape is in no unit
        return model


def _every_node(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    found = list(graph.node)
    for node in graph.node:
        for part in node.attribute:
            value = helper.get_attribute_value(part) if part.type == onnx.AttributeProto.GRAPH else None
            if isinstance(value, onnx.GraphProto):
                found += _every_node(value)
    return found

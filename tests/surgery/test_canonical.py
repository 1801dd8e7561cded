"""One form for every file: fixed, folded, tidied, of a usable opset, and computing what the file computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwnas.errors import InputError
from hwnas.surgery import Cut
from hwnas.surgery.canonical import canonical
from tests.surgery.networks import Drawing, image_of, light, run


def busy() -> onnx.ModelProto:
    """Everything that folds: constants as nodes, norms and scales behind convolutions, dead ends, identities."""
    d = Drawing((1, 3, 8, 8), seed=4)
    x = d.conv("image", 8, 3)
    rng = np.random.default_rng(0)
    x = d.node("BatchNormalization", x, *(d.constant(rng.uniform(0.5, 1.5, 8).astype(np.float32)) for _ in range(4)))
    x = d.node("Identity", d.relu(x))
    x = d.conv(x, 8)
    x = d.node("Mul", x, d.constant(rng.uniform(0.5, 1.5, (8, 1, 1)).astype(np.float32)))
    x = d.node("Add", x, d.constant(rng.normal(size=(8, 1, 1)).astype(np.float32)))
    d.relu(x)  # a dead end
    d.nodes.append(helper.make_node("Constant", [], ["two"], value=numpy_helper.from_array(np.float32(2), "v")))
    d.nodes.append(helper.make_node("Constant", [], ["three"], value=numpy_helper.from_array(np.float32(3), "v")))
    x = d.node("Mul", x, d.node("Add", "two", "three"), channels=8)
    return d.model(d.head(x))


def test_what_is_known_is_folded_and_what_is_dead_is_gone() -> None:
    model = busy()
    before = model.SerializeToString()
    made = canonical(model)
    assert model.SerializeToString() == before
    kinds = [n.op_type for n in made.graph.node]
    assert not {"BatchNormalization", "Identity", "Constant"} & set(kinds)
    assert kinds.count("Conv") == 2
    assert kinds.count("Relu") == 1
    x = image_of(model)
    assert np.allclose(run(made, x, optimised=False)[0], run(model, x, optimised=False)[0], rtol=1e-5, atol=1e-5)
    assert len(Cut.of(made).loose) == 0 or all(n != "Conv" for n in (
        made.graph.node[i].op_type for i in Cut.of(made).loose))


def test_it_is_the_same_again() -> None:
    once = canonical(busy())
    assert canonical(once).SerializeToString() == once.SerializeToString()
    assert canonical(busy()).SerializeToString() == once.SerializeToString()


def test_nodes_are_named_by_what_they_make_and_notes_are_gone() -> None:
    model = busy()
    for node in model.graph.node:
        node.name, node.doc_string = "", "File \"/home/somebody/net.py\""
        node.metadata_props.add(key="where", value="/home/somebody")
    model.producer_name, model.doc_string = "somebody's tool", "made at /home/somebody"
    model.metadata_props.add(key="path", value="/home/somebody")
    made = canonical(model)
    assert [n.name for n in made.graph.node] == [n.output[0] for n in made.graph.node]
    assert b"somebody" not in made.SerializeToString()
    assert [o.domain for o in made.opset_import] in ([""], ["ai.onnx"])


def test_every_tensor_has_its_shape() -> None:
    made = canonical(busy())
    flow = Cut.of(made).flow
    assert set(flow.makers) <= set(flow.shapes)
    onnx.checker.check_model(made, full_check=True)
    assert [v.name for v in made.graph.input] == ["image"]


@pytest.mark.parametrize("opset", [7, 9, 11, 12, 13, 15, 18, 20])
def test_an_opset_that_int8_knows(opset: int) -> None:
    d = Drawing((1, 3, 8, 8))
    x = d.relu(d.conv("image", 8, 3))
    bounds = {"min": 0.0, "max": 1.0} if opset < 11 else {}
    x = d.node("Clip", x, *((d.constant(np.float32(0)), d.constant(np.float32(1))) if opset >= 11 else ()), **bounds)
    x = d.node("Softmax", d.head(x))
    model = d.model(x, opset=opset)
    made = canonical(model)
    assert next(o.version for o in made.opset_import if o.domain in ("", "ai.onnx")) == (17 if opset < 13 else opset)
    image = image_of(model)
    assert np.allclose(run(made, image)[0], run(model, image)[0], atol=1e-6)


@pytest.mark.parametrize("dims, shape, rule", [
    (("n", 3, 8, 8), None, None), ((1, 3, 8, 8), (1, 3, 8, 8), None), ((1, 3, "h", "w"), (1, 3, 6, 4), None),
    ((1, 3, "h", 8), None, r"'image' leaves its size open \(1, 3, \?, 8\): say it"),
    ((1, 3, 8, 8), (1, 3, 9, 9), r"'image' is \(1, 3, 8, 8\), which \(1, 3, 9, 9\) does not fit: leave the size out"),
    ((1, 3, 8, 8), (3, 8, 8), r"'image' has 4 dimensions, not the 3 of \(3, 8, 8\)"),
])
def test_shapes(dims: tuple[Any, ...], shape: tuple[int, ...] | None, rule: str | None) -> None:
    d = Drawing()
    model = d.model(d.relu("image"))
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("image", TensorProto.FLOAT, dims))
    shapes = {"image": shape} if shape else None
    if rule is None:
        made = canonical(model, shapes)
        want = shape or (1, 3, 8, 8)
        assert tuple(x.dim_value for x in made.graph.input[0].type.tensor_type.shape.dim) == want
        assert tuple(x.dim_value for x in made.graph.output[0].type.tensor_type.shape.dim) == want
        return
    with pytest.raises(InputError, match=rule):
        canonical(model, shapes)


def test_constants_that_are_named_as_inputs_are_none() -> None:
    """As files had them before version 4 of the form, and later ones too: a runtime folds nothing that is an input."""
    wanted = [n.op_type for n in canonical(busy()).graph.node]
    for version in (3, 4, 8):
        model = busy()
        model.ir_version = version
        for tensor in model.graph.initializer:
            model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
        made = canonical(model)
        assert [v.name for v in made.graph.input] == ["image"]
        assert [n.op_type for n in made.graph.node] == wanted
        assert Cut.of(made).units
        x = image_of(made)
        assert np.allclose(run(made, x)[0], run(canonical(busy()), x)[0])


def test_several_outputs_stay_in_their_order() -> None:
    d = Drawing()
    a = d.relu(d.conv("image", 4))
    b = d.conv(a, 4)
    model = d.model(b, a, d.head(b))
    made = canonical(model)
    assert [v.name for v in made.graph.output] == [v.name for v in model.graph.output]


def test_old_light_architectures_become_new() -> None:
    made = canonical(light("squeezenet"))
    assert next(o.version for o in made.opset_import) == 17
    assert all(n.op_type != "Dropout" for n in made.graph.node)


def test_a_detectors_tail_is_kept() -> None:
    """What suppresses boxes has shapes that depend on values: it is in no unit, and stays."""
    d = Drawing((1, 3, 16, 16), seed=2)
    x = d.relu(d.conv("image", 8, 3))
    boxes = d.node("Reshape", d.conv(x, 4), d.constant(np.array([1, -1, 4])))
    scores = d.node("Reshape", d.node("Sigmoid", d.conv(x, 2)), d.constant(np.array([1, 2, -1])))
    kept = d.node("NonMaxSuppression", boxes, scores, d.constant(np.array([9])), d.constant(np.float32(0.5)),
                  d.constant(np.float32(0.1)))
    model = d.model(d.node("Gather", boxes, d.node("Gather", kept, d.constant(np.array(2)), axis=1), axis=1), kept,
                    kinds={kept: TensorProto.INT64})
    made = canonical(model)
    cut = Cut.of(made)
    assert all(i in cut.unit_of for i in range(len(cut.flow.nodes)) if cut.flow.is_weighted(i))
    assert any(cut.flow.nodes[i].op_type == "NonMaxSuppression" for i in cut.loose)
    image = image_of(model)
    for a, b in zip(run(model, image), run(made, image), strict=True):
        assert np.allclose(a, b, atol=1e-5)

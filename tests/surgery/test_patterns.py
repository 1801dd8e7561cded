"""Hard swish as exporters spell it out is one node again, and nothing else is."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from hwnas.surgery.canonical import canonical
from hwnas.surgery.patterns import with_patterns
from tests.surgery.networks import Drawing, image_of, run
from tests.surgery.test_regions import branch


def number(d: Drawing, value: float) -> str:
    return d.constant(np.float32(value))


def spelled(d: Drawing, x: str, how: str) -> str:
    """Hard swish of x; `how` says with what change, if any."""
    offset, high = (2.5 if how == "offset" else 3, 5 if how == "bound" else 6)
    if how == "sigmoid":
        return str(d.node("Mul", d.node("HardSigmoid", x, alpha=1 / 6, beta=0.5), x))
    if how == "slope":
        return str(d.node("Mul", x, d.node("HardSigmoid", x, alpha=0.2, beta=0.5)))
    added = d.node("Add", *((number(d, offset), x) if how == "turned" else (x, number(d, offset))))
    gate = d.node("Clip", added, number(d, 0), number(d, high))
    product = d.node("Mul", *((gate, x) if how == "turned" else (x, gate)))
    d.shared = {"gate": gate, "added": added, "product": product}  # type: ignore[attr-defined]
    if how == "divided":
        return str(d.node("Div", product, number(d, 6)))
    return str(d.node("Mul", product, number(d, 1 / 5 if how == "factor" else 1 / 6)))


def drawn(how: str, also: str = "", control: bool = False) -> tuple[onnx.ModelProto, str]:
    d = Drawing((1, 4, 4, 4))
    x = d.conv("image", 4)
    end = spelled(d, x, how)
    outputs = [d.relu(end)]
    if also:
        outputs.append(d.relu(d.shared[also]))  # type: ignore[attr-defined]
    if control:
        condition = d.node("Less", d.node("ReduceMax", x, keepdims=0), number(d, 0))
        outputs.append(branch(d, condition, d.shared["gate"]))  # type: ignore[attr-defined]
    return d.shaped(*outputs), end


def kinds(model: onnx.ModelProto) -> list[str]:
    return [n.op_type for n in model.graph.node]


@pytest.mark.parametrize("how", ["", "turned", "divided", "sigmoid"])
def test_it_is_one_node_that_computes_the_same(how: str) -> None:
    model, end = drawn(how)
    x = image_of(model) * 4
    before = run(model, x)[0]
    found = with_patterns(model)
    assert kinds(found) == ["Conv", "HardSwish", "Relu"]
    assert end in {n.output[0] for n in found.graph.node}
    onnx.checker.check_model(found, full_check=True)
    assert np.allclose(run(found, x)[0], before, atol=1e-5)
    assert {t.name for t in found.graph.initializer} == {n for node in found.graph.node for n in node.input[1:]}


@pytest.mark.parametrize("words", [
    {"how": "offset"}, {"how": "bound"}, {"how": "factor"}, {"how": "slope"}, {"how": "", "also": "gate"},
    {"how": "", "also": "added"}, {"how": "", "also": "product"}, {"how": "", "control": True}])
def test_what_is_another_function_or_is_read_within_stays(words: dict[str, Any]) -> None:
    model, _ = drawn(**words)
    before = model.SerializeToString()
    assert with_patterns(model).SerializeToString() == before
    x = image_of(model) * 4
    for a, b in zip(run(onnx.load_model_from_string(before), x), run(canonical(model), x), strict=True):
        assert np.allclose(a, b, atol=1e-5)


def test_an_old_opset_has_no_such_node() -> None:
    d = Drawing((1, 4, 4, 4))
    model = d.model(spelled(d, d.conv("image", 4), ""), opset=13)
    assert "HardSwish" not in kinds(with_patterns(model))

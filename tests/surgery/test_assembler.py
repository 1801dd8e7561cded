"""From plans to models: the right nodes in the right precision."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from hwnas.errors import UsageError
from hwnas.quantize import to_form
from hwnas.surgery import NOTHING, Cut, Fragment
from hwnas.surgery.assembler import Assembler, feeds_of
from hwnas.surgery.plan import Option, Places, is_joint
from hwnas.surgery.unit_costs import random_plans
from tests.surgery.networks import Drawing, chain, image_of, run, small
from tests.surgery.test_plan import jointed

INT8, FP16 = Option(precision="int8"), Option(precision="fp16")


def assembler(model: onnx.ModelProto, **words: object) -> Assembler:
    samples = feeds_of("image", [image_of(model, seed) for seed in range(4)])
    return Assembler(Cut.of(model), samples, **words)  # type: ignore[arg-type]


def thin(cut: Cut, name: str) -> Fragment:
    unit = cut[name]
    d = Drawing(unit.source_shape, seed=7)
    return Fragment(d.shaped(d.relu(d.conv(d.relu(d.conv("image", 4)), unit.target_shape[1]))))


def test_no_plan_is_the_network_byte_by_byte() -> None:
    model = jointed()
    assert assembler(model).model({}) == model.SerializeToString()
    assert assembler(model).model({"u01": Option()}) == model.SerializeToString()


def test_everything_in_eight_bits_is_uniform_int8() -> None:
    """Where a network is units and joints alone: the same bytes as quantising all of it."""
    model = small()
    made = assembler(model)
    places = Places.of(made.cut, ("int8",))
    assert not [i for i in made.cut.loose if i not in places.place_of or not places.place_of[i]]
    assert made.model(places.uniform("int8")) == to_form(model.SerializeToString(), "int8", samples=made.samples)


@pytest.mark.parametrize("name", ["u00", "u01", "u02"])
def test_one_unit_in_eight_bits(name: str) -> None:
    made = assembler(jointed())
    found = onnx.load_model_from_string(made.model({name: INT8}))
    onnx.checker.check_model(found, full_check=True)
    weights = {t.name for t in found.graph.initializer if t.data_type == TensorProto.INT8}
    inside = {made.cut.flow.nodes[i].input[1] for i in made.cut[name].region.nodes if made.cut.flow.is_weighted(i)}
    assert weights == {f"{w}/q" for w in inside} | {w for w in weights if w.endswith("/z")}
    x = image_of(made.cut.flow.model, 9)
    exact, rounded = run(made.cut.flow.model, x)[0], run(found, x)[0]
    assert 0 < np.abs(exact - rounded).max() < 0.1 * np.ptp(exact)


def test_a_joint_between_lowered_units_is_lowered_with_them() -> None:
    made = assembler(jointed())
    places = Places.of(made.cut, ("int8",))
    joint = next(p for p in places.options if is_joint(p))
    tensor = made.cut.flow.nodes[int(joint[1:])].output[0]
    uniform = places.uniform("int8")

    def rounded(plan: dict[str, Option]) -> bool:
        nodes = onnx.load_model_from_string(made.model(plan)).graph.node
        return any(n.op_type == "QuantizeLinear" and n.output[0] == f"{tensor}/q" and n.input[0] == f"{tensor}/float"
                   for n in nodes)

    assert rounded(uniform)
    assert not rounded({p: o for p, o in uniform.items() if p != joint})


@pytest.mark.parametrize("half", ["fp16", "bf16"])
def test_neighbours_in_two_lower_precisions(half: str) -> None:
    """Between them floats stand: what integers make is read back and cast. Ranges are those of the float network."""
    made = assembler(jointed())
    between = made.cut["u01"].source
    for first, second in ((INT8, Option(precision=half)), (Option(precision=half), INT8)):
        found = onnx.load_model_from_string(made.model({"u00": first, "u01": second}))
        onnx.checker.check_model(found)
        makers = {name: n for n in found.graph.node for name in n.output}
        if first == INT8:
            assert makers[between].op_type == "DequantizeLinear"
            assert makers[f"{between}/{'half' if half == 'fp16' else 'brain'}"].op_type == "Cast"
        else:
            assert makers[between].op_type == "Cast"
            assert makers[f"{between}/q"].input[0] == between
        if half == "fp16":
            x = image_of(made.cut.flow.model, 9)
            exact, rounded = run(made.cut.flow.model, x)[0], run(found, x)[0]
            assert 0 < np.abs(exact - rounded).max() < 0.1 * np.ptp(exact)
    alone = assembler(jointed())
    alone.model({"u00": INT8})
    assert alone.ranges.items() <= made.ranges.items()


def test_replaced_units_in_either_precision() -> None:
    made = assembler(chain(10))
    made.forms.update({("u01", "thin"): thin(made.cut, "u01"), ("u02", "none"): NOTHING})
    x = image_of(made.cut.flow.model, 9)
    floats = made.floats({"u01": Option("thin"), "u02": Option("none")})
    assert made.cut["u02"].target not in {n.output[0] for n in floats.graph.node}  # left out, and no node in its place
    exact = run(floats, x)[0]
    for precision in ("float", "int8", "fp16"):
        found = onnx.load_model_from_string(made.model({"u01": Option("thin", precision), "u02": Option("none")}))
        onnx.checker.check_model(found, full_check=True)
        assert np.abs(run(found, x)[0] - exact).max() < 0.1 * np.ptp(exact)
        kinds = {t.data_type for t in found.graph.initializer if t.name.startswith("u01/")}
        assert kinds >= {{"float": TensorProto.FLOAT, "int8": TensorProto.INT8, "fp16": TensorProto.FLOAT16}[precision]}
        others = {t.data_type for t in found.graph.initializer if not t.name.startswith("u01/")}
        assert TensorProto.FLOAT in others


def test_three_precisions_in_one_network() -> None:
    made = assembler(chain(12))
    units = [u.name for u in made.cut.units]
    found = onnx.load_model_from_string(made.model({units[1]: FP16, units[2]: INT8, units[3]: FP16}))
    onnx.checker.check_model(found, full_check=True)
    kinds = {t.data_type for t in found.graph.initializer}
    assert kinds >= {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8}
    x = image_of(found, 9)
    exact = run(made.cut.flow.model, x)[0]
    assert np.abs(run(found, x)[0] - exact).max() < 0.1 * np.ptp(exact)


@pytest.mark.parametrize("model", [jointed(), small(hard_swish=True)], ids=["joints", "hard swish"])
@pytest.mark.parametrize("variant", ["u8s8", "fused", "s8s8"])
def test_random_plans_are_near_the_teacher(model: onnx.ModelProto, variant: str) -> None:
    made = assembler(model, variant=variant)
    x = image_of(model, 9)
    exact = run(model, x)[0]
    for plan in random_plans(Places.of(made.cut, ("int8", "fp16")), 6, seed=1):
        found = onnx.load_model_from_string(made.model(plan))
        onnx.checker.check_model(found, full_check=True)
        assert [v.name for v in found.graph.output] == [v.name for v in model.graph.output]
        assert np.sqrt(np.mean((run(found, x)[0] - exact) ** 2)) < 0.08 * np.ptp(exact)


def test_ranges_are_found_once() -> None:
    made = assembler(chain(10))
    plan = {u.name: INT8 for u in made.cut.units}
    first = made.model(plan)
    filled = dict(made.ranges)
    assert filled
    assert made.model(plan) == first
    assert made.ranges == filled
    # What is exact looks anew, and leaves what the teacher made.
    made.forms["u01", "thin"] = thin(made.cut, "u01")
    changed = {**plan, "u01": Option("thin", "int8")}
    exact, rough = made.model(changed, exact=True), made.model(changed)
    assert exact != rough
    assert {k: v for k, v in made.ranges.items() if k in filled} == filled


def test_units_alone() -> None:
    made = assembler(chain(10))
    made.forms.update({("u01", "thin"): thin(made.cut, "u01"), ("u01", "none"): NOTHING})
    unit = made.cut["u01"]
    for form in ("teacher", "thin"):
        for precision in ("float", "int8", "fp16"):
            found = onnx.load_model_from_string(made.unit_model(unit, form, precision))
            x = image_of(found)
            assert (x.shape, run(found, x)[0].shape) == (unit.source_shape, unit.target_shape)
            assert found.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
    with pytest.raises(UsageError, match="u01 is left out in the form none: there is nothing to time"):
        made.unit_model(unit, "none", "float")


def test_feeds_are_one_image_each() -> None:
    feeds = feeds_of("image", [np.zeros((3, 1, 2, 2), np.float32), np.ones((2, 1, 2, 2), np.float32)])
    assert [float(f["image"].mean()) for f in feeds] == [0, 0, 0, 1, 1]
    assert {f["image"].shape for f in feeds} == {(1, 1, 2, 2)}


def test_a_network_that_was_put_together_before_lowers_what_the_plan_names() -> None:
    """Its tensors are called u01/... already, wherever they are now."""
    model = chain(10)
    old = {n.output[0]: f"u01/{n.output[0]}" for n in model.graph.node[:3]}
    for node in model.graph.node:
        node.input[:] = [old.get(name, name) for name in node.input]
        node.output[:] = [old.get(name, name) for name in node.output]
        node.name = node.output[0]
    for value in model.graph.value_info:
        value.name = old.get(value.name, value.name)
    made = assembler(model)
    found = onnx.load_model_from_string(made.model({"u01": INT8}))
    weights = {t.name.removesuffix("/q") for t in found.graph.initializer if t.data_type == TensorProto.INT8
               and t.name.endswith("/q")}
    assert weights == {made.cut.flow.nodes[i].input[1] for i in made.cut["u01"].region.nodes
                       if made.cut.flow.is_weighted(i)}

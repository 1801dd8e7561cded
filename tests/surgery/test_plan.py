"""Places, options and what lies between them."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper

from hwnas.surgery import Cut
from hwnas.surgery.plan import AS_IT_IS, Edge, Option, Places, is_joint, joint_name, precision_of
from hwnas.surgery.unit_costs import effects_of, with_joints
from tests.surgery.networks import Drawing, chain, small

INT8 = Option(precision="int8")


def jointed(seed: int = 0, tap: bool = True) -> onnx.ModelProto:
    """A residual too long for one unit, whose sum is a joint; the tensor at its start is an output as well."""
    d = Drawing((1, 3, 8, 8), seed=seed)
    stem = x = d.relu(d.conv("image", 8, 3))
    for _ in range(6):
        x = d.relu(d.conv(x, 8, 3))
    joined = d.node("Add", x, stem)
    end = d.head(d.relu(d.conv(joined, 8, 3)))
    model = d.shaped(end)
    if tap:
        model.graph.output.append(helper.make_tensor_value_info(stem, TensorProto.FLOAT, (1, 8, 8, 8)))
    return model


def places_of(model: onnx.ModelProto, *precisions: str) -> Places:
    return Places.of(Cut.of(model), precisions or ("int8",))


def test_options_and_their_keys() -> None:
    assert Option().key == "teacher/float"
    assert Option() == AS_IT_IS
    for option in (Option(), INT8, Option("thin 1/2", "fp16"), Option("a/b", "int8")):
        assert Option.read(option.key) == option


def test_units_and_joints_are_places() -> None:
    places = places_of(jointed(), "float", "int8", "fp16")
    joints = [place for place in places.options if is_joint(place)]
    (add,) = [i for i in places.cut.loose if places.cut.flow.nodes[i].op_type == "Add"]
    assert joints == [joint_name(add)]
    assert list(places.options) == [*(u.name for u in places.cut.units), *joints]
    assert all([o.key for o in options] == ["teacher/float", "teacher/int8", "teacher/fp16"]
               for options in places.options.values())
    assert places.place_of[add] == joints[0]
    assert set(places.place_of) == set(range(len(places.cut.flow.nodes)))


def test_frozen_units_stay_as_they_are() -> None:
    cut = Cut.of(jointed())
    places = Places.of(cut, ("int8",), frozen=frozenset({"u01"}))
    assert places.options["u01"] == (AS_IT_IS,)
    assert "u01" not in places.uniform("int8")
    assert set(places.uniform("int8")) == set(places.options) - {"u01"}
    assert places.uniform("float") == {}


def test_edges_are_the_tensors_that_leave_and_enter_places() -> None:
    places = places_of(jointed())
    units, joint = [u.name for u in places.cut.units], next(p for p in places.options if is_joint(p))
    stem = places.cut["u01"].source
    found = {edge.tensor: edge for edge in places.edges}
    assert found["image"] == Edge("image", "", (units[0],))
    assert found[stem].maker == units[0]
    assert set(found[stem].readers) == {units[1], joint, ""}
    last = places.cut.flow.outputs[0]
    assert found[last] == Edge(last, units[-1], ("",))
    assert len(found) == len(places.edges)
    tensors = {t for u in places.cut.units for t in (u.source, u.target)} | {
        places.cut.flow.nodes[places.cut.loose[0]].output[0]}
    assert set(found) == tensors


def test_a_joint_of_a_lower_precision_is_fed_in_it_alone() -> None:
    places = places_of(jointed())
    joint = next(p for p in places.options if is_joint(p))
    makers = [e.maker for e in places.edges if joint in e.readers]
    assert len(makers) == 2
    assert places.allowed({})
    assert places.allowed(places.uniform("int8"))
    assert not places.allowed({joint: INT8})
    assert not places.allowed({joint: INT8, makers[0]: INT8})
    assert places.allowed({joint: INT8, makers[0]: INT8, makers[1]: INT8})
    assert places.allowed({makers[0]: INT8, makers[1]: INT8})
    assert sum(map(places.allowed, places.every_choice())) == sum(
        1 for plan in places.every_choice() if precision_of(plan, joint) == "float"
        or all(precision_of(plan, m) == "int8" for m in makers))
    assert with_joints(places, dict.fromkeys(makers, INT8))[joint] == INT8
    assert joint not in with_joints(places, {makers[0]: INT8})


def test_every_choice_is_all_of_them() -> None:
    places = places_of(chain(10), "int8", "fp16")
    choices = places.every_choice()
    assert len(choices) == 3 ** len(places.options)
    assert len({tuple(sorted((p, o.key) for p, o in c.items())) for c in choices}) == len(choices)


def test_each_change_is_counted_once() -> None:
    places = places_of(jointed())
    cut, joint = places.cut, next(p for p in places.options if is_joint(p))
    stem, last = cut["u01"].source, cut.flow.outputs[0]
    assert effects_of(places, {}) == []
    # The first unit alone: its tensor is read in floats by three, and comes back once.
    assert sorted(effects_of(places, {"u00": INT8})) == sorted(
        [f"option {cut['u00'].signature} teacher/int8", "to int8 image", f"back int8 {stem}"])
    # The second alone: its source is left once, its target comes back.
    assert sorted(effects_of(places, {"u01": INT8})) == sorted(
        [f"option {cut['u01'].signature} teacher/int8", f"to int8 {stem}", f"back int8 {cut['u01'].target}"])
    # Everything: pixels, and the two outputs; nothing in between.
    changes = [e for e in effects_of(places, places.uniform("int8")) if not e.startswith("option ")]
    assert sorted(changes) == sorted(["to int8 image", f"back int8 {stem}", f"back int8 {last}"])
    assert f"option joint-{joint} teacher/int8" in effects_of(places, places.uniform("int8"))


def test_from_one_lower_precision_to_another_a_map_comes_back_and_leaves_again() -> None:
    places = places_of(chain(12), "int8", "fp16")
    between = places.cut["u01"].source
    plan = {"u00": INT8, "u01": Option("teacher", "fp16")}
    changes = [e for e in effects_of(places, plan) if between in e]
    assert sorted(changes) == [f"back int8 {between}", f"to fp16 {between}"]
    assert not [e for e in effects_of(places, plan | {"u01": INT8}) if between in e]


def test_equal_units_share_an_effect() -> None:
    places = places_of(chain(12))
    found = effects_of(places, places.uniform("int8"))
    signatures = [u.signature for u in places.cut.units]
    repeated = max(signatures, key=signatures.count)
    assert signatures.count(repeated) > 1
    assert found.count(f"option {repeated} teacher/int8") == signatures.count(repeated)


def test_another_form_in_floats_changes_no_precision() -> None:
    places = places_of(chain(10))
    assert effects_of(places, {"u01": Option("thin")}) == [f"option {places.cut['u01'].signature} thin/float"]


@pytest.mark.parametrize("model", [small(), chain()])
def test_a_network_without_joints(model: onnx.ModelProto) -> None:
    assert not any(is_joint(place) for place in places_of(model).options)

"""Networks put together again: unchanged byte by byte without a replacement, and right with any."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from hwnas.errors import UsageError
from hwnas.surgery import NOTHING, Cut, Fragment, assemble
from tests.surgery.networks import Drawing, chain, image_of, run, small
from tests.surgery.test_regions import branch


def own(cut: Cut, name: str) -> Fragment:
    return Fragment(cut.model_of(cut[name]))


def test_nothing_replaced_is_the_network_byte_by_byte() -> None:
    model = small()
    before = model.SerializeToString()
    made = assemble(Cut.of(model), {})
    assert made.SerializeToString() == before
    made.graph.node[0].name = "changed"
    assert model.SerializeToString() == before


@pytest.mark.parametrize("hard_swish", [False, True])
def test_units_in_their_own_places_compute_the_same(hard_swish: bool) -> None:
    model = small(hard_swish=hard_swish)
    cut = Cut.of(model)
    x = image_of(model)
    for names in (["u00"], [cut.units[-1].name], [u.name for u in cut.units]):
        made = assemble(cut, {name: own(cut, name) for name in names})
        onnx.checker.check_model(made, full_check=True)
        assert np.array_equal(run(made, x, optimised=False)[0], run(model, x, optimised=False)[0])
    whole = assemble(cut, {u.name: own(cut, u.name) for u in cut.units})
    assert {t.name for t in whole.graph.initializer if "/" not in t.name} <= {
        name for i in cut.loose for name in cut.flow.nodes[i].input}  # what was replaced left nothing behind


def test_kept_nodes_and_constants_are_those_of_the_network() -> None:
    cut = Cut.of(small())
    made = assemble(cut, {"u01": own(cut, "u01")})
    outside = {n.SerializeToString() for i, n in enumerate(cut.flow.nodes) if cut.unit_of.get(i) != "u01"}
    assert {n.SerializeToString() for n in made.graph.node if not n.name.startswith("u01/")} - outside == {
        n.SerializeToString() for n in made.graph.node if n.output[0] == cut["u01"].target}
    tensors = {t.name: t.SerializeToString() for t in cut.flow.model.graph.initializer}
    assert all(tensors[t.name] == t.SerializeToString() for t in made.graph.initializer if t.name in tensors)


def test_a_unit_that_keeps_its_shape_can_be_left_out() -> None:
    cut = Cut.of(chain(10))
    unit = next(u for u in cut.units if u.keeps_shape)
    made = assemble(cut, {unit.name: NOTHING})
    assert not any(n.op_type == "Identity" for n in made.graph.node)
    readers = {cut.flow.nodes[i].output[0] for i in cut.flow.readers[unit.target]}
    assert all(unit.source in n.input for n in made.graph.node if n.output[0] in readers)
    assert len(run(made, image_of(made), optimised=False)) == len(cut.flow.outputs)
    assert len(made.graph.initializer) < len(cut.flow.model.graph.initializer)


def test_a_unit_that_changes_the_shape_cannot() -> None:
    cut = Cut.of(chain())
    unit = next(u for u in cut.units if not u.keeps_shape)
    with pytest.raises(UsageError, match=rf"{unit.name} turns .* into .* and cannot be left out"):
        assemble(cut, {unit.name: NOTHING})


def test_a_fragment_is_renamed_so_that_it_meets_nothing_of_the_network() -> None:
    """Two units are replaced by one fragment whose names are those of the network's own tensors."""
    cut = Cut.of(chain(10))
    first, second = [u for u in cut.units if u.keeps_shape][:2]
    d = Drawing(first.source_shape, seed=9)
    fragment = Fragment(d.shaped(d.relu(d.conv("image", first.target_shape[1], 3))))
    assert {n.output[0] for n in fragment.nodes} & set(cut.flow.makers)
    made = assemble(cut, {first.name: fragment, second.name: fragment})
    onnx.checker.check_model(made, full_check=True)
    assert {n.output[0] for n in made.graph.node} >= {first.target, second.target}
    assert {f"{u.name}/c0" for u in (first, second)} <= {t.name for t in made.graph.initializer}
    x = np.abs(image_of(fragment.model)) if fragment.model is not None else np.empty(0)
    inside = onnx.ModelProto()
    inside.CopyFrom(made)
    inside.graph.output.extend(helper.make_tensor_value_info(n, TensorProto.FLOAT, None)
                               for n in (first.source, first.target))
    *_, before, after = run(inside, image_of(made), optimised=False)
    assert fragment.model is not None
    assert np.array_equal(run(fragment.model, before, optimised=False)[0], after)
    assert x.shape == before.shape


def test_what_a_branch_reads_stays() -> None:
    """A constant that only the branches of an If read, and a tensor of the network that they read too."""
    d = Drawing((1, 4, 4, 4))
    first = d.relu(d.conv("image", 4, 3))
    condition = d.node("Less", d.node("ReduceMax", first, keepdims=0), d.constant(np.float32(0)))
    only = d.constant(np.full((1, 4, 4, 4), -2, np.float32), "only")
    chosen = d.node("Add", branch(d, condition, only), branch(d, condition, first))
    model = d.shaped(d.relu(d.conv(chosen, 4)))
    cut = Cut.of(model)
    assert len(cut.units) == 2
    made = assemble(cut, {u.name: own(cut, u.name) for u in cut.units})
    onnx.checker.check_model(made)
    x = image_of(model)
    assert np.array_equal(run(made, x, optimised=False)[0], run(model, x, optimised=False)[0])


def test_a_constant_that_two_units_share_stays_for_the_other() -> None:
    d = Drawing((1, 8, 8, 8))
    w = d.weights(8, 8, 1, 1)
    x = "image"
    for _ in range(8):
        x = d.relu(d.node("Conv", x, w))
    model = d.shaped(x)
    cut = Cut.of(model)
    assert len(cut.units) > 1
    made = assemble(cut, {"u00": own(cut, "u00")})
    assert {t.name for t in made.graph.initializer} == {w, f"u00/{w}"}
    image = image_of(model)
    assert np.array_equal(run(made, image, optimised=False)[0], run(model, image, optimised=False)[0])


def test_a_network_that_was_put_together_before_is_cut_and_put_together_again() -> None:
    cut = Cut.of(chain(10))
    once = assemble(cut, {u.name: own(cut, u.name) for u in cut.units})
    again = Cut.of(onnx.shape_inference.infer_shapes(once))
    twice = assemble(again, {u.name: own(again, u.name) for u in again.units})
    onnx.checker.check_model(twice, full_check=True)
    x = image_of(once)
    assert np.array_equal(run(twice, x, optimised=False)[0], run(once, x, optimised=False)[0])


def test_names_of_a_former_replacement_are_not_taken_again() -> None:
    """Tensors of a network that was put together before are called u00/... already, and units may lie elsewhere now."""
    model = chain(10)
    cut = Cut.of(model)
    d = Drawing(cut["u01"].source_shape, seed=3)
    fragment = Fragment(d.shaped(d.relu(d.conv("image", cut["u01"].target_shape[1]))))
    inner, weight = fragment.nodes[0].output[0], fragment.nodes[0].input[1]
    old = {model.graph.node[0].output[0]: f"u01/{inner}", model.graph.node[0].input[1]: f"u01/{weight}"}
    for node in model.graph.node:
        node.input[:] = [old.get(name, name) for name in node.input]
        node.output[:] = [old.get(name, name) for name in node.output]
    for thing in (*model.graph.initializer, *model.graph.value_info):
        thing.name = old.get(thing.name, thing.name)
    made = assemble(Cut.of(model), {"u01": fragment})
    onnx.checker.check_model(made, full_check=True)
    assert np.array_equal(run(made, image_of(made), optimised=False)[0],
                          run(assemble(Cut.of(chain(10)), {"u01": fragment}), image_of(made), optimised=False)[0])

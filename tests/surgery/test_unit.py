"""Units: alone as in the network, one signature where the costs are one, names for people."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwnas.surgery import Cut
from hwnas.surgery.unit import part_of
from tests.surgery.networks import Drawing, chain, image_of, run, small


@pytest.mark.parametrize("hard_swish", [False, True])
def test_a_unit_alone_gives_what_it_gives_inside(hard_swish: bool) -> None:
    cut = Cut.of(small(hard_swish=hard_swish))
    watched = onnx.ModelProto()
    watched.CopyFrom(cut.flow.model)
    names = dict.fromkeys(name for u in cut.units for name in (u.source, u.target) if name != "image")
    del watched.graph.output[:]
    watched.graph.output.extend(helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in names)
    x = image_of(watched)
    inside = dict(zip(names, run(watched, x, optimised=False), strict=True)) | {"image": x}
    for unit in cut.units:
        alone = cut.model_of(unit)
        onnx.checker.check_model(alone, full_check=True)
        assert (alone.graph.input[0].name, alone.graph.output[0].name) == (unit.source, unit.target)
        assert np.array_equal(run(alone, inside[unit.source], optimised=False)[0], inside[unit.target])
        assert (unit.source_shape, unit.target_shape) == (inside[unit.source].shape, inside[unit.target].shape)
        assert unit.keeps_shape == (unit.source_shape == unit.target_shape)
        assert unit.params == sum(int(np.prod(t.dims)) for t in alone.graph.initializer)


def test_units_and_loose_nodes_are_the_whole_network() -> None:
    cut = Cut.of(small())
    assert sorted((*cut.unit_of, *cut.loose)) == list(range(len(cut.flow.nodes)))
    assert [u.name for u in cut.units] == [f"u{i:02d}" for i in range(len(cut.units))]
    assert cut["u01"] is cut.units[1]
    assert "u01" in cut
    assert "n001" not in cut
    assert set(cut.next_to()) == {(a.name, b.name) for a in cut.units for b in cut.units if a.target == b.source}


def first_unit(change: str = "") -> tuple[str, str]:
    """Signature and label of a convolution with a clip, with something changed."""
    d = Drawing((2 if change == "batch" else 1, 16 if change == "channels" else 8, 8, 8),
                seed=5 if change == "weights" else 0)
    attributes = {"strides": [2, 2]} if change == "stride" else {"group": 8} if change == "group" else {}
    x = d.conv("image", 8, 3, **attributes)
    low, high = d.constant(np.float32(0)), d.constant(np.float32(4 if change == "bound" else 6))
    x = d.node("Clip", x, low, high) if change != "operator" else d.relu(x)
    if change == "names":
        d.nodes[0].output[0] = d.nodes[1].input[0] = "another"
    (unit,) = Cut.of(d.shaped(x)).units
    return unit.signature, unit.label


@pytest.mark.parametrize("change", ["weights", "names", "batch"])
def test_one_signature_for_what_costs_the_same(change: str) -> None:
    """The batch is told beside it, in the table's keys."""
    if change == "batch":
        assert first_unit(change)[0].split()[1] == first_unit()[0].split()[1]
    else:
        assert first_unit(change) == first_unit()


@pytest.mark.parametrize("change", ["channels", "stride", "group", "operator", "bound"])
def test_another_signature_for_what_costs_something_else(change: str) -> None:
    assert first_unit(change)[0] != first_unit()[0]


def test_signatures_and_labels_read_well() -> None:
    signature, label = first_unit()
    assert signature.startswith("unit 8x8x8>8x8x8 ")
    assert label == "3x3 8>8, Clip"
    assert first_unit("group")[1] == "depthwise 3x3 8>8, Clip"
    assert first_unit("stride")[0].startswith("unit 8x8x8>8x4x4 ")


def test_long_labels_are_cut_short() -> None:
    d = Drawing((1, 4, 4, 4))
    x = d.conv("image", 4)
    for _ in range(9):
        x = d.node("Neg", x)
    cut = Cut.of(d.shaped(d.node("Add", x, "image")))
    (unit,) = cut.units
    assert unit.label == ", ".join(["1x1 4>4", *["Neg"] * 5, "..."])


def test_equal_blocks_of_a_network_share_a_signature() -> None:
    cut = Cut.of(chain(12))
    signatures = [u.signature for u in cut.units]
    assert len(set(signatures)) < len(signatures)


def test_a_part_holds_the_weights_it_reads_and_no_others() -> None:
    cut = Cut.of(small())
    unit = cut.units[1]
    part = part_of(cut.flow, unit.region.nodes, (unit.source,), (unit.target,))
    read = {name for node in part.graph.node for name in node.input}
    assert {t.name for t in part.graph.initializer} == read & cut.flow.constants
    assert list(part.opset_import) == list(cut.flow.model.opset_import)
    assert all(numpy_helper.to_array(t).size for t in part.graph.initializer)

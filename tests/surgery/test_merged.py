"""One convolution in a unit's place: exact where the unit is one, near where not, offered where it is less work."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from hwnas.surgery import Cut, assemble
from hwnas.surgery.canonical import canonical
from hwnas.surgery.merged import MOST_WORK, merge_regressions, merged_from, merges_of
from hwnas.surgery.moments import moments_of
from hwnas.surgery.splice import Fragment
from tests.trained_network import Builder, small_network

INPUTS = [np.random.default_rng(i).normal(size=(1, 1, 16, 16)).astype(np.float32) for i in range(40)]


def outputs(model: onnx.ModelProto, x: np.ndarray, name: str | None = None) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, {session.get_inputs()[0].name: x})[0]
    return found


def forms_of(cut: Cut, count: int = 40) -> dict[tuple[str, str], Fragment]:
    merges = merges_of(cut)
    return merged_from(cut, merges, moments_of(cut.flow, merge_regressions(merges), iter(INPUTS[:count])))


def straight(stride: int = 1, pads: tuple[int, int, int, int] = (1, 1, 1, 1), clip: bool = False) -> onnx.ModelProto:
    """A unit of two convolutions with nothing between them, so that one says the same; with a join where it can be."""
    b = Builder(seed=7)
    x = b.residual(b.residual(b.node("Relu", b.conv("image", 1, 16)), 16), 16)  # or the stem is of the unit
    wide, back = (b.rng.normal(size=shape).astype(np.float32) / 12 for shape in ((64, 16, 1, 1), (16, 64, 3, 3)))
    h = b.node("Conv", x, b.constant(wide), kernel_shape=[1, 1])  # no bias: outside of the map there is none either
    h = b.node("Conv", h, b.constant(back), kernel_shape=[3, 3], strides=[stride] * 2, pads=list(pads))
    h = b.node("Add", h, x) if stride == 1 else h
    bounds = [b.constant(np.array(v, np.float32)) for v in (0.0, 6.0)]
    x = b.node("Clip", h, *bounds) if clip else b.node("Relu", h)
    x = b.residual(b.residual(x, 16), 16)  # the last unit of a network holds its classes as well
    return b.model(b.classes(x, 16, 10))


@pytest.mark.parametrize(("stride", "pads", "clip"), [
    (1, (1, 1, 1, 1), False), (1, (1, 1, 1, 1), True), (2, (1, 1, 1, 1), False), (2, (0, 0, 1, 1), False)])
def test_what_is_one_convolution_is_found(stride: int, pads: tuple[int, int, int, int], clip: bool) -> None:
    cut = Cut.of(canonical(straight(stride, pads, clip)))
    forms = forms_of(cut)
    places = [key for key in forms if key[1] == "conv3" and any(
        cut.flow.shapes[name] == (16, 64, 3, 3) for i in cut[key[0]].region.nodes
        for name in cut.flow.nodes[i].input if name in cut.flow.constants)]
    assert len(places) == 1
    for key in places:
        model = assemble(cut, {key[0]: forms[key]})
        for seed in range(3):
            x = np.random.default_rng(100 + seed).normal(size=(1, 1, 16, 16)).astype(np.float32)
            wanted = outputs(cut.flow.model, x)
            # the ridge leaves a thousandth
            assert np.abs(outputs(model, x) - wanted).max() < 0.02 * np.abs(wanted).max()


def test_the_middle_of_a_smaller_kernel_lies_where_the_strided_one_has_its() -> None:
    """A 1x1 convolution with a stride reads the pixels that a 3x3 one with pads of 1 has in its middle."""
    b = Builder(seed=9)
    x = b.residual(b.residual(b.node("Relu", b.conv("image", 1, 16)), 16), 16)  # or the stem is of the unit
    w = np.zeros((16, 64, 3, 3), np.float32)
    w[:, :, 1, 1] = b.rng.normal(size=(16, 64)) / 8
    h = b.node("Conv", b.conv(x, 16, 64, 1), b.constant(w), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    x = b.residual(b.residual(b.node("Relu", h), 16), 16)
    cut = Cut.of(canonical(b.model(b.classes(x, 16, 10))))
    forms = forms_of(cut)
    (key,) = [key for key in forms if key[1] == "conv1" and cut[key[0]].source_shape[2] == 16
              and cut[key[0]].target_shape[2] == 8]
    x0 = INPUTS[3]
    wanted = outputs(cut.flow.model, x0)
    assert np.abs(outputs(assemble(cut, {key[0]: forms[key]}), x0) - wanted).max() < 0.02 * np.abs(wanted).max()


def test_it_is_nearer_than_nothing_at_all() -> None:
    cut = Cut.of(canonical(small_network(width=16)))
    forms = forms_of(cut)
    block = next(u for u in cut.units if u.keeps_shape and (u.name, "conv3") in forms)

    def away(part: Fragment) -> float:
        model = assemble(cut, {block.name: part})
        return float(np.mean([np.square(outputs(model, x) - outputs(cut.flow.model, x)).mean() for x in INPUTS[:8]]))

    assert away(forms[block.name, "conv3"]) < 0.5 * away(Fragment(None))


def test_only_what_is_less_work_is_offered() -> None:
    cut = Cut.of(canonical(small_network(width=16)))
    merges = merges_of(cut)
    assert {merge.form for merge in merges} == {"conv3", "conv1", "span3", "span1"}
    assert {merge.form for merge in merges if merge.spans} == {"span3", "span1"}
    for merge in merges:
        unit, (kernel, _) = merge.unit, merge.regression.kernel
        work = unit.source_shape[1] * int(np.prod(unit.target_shape)) * kernel**2
        assert work <= MOST_WORK * unit.region.work
    stem = cut.units[0]
    offered = {(m.unit.name, m.form) for m in merges}
    assert (stem.name, "conv3") not in offered or stem.region.work > 16 * 256 * 9 / MOST_WORK


def test_with_too_few_samples_nothing_is_fitted() -> None:
    cut = Cut.of(canonical(small_network(width=16)))
    assert not [key for key in forms_of(cut, 1) if key[1] == "conv3" and cut[key[0]].source_shape[1] == 16]


def test_units_that_are_left_out_are_not_fitted() -> None:
    cut = Cut.of(canonical(small_network(width=16)))
    assert {merge.unit.name for merge in merges_of(cut, frozenset({cut.units[1].name}))} <= {cut.units[1].name}

"""Thinner units: which channels go together, and a closed form that is exact where it can be."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from hwnas.quantize.graph import attribute
from hwnas.surgery import Cut, assemble
from hwnas.surgery.canonical import canonical
from hwnas.surgery.channels import groups_of
from hwnas.surgery.moments import SAMPLES_AN_UNKNOWN, moments_of
from hwnas.surgery.splice import Fragment
from hwnas.surgery.thin import SHARES, form_of, thin_from, thin_regressions
from tests.trained_network import Builder, small_network

INPUTS = [np.random.default_rng(i).normal(size=(1, 1, 16, 16)).astype(np.float32) for i in range(40)]


def thin_forms(cut: Cut, inputs: list[np.ndarray] = INPUTS, shares: tuple[float, ...] = SHARES,
               only: frozenset[str] | None = None) -> dict[tuple[str, str], Fragment]:
    return thin_from(cut, moments_of(cut.flow, thin_regressions(cut, only), iter(inputs)), shares, only)


def outputs(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, {"image": x})[0]
    return found


def mobile(width: int = 16, hidden: int = 48, gate: bool = True) -> onnx.ModelProto:
    """A stem, an inverted residual with a gate, a convolution at the end."""
    b = Builder(seed=3)
    x = b.node("Relu", b.conv("image", 1, width))
    h = b.node("HardSwish", b.conv(x, width, hidden, 1))
    h = b.node("HardSwish", b.conv(h, hidden, hidden, 3, groups=hidden))
    if gate:
        pooled = b.node("Relu", b.conv(b.node("GlobalAveragePool", h), hidden, 16, 1))
        h = b.node("Mul", h, b.node("HardSigmoid", b.conv(pooled, 16, hidden, 1), alpha=0.2, beta=0.5))
    x = b.node("Add", b.conv(h, hidden, width, 1), x)
    return b.model(b.classes(x, width, 10))


def redundant(width: int = 16, hidden: int = 32) -> onnx.ModelProto:
    """A unit whose channels inside come in pairs that are alike."""
    b = Builder(seed=5)
    x = b.node("Relu", b.conv("image", 1, width))
    half = b.rng.normal(size=(hidden // 2, width, 3, 3)).astype(np.float32) * 0.1
    first = b.node("Conv", x, b.constant(np.concatenate([half, half])), b.constant(np.zeros(hidden, np.float32)),
                   kernel_shape=[3, 3], pads=[1] * 4)
    second = b.conv(b.node("Relu", first), hidden, width)
    return b.model(b.classes(b.node("Relu", b.node("Add", second, x)), width, 10))


def test_channels_inside_a_residual_block_are_one_group() -> None:
    cut = Cut.of(canonical(small_network(width=16)))
    block = next(u for u in cut.units if u.keeps_shape)
    (group,) = groups_of(cut.flow, block)
    assert (group.channels, len(group.makers), len(group.readers), group.carriers) == (16, 1, 1, ())


def test_a_gate_goes_with_the_channels_that_it_weighs() -> None:
    cut = Cut.of(canonical(mobile()))
    (unit,) = (u for u in cut.units if any(cut.flow.nodes[i].op_type == "HardSwish" for i in u.region.nodes))
    groups = {g.channels: g for g in groups_of(cut.flow, unit)}
    wide = groups[48]
    assert len(wide.makers) == 2  # what expands, and what the gate gives
    assert len(wide.carriers) == 1  # depthwise
    assert len(wide.readers) == 2  # what projects, and what the gate reads
    assert wide.on_pixels
    assert not groups[16].on_pixels if 16 in groups else True


def test_channels_of_a_sum_with_the_outside_stay() -> None:
    cut = Cut.of(canonical(small_network(width=16)))
    for unit in cut.units:
        for group in groups_of(cut.flow, unit):
            made = {cut.flow.nodes[i].output[0] for i in group.makers}
            assert not made & {unit.source, unit.target}


def test_what_is_said_twice_goes_without_a_loss() -> None:
    cut = Cut.of(canonical(redundant()))
    forms = thin_forms(cut, shares=(0.5,))
    ((name, form),) = [key for key in forms if any(g.channels == 32 for g in groups_of(cut.flow, cut[key[0]]))]
    assert form == "thin50"
    thinner = assemble(cut, {name: forms[name, form]})
    x = np.random.default_rng(99).normal(size=(1, 1, 16, 16)).astype(np.float32)
    before, after = outputs(cut.flow.model, x), outputs(thinner, x)
    assert np.abs(before - after).max() < 0.02 * np.abs(before).max()


@pytest.mark.parametrize("gate", [False, True])
def test_fitted_is_nearer_than_sliced(gate: bool) -> None:
    """The closed form against the same channels without it, on images that it was not fitted on."""
    cut = Cut.of(canonical(mobile(gate=gate)))
    forms = thin_forms(cut, shares=(0.5,))
    assert forms
    name, form = next(iter(forms))
    fitted = assemble(cut, {name: forms[name, form]})
    sliced = assemble(cut, {name: type(forms[name, form])(_sliced(cut, name, forms[name, form].model))})
    xs = [np.random.default_rng(1000 + i).normal(size=(1, 1, 16, 16)).astype(np.float32) for i in range(10)]
    errors = [np.mean([np.square(outputs(m, x) - outputs(cut.flow.model, x)).mean() for x in xs])
              for m in (fitted, sliced)]
    assert errors[0] < 0.5 * errors[1]


def _sliced(cut: Cut, unit: str, thinner: onnx.ModelProto | None) -> onnx.ModelProto:
    """The same shapes with the teacher's own weights: the rows and columns of the channels that stayed."""
    from onnx import numpy_helper

    assert thinner is not None
    made = onnx.ModelProto()
    made.CopyFrom(thinner)
    whole = {t.name: numpy_helper.to_array(t) for t in cut.model_of(cut[unit]).graph.initializer}
    wide = next(n for n in cut.model_of(cut[unit]).graph.node if attribute(n, "group", 1) > 1)
    kept = {t.name: numpy_helper.to_array(t) for t in thinner.graph.initializer}[wide.input[1]]
    rows = [i for i, row in enumerate(whole[wide.input[1]]) if any(np.array_equal(row, k) for k in kept)]
    for tensor in made.graph.initializer:
        values = whole[tensor.name]
        for axis, size in enumerate(values.shape):
            if size == 48 and tensor.dims[axis] != size:
                values = values.take(rows, axis)
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))
    return made


def test_too_few_samples_give_no_form() -> None:
    """Ten samples an unknown: two images of 16 x 16 are not enough for a convolution of 3 x 3 on 32 channels."""
    cut = Cut.of(canonical(redundant()))
    assert SAMPLES_AN_UNKNOWN * (16 * 9 + 1) > 2 * 256
    few = thin_forms(cut, INPUTS[:2], shares=(0.5,))
    assert not few


def test_shares_that_come_to_the_same_are_one_form() -> None:
    cut = Cut.of(canonical(small_network(width=16)))
    forms = thin_forms(cut)
    narrow = [form for name, form in forms if cut[name].keeps_shape and cut[name].source_shape[1] == 16]
    assert set(narrow) == {"thin50"}  # 12 of 16 is no multiple of eight, and a quarter is no fewer than a half


def test_names_of_forms() -> None:
    assert [form_of(share) for share in (0.75, 0.5, 0.25)] == ["thin75", "thin50", "thin25"]


def test_only_some_units() -> None:
    cut = Cut.of(canonical(small_network(width=16)))
    assert {name for name, _ in thin_forms(cut, only=frozenset({"u01"}))} == {"u01"}

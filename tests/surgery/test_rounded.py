"""A torch network that rounds as the int8 form of an ONNX network does, and learns under it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from hwnas.quantize import to_form
from hwnas.surgery.canonical import canonical
from hwnas.surgery.interpreter import OnnxModule
from hwnas.surgery.rounded import RoundedModule, Rounding
from hwnas.surgery.session import session_of
from hwnas.surgery.tuning import Tuning, tune, with_constants
from tests.surgery.networks import session
from tests.surgery.test_tuning import examples
from tests.trained_network import small_network

INPUTS = [np.random.default_rng(i).normal(size=(1, 1, 16, 16)).astype(np.float32) for i in range(16)]


def lowered(model: onnx.ModelProto, variant: str = "u8s8", within: set[str] | None = None) -> bytes:
    name = model.graph.input[0].name
    return to_form(model.SerializeToString(), "int8", samples=[{name: x} for x in INPUTS], variant=variant,
                   within=within)


def away(model: bytes, net: OnnxModule) -> float:
    """Mean squared difference."""
    run, found = session(model, optimised=False), []  # as the form is defined, node by node
    for x in INPUTS:
        with torch.no_grad():
            found.append(np.square(run.run(None, {"image": x})[0] - net(torch.from_numpy(x))[0].numpy()).mean())
    return float(np.mean(found))


@pytest.mark.parametrize("variant", ["u8s8", "fused", "s8s8"])
def test_it_computes_what_the_int8_form_does(variant: str) -> None:
    model = canonical(small_network())
    int8 = lowered(model, variant)
    net = RoundedModule(model, Rounding.of(int8)).eval()
    assert away(int8, net) < 0.15 * away(int8, OnnxModule(model).eval())


def test_what_stays_in_floats_is_not_rounded() -> None:
    model = canonical(small_network())
    some = {node.output[0] for node in model.graph.node[:4]}
    rounding = Rounding.of(lowered(model, within=some))
    everything = Rounding.of(lowered(model))
    assert 0 < len(rounding.weights) < len(everything.weights)
    assert 0 < len(rounding.values) < len(everything.values)
    assert Rounding.of(model.SerializeToString()) == Rounding({}, {})


def test_gradients_pass_and_rounded_weights_lie_on_their_codes() -> None:
    model = canonical(small_network())
    rounding = Rounding.of(lowered(model))
    net = RoundedModule(model, rounding)
    net(torch.from_numpy(INPUTS[0]))[0].square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in net.parameters() if p.dim() == 4)
    assert any(float(p.grad.abs().max()) > 0 for p in net.parameters() if p.grad is not None)


def test_learning_under_rounding_makes_int8_better() -> None:
    teacher = canonical(small_network())
    name = teacher.graph.input[0].name
    images = examples(192)
    feeds = [{name: x} for x in images.take(32, 0).batches(1)]

    def int8(model: onnx.ModelProto) -> bytes:
        return to_form(model.SerializeToString(), "int8", samples=feeds)

    coarse = with_constants(teacher, {  # weights that eight bits hold badly: one channel input outweighs the others
        t.name: values for t in teacher.graph.initializer if len(t.dims) == 4
        for values in [_with_outlier(onnx.numpy_helper.to_array(t))]})
    start = int8(coarse)
    found = tune(coarse, coarse, images, ("classes",), Tuning(epochs=6, rates=(3e-4,)), rounding=Rounding.of(start))
    after = int8(with_constants(coarse, found.constants))
    truth = session_of(coarse.SerializeToString())

    def loss(model: bytes) -> float:
        lowered = session_of(model)
        found = []
        for x in images.batches(1):
            t, s = (torch.from_numpy(one.run(None, {name: x})[0]).log_softmax(1) for one in (truth, lowered))
            found.append(float((t.exp() * (t - s)).sum()))
        return float(np.mean(found))

    assert loss(after) < 0.8 * loss(start)


def _with_outlier(values: np.ndarray) -> np.ndarray:
    made = values.copy()
    made[:, 0, 0, 0] *= 12
    return made.astype(np.float32)

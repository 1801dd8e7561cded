"""A network carried out by torch: what ONNX Runtime gives, at any batch, and trainable."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from hwnas.errors import UsageError
from hwnas.surgery import Cut
from hwnas.surgery.canonical import canonical
from hwnas.surgery.interpreter import OnnxModule, missing_from
from tests.surgery.networks import Drawing, image_of, light, run, small


@pytest.mark.parametrize("hard_swish", [False, True])
def test_outputs_in_their_order(hard_swish: bool) -> None:
    model = small(hard_swish=hard_swish)
    tap = next(n.output[0] for n in model.graph.node if n.op_type == "Add")
    model.graph.output.insert(0, helper.make_tensor_value_info(tap, TensorProto.FLOAT, None))
    module, x = OnnxModule(model), image_of(model)
    assert module.output_names == [tap, model.graph.output[1].name]
    for want, got in zip(run(model, x, optimised=False), module(torch.from_numpy(x)), strict=True):
        assert np.allclose(got.detach().numpy(), want, atol=1e-5)


def test_tensors_by_name() -> None:
    model = small()
    module, x = OnnxModule(model), torch.from_numpy(image_of(model))
    names = [model.graph.node[2].output[0], model.graph.node[0].output[0]]
    found = module.run({"image": x}, names)
    assert [tuple(v.shape) for v in found] == [(1, 16, 8, 8), (1, 8, 8, 8)]
    # From the middle on: a unit alone.
    unit = Cut.of(model).units[1]
    alone = OnnxModule(Cut.of(model).model_of(unit))
    (want,) = module.run({"image": x}, [unit.target])
    (source,) = module.run({"image": x}, [unit.source])
    assert torch.equal(alone(source)[0], want)


def test_floating_constants_are_parameters_and_gradients_are_those_of_differences() -> None:
    model = small()
    module = OnnxModule(model)
    weights = {t.name for t in model.graph.initializer if len(t.dims)}
    assert set(module.constants()) == weights
    assert len(list(module.parameters())) == len(weights)
    double, x = module.double(), torch.from_numpy(image_of(model)).double()

    double(x)[0].square().sum().backward()
    for values in double.parameters():
        assert values.grad is not None
        assert values.grad.abs().max() > 0
        at = int(values.grad.abs().argmax())
        slope = float(values.grad.reshape(-1)[at])
        ends = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                values.reshape(-1)[at] += step
                ends.append(float(double(x)[0].square().sum()))
                values.reshape(-1)[at] -= step
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(slope, rel=1e-3, abs=1e-6)


def test_what_was_trained_comes_back_under_its_names() -> None:
    model = small()
    module = OnnxModule(model)
    with torch.no_grad():
        for values in module.parameters():
            values += 1
    before = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    assert all(np.array_equal(v, before[name] + 1) for name, v in module.constants().items())


def test_without_training_there_are_buffers_only() -> None:
    module = OnnxModule(small(), trains=False)
    assert list(module.parameters()) == []
    assert len(list(module.buffers())) == len(module.constants()) > 0


def test_statistics_of_a_norm_are_no_parameters() -> None:
    d = Drawing()
    x = d.node("Relu", "image")
    values = [d.constant(np.random.default_rng(i).uniform(0.5, 1, 3).astype(np.float32), f"p{i}") for i in range(4)]
    model = d.shaped(d.node("BatchNormalization", x, *values))
    module = OnnxModule(model)
    assert len(list(module.parameters())) == 2
    assert set(module.constants()) == set(values)


def test_an_operator_that_is_missing_is_refused_by_its_name() -> None:
    d = Drawing((1, 4, 4, 4))
    model = d.shaped(d.node("Mystery", d.node("TopK", d.relu("image"), d.constant(np.array([1])), outputs=2)[0],
                            domain="stranger"), domains=("stranger",))
    assert missing_from(model) == ["TopK", "stranger.Mystery"]
    with pytest.raises(UsageError, match=r"no counterpart here for the operator TopK: the units that hold it can be"):
        OnnxModule(model)
    assert missing_from(small()) == []


def test_an_operator_of_another_domain_is_none_of_ours() -> None:
    d = Drawing()
    model = d.shaped(d.node("Relu", "image", domain="stranger"), domains=("stranger",))
    assert missing_from(model) == ["stranger.Relu"]


@pytest.mark.parametrize("reshape", [[1, -1], [1, 32, 2, 2], [1, 2, 16, 2, 2], [-1, 128], [0, 128]])
def test_a_batch_goes_through_shapes_that_were_fixed_at_one(reshape: list[int]) -> None:
    """Every image of the batch as if it were alone."""
    d = Drawing((1, 3, 2, 2), seed=1)
    x = d.node("Reshape", d.relu(d.conv("image", 32)), d.constant(np.array(reshape, np.int64)))
    model = d.shaped(d.node("Flatten", x))
    module = OnnxModule(model, trains=False)
    batch = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 3, 2, 2)).astype(np.float32))
    alone = torch.cat([module(image[None])[0] for image in batch])
    assert torch.allclose(module(batch)[0], alone, atol=1e-6)


def test_a_batch_goes_through_a_reshape_whose_first_axis_is_no_batch() -> None:
    d = Drawing((1, 3, 2, 2))
    rows = d.node("Reshape", d.conv("image", 8), d.constant(np.array([8, 4], np.int64)))
    model = d.shaped(d.node("Reshape", rows, d.constant(np.array([1, -1], np.int64))))
    x = image_of(model)
    assert np.allclose(OnnxModule(model)(torch.from_numpy(x))[0].detach().numpy(), run(model, x)[0], atol=1e-6)


def test_a_light_architecture_at_a_batch() -> None:
    """With the channel shuffles that fix a batch of 1 where they were exported."""
    module = OnnxModule(canonical(light("shufflenet")), trains=False)
    batch = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 224, 224)).astype(np.float32))
    with torch.inference_mode():
        both, alone = module(batch)[0], [module(image[None])[0] for image in batch]
    assert torch.allclose(both, torch.cat(alone), rtol=1e-4, atol=1e-3 * float(both.abs().max()))


def test_shapes_that_are_computed_from_shapes() -> None:
    """Integers stay arrays on their way from a shape to a reshape, through everything exporters do with them."""
    d = Drawing((1, 6, 4, 5))
    x = d.relu("image")
    shape = d.node("Shape", x)
    parts = d.node("Split", shape, d.constant(np.array([2, 2], np.int64)), axis=0, outputs=2)
    area = d.node("ReduceProd", parts[1], keepdims=1)
    channels = d.node("Gather", shape, d.constant(np.array([1], np.int64)))
    halves = d.node("Div", channels, d.constant(np.array([2], np.int64)))
    least = d.node("Max", halves, d.constant(np.array([1], np.int64)))
    batch = d.node("Unsqueeze", d.node("Squeeze", d.node("Slice", shape, d.constant(np.array([0], np.int64)),
                                                         d.constant(np.array([1], np.int64)))),
                   d.constant(np.array([0], np.int64)))
    sizes = d.node("Concat", batch, least, d.constant(np.array([2], np.int64)), area, axis=0)
    model = d.shaped(d.node("Reshape", x, sizes))
    image = image_of(model)
    found = OnnxModule(model)(torch.from_numpy(image))[0]
    assert found.shape == (1, 3, 2, 20)
    assert np.array_equal(found.numpy(), run(model, image, optimised=False)[0])

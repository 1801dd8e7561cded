"""The ONNX graphs that are timed against the torch modules that are deployed, op kind by op kind.

Same outputs from the same weights with batch norm folded, and the same nodes once ONNX Runtime has optimised both:
otherwise a latency table would be made of something else than what `to_onnx` exports.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from hwnas.export import to_onnx
from hwnas.nets import Block, Network
from hwnas.nets.layers import ConvNormAct, LinearAct, NormAct, SqueezeExciteGate
from hwnas.nets.network import module_name
from hwnas.profile import network_model
from hwnas.profile.blocks import Block as TimedBlock
from hwnas.space import Architecture, Op, SpaceConfig, build

KINDS = {
    "mbconv k3 e3 relu": "mbconv k3 e3 s1 16-16 8x8 relu",
    "mbconv k5 e6 relu6": "mbconv k5 e6 s2 16-24 8x8 relu6",
    "mbconv se hswish": "mbconv k3 e3 s1 16-16 8x8 hswish se",
    "mbconv e1": "mbconv k3 e1 s1 16-24 8x8 relu",
    "fbconv g2": "fbconv k3 e1 s1 16-16 8x8 relu g2",
    "conv": "conv k3 e1 s2 3-16 9x9 hswish",
    "head one hidden": "head k1 e1 s1 16-10 4x4 relu m32",
    "head two hidden": "head k1 e1 s1 16-10 4x4 hswish m32-24",
    "head with batch norm": "head k1 e1 s1 16-10 4x4 relu",
    "preconv": "preconv k3 e1 s2 16-24 9x9 relu",
    "avgpool": "avgpool k3 e1 s1 16-16 8x8 none",
    "shortcut": "shortcut k1 e1 s2 16-24 8x8 none",
    "shortcut of an odd map": "shortcut k1 e1 s2 16-24 9x9 none",
}

Folded = dict[str, np.ndarray]
Scramble = Callable[[nn.Module], None]


def folded(block: Block, name: str) -> Folded:
    """Weights of a torch block under the names of the graph, batch norm folded into the convolutions in float64."""
    values: Folded = {}
    for i, step in enumerate(block.steps):
        if isinstance(step, ConvNormAct):
            conv, norm = step.conv, step.norm
            scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
            values[f"{name}/{i}/weight"] = (conv.weight.double() * scale.view(-1, 1, 1, 1)).detach().numpy()
            values[f"{name}/{i}/bias"] = (norm.bias.double() - norm.running_mean.double() * scale).detach().numpy()
        elif isinstance(step, SqueezeExciteGate):
            for part in ("reduce", "expand"):
                for key, tensor in getattr(step, part).named_parameters():
                    values[f"{name}/{i}/{part}/{key}"] = tensor.detach().numpy()
        elif isinstance(step, nn.Conv2d):
            values[f"{name}/{i}/weight"] = step.weight.detach().numpy()
        elif isinstance(step, NormAct):
            norm = step[0]
            parts = {"scale": norm.weight, "bias": norm.bias, "mean": norm.running_mean, "var": norm.running_var}
            values |= {f"{name}/{i}/{key}": tensor.detach().numpy() for key, tensor in parts.items()}
        elif isinstance(step, LinearAct):
            values |= {f"{name}/{i}/{key}": tensor.detach().numpy() for key, tensor in step[0].named_parameters()}
    return values


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The exporter talks about its own inner workings."""
    logging.disable(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def exported(net: nn.Module, shape: tuple[int, ...]) -> bytes:
    with quiet(), torch.no_grad():
        program = torch.onnx.export(
            net, (torch.rand(shape),), dynamo=True, external_data=False, verbose=False, input_names=["input"]
        )
    assert program is not None
    return program.model_proto.SerializeToString()  # type: ignore[no-any-return]


def run(model: bytes, x: np.ndarray, folder: Path) -> tuple[np.ndarray, list[str]]:
    """The output, and the types of the nodes that ONNX Runtime really executes, sorted."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(folder / "optimised.onnx").graph.node
    (out,) = session.run(None, {session.get_inputs()[0].name: x})
    return out, sorted(node.op_type for node in nodes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_timed_block_is_the_deployed_module(kind: str, tmp_path: Path, scramble: Scramble) -> None:
    op = Op.parse(KINDS[kind])
    block = Block(op).eval()
    scramble(block)
    shape = (1, op.in_channels, op.height, op.width)
    values = folded(block, "0")
    asked: list[str] = []

    def weights(name: str, shape: tuple[int, ...]) -> np.ndarray:
        asked.append(name)
        assert values[name].shape == shape
        return values[name].astype(np.float32)

    ours = TimedBlock(op).alone_model(1, weights)
    assert sorted(asked) == sorted(values)  # every weight of the module has its place in the graph
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    with torch.no_grad():
        expected = block(torch.from_numpy(x)).numpy()
    out, nodes = run(ours, x, tmp_path)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-4)
    deployed, deployed_nodes = run(exported(block, shape), x, tmp_path)
    np.testing.assert_allclose(deployed, expected, rtol=1e-4, atol=1e-4)
    assert nodes == deployed_nodes


CELLS = {
    "all live": (3, 3, 2, 1, 4, 3), "skips": (1, 1, 1, 1, 1, 1), "node 1 empty": (0, 3, 3, 0, 3, 3),
    "node 2 unread": (3, 3, 3, 1, 4, 0),
}


def chain(name: str) -> Architecture:
    space = build(SpaceConfig(name, 32, 3, 10, 0.5, 2 if name == "mobile" else 1))
    return space.architecture([i % n for i, n in enumerate(space.sizes)])


def cell(choice: tuple[int, ...]) -> Architecture:
    return build(SpaceConfig("nasbench201", 32, 3, 10, 0.5, 1)).architecture(choice)


def values_of(net: Network) -> Folded:
    """Weights of a whole network under the names of the graph."""
    values: Folded = {
        "normalize/mean": net.normalize.mean.numpy(), "normalize/std": net.normalize.std.numpy(),
    }
    for position in net.arch.space.positions:
        if module_name(position.name) in net.blocks:
            values |= folded(net.blocks[module_name(position.name)], position.name)  # type: ignore[arg-type]
    return values


@pytest.mark.parametrize("arch", [
    *(pytest.param(chain(name), id=name) for name in ("mobile", "ofa")),
    *(pytest.param(cell(choice), id=name) for name, choice in CELLS.items()),
])
def test_a_whole_network_is_the_deployed_one(arch: Architecture, tmp_path: Path, scramble: Scramble) -> None:
    net = Network(arch, [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]).eval()
    scramble(net)
    values = values_of(net)
    asked: list[str] = []

    def weights(name: str, _: tuple[int, ...]) -> np.ndarray:
        asked.append(name)
        return values[name].astype(np.float32)

    ours = network_model(arch, weights)
    assert sorted(asked) == sorted(values)
    x = np.random.default_rng(0).random((1, 3, 32, 32), dtype=np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(x)).numpy()
    scale = float(np.abs(expected).max())
    out, nodes = run(ours, x, tmp_path)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-4 * scale)
    to_onnx(net, tmp_path / "deployed.onnx", {})
    deployed, deployed_nodes = run((tmp_path / "deployed.onnx").read_bytes(), x, tmp_path)
    np.testing.assert_allclose(deployed, expected, rtol=0, atol=1e-4 * scale)
    assert nodes == deployed_nodes


def test_a_network_without_a_path_gives_every_image_the_same_logits(tmp_path: Path, scramble: Scramble) -> None:
    arch = cell((3, 0, 0, 0, 0, 3))
    assert not arch.connected
    net = Network(arch, [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]).eval()
    scramble(net)
    values = values_of(net)
    to_onnx(net, tmp_path / "deployed.onnx", {})
    x = np.random.default_rng(0).random((2, 3, 32, 32), dtype=np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(x)).numpy()
    assert (expected[0] == expected[1]).all()
    deployed, _ = run((tmp_path / "deployed.onnx").read_bytes(), x, tmp_path)
    ours, _ = run(network_model(arch, lambda key, _: values[key].astype(np.float32), batch=2), x, tmp_path)
    for out in (ours, deployed):
        np.testing.assert_allclose(out, expected, rtol=0, atol=1e-5)

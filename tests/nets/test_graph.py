"""The ONNX graphs that are timed against the torch modules that are deployed, op kind by op kind.

Same outputs from the same weights with batch norm folded, and the same nodes once ONNX Runtime has optimised both:
otherwise a latency table would be made of something else than what `to_onnx` exports.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from hwnas.export import to_onnx
from hwnas.nets import Block, Network
from hwnas.nets.modules import ConvNormAct, LinearAct, SqueezeExciteGate
from hwnas.nets.network import module_name
from hwnas.profile import network_model
from hwnas.profile.blocks import Block as TimedBlock
from hwnas.space import Op, SpaceConfig, build

KINDS = {
    "mbconv k3 e3 relu": "mbconv k3 e3 s1 16-16 8x8 relu",
    "mbconv k5 e6 relu6": "mbconv k5 e6 s2 16-24 8x8 relu6",
    "mbconv se hswish": "mbconv k3 e3 s1 16-16 8x8 hswish se",
    "mbconv e1": "mbconv k3 e1 s1 16-24 8x8 relu",
    "fbconv g2": "fbconv k3 e1 s1 16-16 8x8 relu g2",
    "conv": "conv k3 e1 s2 3-16 9x9 hswish",
    "head one hidden": "head k1 e1 s1 16-10 4x4 relu m32",
    "head two hidden": "head k1 e1 s1 16-10 4x4 hswish m32-24",
}

Folded = dict[str, np.ndarray]


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
        elif isinstance(step, LinearAct):
            values |= {f"{name}/{i}/{key}": tensor.detach().numpy() for key, tensor in step[0].named_parameters()}
    return values


def scramble(net: nn.Module) -> None:
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
        elif isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None:
            nn.init.normal_(module.bias)


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
def test_a_timed_block_is_the_deployed_module(kind: str, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("name", ["mobile", "ofa"])
def test_a_whole_network_is_the_deployed_one(name: str, tmp_path: Path) -> None:
    space = build(SpaceConfig(name, 32, 3, 10, 0.5, 2 if name == "mobile" else 1))
    arch = space.architecture([i % n for i, n in enumerate(space.sizes)])
    net = Network(arch, [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]).eval()
    scramble(net)
    values: Folded = {
        "normalize/mean": net.normalize.mean.numpy(), "normalize/std": net.normalize.std.numpy(),
    }
    for position, op in zip(space.positions, arch.ops, strict=True):
        if op.kind != "skip":
            values |= folded(net.blocks[module_name(position.name)], position.name)  # type: ignore[arg-type]
    ours = network_model(arch, lambda key, _: values[key].astype(np.float32))
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

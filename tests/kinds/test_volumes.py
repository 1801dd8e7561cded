"""A chain of convolutions over volumes: the code of images, with one axis more."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from hwnas.errors import InputError
from hwnas.latency.estimate.work import works
from hwnas.nets import Network, Supernet
from hwnas.profile import network_model, random_weights
from hwnas.profile.blocks import Block as TimedBlock
from hwnas.profile.graph import GraphBuilder
from hwnas.runtime import measure_latency, open_runtime
from hwnas.space import Op, Position, Space, SpaceConfig
from tests.kinds.onnx_weights import folded
from tests.kinds.test_contract import parameters, run, scrambled

OPS = (
    "conv k3 e1 s2 1-8 9x8x10 relu",
    "conv k1x3x3 e1 s1x2x2 4-8 5x8x9 hswish",
    "mbconv k3 e2 s1 8-8 4x5x6 relu",
    "mbconv k3x1x1 e2 s1 8-8 4x5x6 relu6 se",
    "fbconv k3 e1 s1 8-8 4x5x6 relu g2",
    "preconv k3 e1 s2 8-12 5x5x5 relu",
    "avgpool k3 e1 s1 8-8 4x5x6 none",
    "shortcut k1 e1 s2 8-12 5x4x6 none",
    "gate k1 e1 s1 8-12 4x5x6 none",
    "nearest k1 e1 s1 8-8 3x4x5 none x2",
    "head k1 e1 s1 8-5 4x5x6 relu m16",
    "head k1 e1 s1 8-5 4x5x6 relu",
    "repvgg k3 e1 s1 8-8 4x5x6 relu",
    "fused_mbconv k3 e2 s1 8-8 4x5x6 relu",
    "maxpool k3 e1 s2 8-8 4x5x6 none",
    "conv k5 e1 s2 3-8 33 relu",  # a series: one axis
)


def test_counts_of_a_volume_by_hand() -> None:
    op = Op("conv", 3, 8, size=(9, 8, 10), kernel=(1, 3, 3), stride=(1, 2, 2))
    assert op.signature == "conv k1x3x3 e1 s1x2x2 3-8 9x8x10 none"
    assert op.out_size == (9, 4, 5)
    assert op.flops == 9 * 3 * 8 * (9 * 4 * 5)
    assert op.params == 9 * 3 * 8 + 2 * 8
    assert op.peak_elements == 3 * 9 * 8 * 10 + 8 * 9 * 4 * 5
    assert Op.parse(op.signature) == op
    assert Op("conv", 3, 8, size=(4, 4, 4), kernel=3).signature == "conv k3 e1 s1 3-8 4x4x4 none"
    assert Op("conv", 3, 8, 4, 6) == Op("conv", 3, 8, size=(4, 6))
    assert Op("conv", 3, 8, 4, 6).replaced(width=9).size == (4, 9)


@pytest.mark.parametrize("fields", [{"size": (4, 4, 4), "kernel": (3, 3)}, {"size": ()}, {"size": (2, 2, 2, 2)},
                                    {"size": (4, 4, 4), "kernel": (1, 2, 3)}, {"size": (4, 0)}], ids=str)
def test_axes_that_do_not_match_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Op("conv", 4, 4, **fields)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="two axes"):
        Op("bilinear", 4, 4, size=(3, 3, 3), scale=2).steps  # noqa: B018


@pytest.mark.parametrize("signature", OPS)
def test_torch_and_onnx_agree_on_volumes(signature: str) -> None:
    op = Op.parse(signature)
    block = scrambled(op)
    assert parameters(block) == op.trained_params
    assert sum(work.macs for work in works(op)) >= max(1, op.flops)
    values = folded(block, "0")
    x = np.random.default_rng(0).standard_normal((2, op.in_channels, *op.size), dtype=np.float32)
    out = run(TimedBlock(op).alone_model(2, lambda name, shape: values[name].reshape(shape)), x)
    with torch.no_grad():
        expected = block(torch.from_numpy(x)).numpy()
    assert out.shape == (2, *op.out_shape) == expected.shape
    np.testing.assert_allclose(out, expected, rtol=1e-3, atol=1e-4)


def chain() -> Space:
    """Three choices on volumes of 8 x 16 x 16 places."""
    ops = [Op("conv", 1, 8, size=(8, 16, 16), kernel=3, stride=(1, 2, 2), act="relu")]
    positions = [Position("stem", (ops[0],))]
    size, channels = (8, 8, 8), 8
    for i, out in enumerate((8, 16, 16)):
        stride = 2 if out != channels else 1
        blank = Op("mbconv", channels, out, size=size, kernel=3, expand=2, stride=stride, act="relu")
        flat, plain = blank.replaced(kernel=(1, 3, 3)), blank.replaced(kind="conv", expand=1)
        found = [blank, flat, blank.replaced(expand=3), plain]
        skip = [blank.replaced(kind="skip", kernel=1, expand=1, act="none")] if blank.keeps_shape else []
        positions.append(Position(f"block{i}", (*found, *skip)))
        channels, size = out, blank.out_size
    positions.append(Position("head", (Op("head", channels, 4, size=size, act="relu", hidden=(24,)),)))
    return Space(SpaceConfig("volumes", 16, 1, 4), tuple(positions))


def test_a_chain_of_volumes_is_counted_trained_and_run_in_both() -> None:
    space = chain()
    assert space.input_shape == (1, 8, 16, 16)
    torch.manual_seed(0)
    supernet = Supernet(space, [0.5], [0.25])
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.05)
    x, labels = torch.rand(6, 1, 8, 16, 16), torch.arange(6) % 4
    rng = np.random.default_rng(0)
    for _ in range(3):
        arch = space.sample(rng)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(supernet.train()(x, arch), labels)  # type: ignore[arg-type]
        loss.backward()
        optimizer.step()
        assert np.isfinite(float(loss.detach()))
    for arch in (space.largest(), space.smallest(), space.sample(rng)):
        net = supernet.network(arch).eval()
        assert isinstance(net, Network)
        assert parameters(net) == arch.params
        names = dict(zip((p.name for p in space.positions), arch.ops, strict=True))
        values = {key: value for name, block in net.blocks.items() for key, value in folded(block, name).items()}
        values |= {"normalize/mean": np.full((1, 1, 1, 1, 1), 0.5), "normalize/std": np.full((1, 1, 1, 1, 1), 0.25)}
        model = network_model(arch, lambda name, shape, v=values: v[name].reshape(shape), batch=6)  # type: ignore[misc]
        onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
        with torch.no_grad():
            expected = net(x).numpy()  # type: ignore[union-attr]
        np.testing.assert_allclose(run(model, x.numpy()), expected, rtol=1e-3, atol=1e-4)
        assert set(net.blocks) == {name for name, op in names.items() if op.steps}


def test_blocks_of_volumes_are_timed() -> None:
    block = TimedBlock(Op("mbconv", 8, 8, size=(4, 8, 8), kernel=3, expand=2, act="relu"))
    times = {block.key: block.model(1, random_weights())}
    times |= {part.key: part.build(1, random_weights()) for part in block.base}
    found = {key: measure_latency(open_runtime("onnxruntime").load(model), visits=2, timed=2).median_ms
             for key, model in times.items()}
    assert [part.key for part in block.base] == ["carrier 8 4x8x8"]
    assert block.cost_ms(found) >= 0
    builder = GraphBuilder((1, 8, 4, 8, 8), random_weights())
    builder.op("block", block.op)
    assert open_runtime("onnxruntime").load(builder.model((1, 8, 4, 8, 8))).input_shape == (1, 8, 4, 8, 8)

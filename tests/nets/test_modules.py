"""Modules against the counts of the ops: no architecture of any space may drift."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from hwnas.nets import Block, Network, Normalize
from hwnas.space import SPACES, Op, SpaceConfig, build

SIGNATURES = (
    "conv k3 e1 s2 3-16 9x7 relu6", "conv k1 e1 s1 8-8 5x5 relu", "mbconv k5 e1 s2 16-24 9x9 relu",
    "mbconv k3 e3 s1 16-16 7x7 hswish se", "mbconv k7 e6 s2 8-16 6x6 relu6", "fbconv k3 e1 s1 16-16 8x8 relu g2",
    "fbconv k5 e6 s2 16-24 8x8 relu", "head k1 e1 s1 16-10 4x4 relu m32", "head k1 e1 s1 16-10 4x4 hswish m32-24",
    "skip k1 e1 s1 8-8 4x4 none", "mbconv k3 e1 s1 8-8 3x3 none", "preconv k3 e1 s2 8-16 9x9 relu",
    "preconv k1 e1 s1 8-8 4x4 relu", "avgpool k3 e1 s1 8-8 5x5 none", "identity k1 e1 s1 8-8 5x5 none",
    "shortcut k1 e1 s2 8-16 9x8 none", "shortcut k1 e1 s2 8-16 8x8 none", "head k1 e1 s1 16-10 4x4 relu",
)


def counted_flops(net: nn.Module, x: Tensor) -> int:
    """Multiply-accumulates torch sees in one forward pass; its counter counts a multiply-accumulate as two."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net.eval()(x)
    total = counter.get_total_flops()
    assert total % 2 == 0
    return int(total // 2)


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("signature", SIGNATURES)
def test_blocks_have_the_shape_flops_and_parameters_of_their_op(signature: str) -> None:
    op = Op.parse(signature)
    block = Block(op)
    x = torch.rand(2, op.in_channels, op.height, op.width)
    out = block.eval()(x)
    assert out.shape == ((2, op.out_channels) if op.kind == "head" else (2, op.out_channels, *op.out_hw))
    assert counted_flops(block, x) == 2 * op.flops  # two images
    assert parameters(block) == op.params


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(sorted(SPACES)), seed=st.integers(0, 10_000), imgsz=st.sampled_from([16, 32, 50]),
       channels=st.sampled_from([1, 3]), mult=st.sampled_from([0.5, 1.0, 1.3]), depth=st.sampled_from([1, 2]))
def test_random_architectures_of_every_space(
    name: str, seed: int, imgsz: int, channels: int, mult: float, depth: int
) -> None:
    space = build(SpaceConfig(name, imgsz, channels, 11, mult, depth))
    arch = space.sample(np.random.default_rng(seed))
    with torch.device("meta"):
        net = Network(arch, [0.5] * channels, [0.25] * channels)
        x = torch.empty(1, *space.input_shape)
    assert counted_flops(net, x) == sum(op.flops for op in arch.live_ops)
    assert parameters(net) == sum(op.params for op in arch.live_ops)
    assert all(arch.live) == (arch.live_ops == arch.ops)
    assert net(x).shape == (1, 11)


@pytest.mark.parametrize("name", sorted(SPACES))
def test_full_size_largest_and_smallest(name: str) -> None:
    space = build(SpaceConfig(name, SPACES[name].imgsz))
    for arch in (space.largest(), space.smallest()):
        with torch.device("meta"):
            net = Network(arch, [0.5] * 3, [0.25] * 3)
            x = torch.empty(1, *space.input_shape)
        assert counted_flops(net, x) == arch.flops
        assert parameters(net) == arch.params


def test_an_average_leaves_the_padding_out_and_keeps_ragged_edges() -> None:
    pool = Block(Op.parse("avgpool k3 e1 s1 1-1 3x3 none"))
    x = torch.arange(9.0).view(1, 1, 3, 3)
    assert pool(x)[0, 0, 0].tolist() == [2.0, 2.5, 3.0]  # of 4, 6 and 4 pixels
    halved = Block(Op.parse("shortcut k1 e1 s2 1-1 3x3 none")).steps[0](x)
    assert halved[0, 0].tolist() == [[2.0, 3.5], [6.5, 8.0]]  # of 4, 2, 2 and 1 pixels


def test_an_op_on_an_edge_leaves_its_input_as_it_is() -> None:
    """Other edges read the same node."""
    for signature in ("preconv k3 e1 s1 8-8 5x5 relu", "avgpool k3 e1 s1 8-8 5x5 none"):
        x = torch.randn(2, 8, 5, 5)
        before = x.clone()
        Block(Op.parse(signature))(x)
        assert torch.equal(x, before)


def test_residual_is_the_input_added_once() -> None:
    block = Block(Op.parse("mbconv k3 e3 s1 8-8 5x5 relu")).eval()
    x = torch.randn(2, 8, 5, 5)
    before = x.clone()
    torch.testing.assert_close(block(x), block.steps(x) + x)
    torch.testing.assert_close(x, before)  # in-place activations must not reach the caller's tensor
    assert not Block(Op.parse("mbconv k3 e3 s1 8-16 5x5 relu")).residual


def test_squeeze_excite_by_hand() -> None:
    gate = Block(Op.parse("mbconv k3 e2 s1 4-8 3x3 relu se")).steps[2]
    x = torch.randn(2, 8, 3, 3)
    pooled = x.mean((2, 3))
    hidden = (pooled @ gate.reduce.weight[:, :, 0, 0].T + gate.reduce.bias).clamp(min=0)
    scale = ((hidden @ gate.expand.weight[:, :, 0, 0].T + gate.expand.bias) / 6 + 0.5).clamp(0, 1)
    torch.testing.assert_close(gate(x), x * scale[:, :, None, None])


def test_grouped_block_shuffles_its_channels() -> None:
    """Without the shuffle half of the outputs would never see the other half of the inputs."""
    torch.manual_seed(0)  # with other weights every ReLU of a path may be off
    block = Block(Op.parse("fbconv k3 e1 s2 8-8 4x4 relu g2")).eval()
    x = torch.rand(1, 8, 4, 4, requires_grad=True)
    block(x)[:, :4].square().sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().sum((0, 2, 3)) > 0).sum() > 4


def test_normalize_uses_constants_that_are_saved() -> None:
    normalize = Normalize([0.25, 0.5], [0.5, 0.125])
    x = torch.tensor([1.0, 0.25]).view(1, 2, 1, 1)
    assert normalize(x).flatten().tolist() == [1.5, -2.0]
    assert set(normalize.state_dict()) == {"mean", "std"}
    assert parameters(normalize) == 0


def test_a_fresh_network_starts_sane() -> None:
    """Logits near zero: the first loss is that of guessing."""
    torch.manual_seed(0)
    space = build(SpaceConfig("mobile", 32, classes=10))
    net = Network(space.largest(), [0.5] * 3, [0.25] * 3).train()
    out = net(torch.rand(32, 3, 32, 32))
    loss = nn.functional.cross_entropy(out, torch.arange(32) % 10)
    assert float(loss.detach()) == pytest.approx(math.log(10), rel=0.2)


def test_skipped_positions_have_no_module() -> None:
    space = build(SpaceConfig("mobile", 32, classes=10))
    names = Network(space.architecture([6] * 8), [0.5] * 3, [0.25] * 3).blocks.keys()
    assert "stage1_1" in names
    assert "stage1_2" not in names
    assert len(names) == 6

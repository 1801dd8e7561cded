"""A path of the supernet is the network of that architecture; ops of a choice share slices of one block."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from hwnas.errors import InputError
from hwnas.nets import Block, Network, Supernet
from hwnas.nets.elastic import ElasticBlock
from hwnas.nets.mixed_op import MixedOp
from hwnas.space import SPACES, Architecture, Op, Space, SpaceConfig, build
from hwnas.train import reestimate_batch_norm

Scramble = Callable[[nn.Module], None]
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]


def small(name: str, classes: int = 5) -> Space:
    return build(SpaceConfig(name, 16, 3, classes, 0.25, 2))


def paths(space: Space) -> list[Architecture]:
    """Every op of every choice at least once, and a few at random."""
    rng = np.random.default_rng(0)
    rows = [space.architecture([j % n for n in space.sizes]) for j in range(max(space.sizes))]
    return [*rows, *(space.sample(rng) for _ in range(3))]


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.slow) if name in ("nasbench201", "ofa") else name for name in sorted(SPACES)
])
def test_a_path_is_the_network_with_its_weights(name: str, scramble: Scramble) -> None:
    space = small(name)
    supernet = Supernet(space, MEAN, STD)
    scramble(supernet)
    x = torch.rand(3, 3, 16, 16)
    for arch in paths(space):
        supernet.eval()
        net = Network(arch, MEAN, STD)
        net.load_state_dict(supernet.weights_of(arch))  # strict: every name is there and no other
        with torch.no_grad():
            torch.testing.assert_close(supernet(x, arch), net.eval()(x), rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(supernet(x, arch), supernet.network(arch).eval()(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["ofa", "fbnet", "mobile", "nasbench201"])
def test_a_training_step_of_a_path_is_that_of_the_network(name: str, scramble: Scramble) -> None:
    """Batch statistics, running statistics and gradients, not only the forward pass in eval mode."""
    space = small(name)
    supernet = Supernet(space, MEAN, STD)
    scramble(supernet)
    supernet.double()
    arch = space.architecture([1 % n for n in space.sizes])
    net = Network(arch, MEAN, STD).double()
    net.load_state_dict(supernet.weights_of(arch))
    x = torch.rand(8, 3, 16, 16, dtype=torch.float64)
    for model in (supernet.subnet(arch), net):
        model.train()(x).square().sum().backward()
    for key, value in supernet.weights_of(arch).items():
        torch.testing.assert_close(value, net.state_dict()[key], rtol=1e-6, atol=1e-6, check_dtype=False)
    grads = [sum(float(p.grad.square().sum()) for p in m.parameters() if p.grad is not None) for m in (supernet, net)]
    assert grads[0] == pytest.approx(grads[1], rel=1e-8)


@pytest.mark.parametrize("name", sorted(SPACES))
def test_weights_taken_out_are_copies(name: str) -> None:
    space = small(name)
    supernet = Supernet(space, MEAN, STD)
    before = copy.deepcopy(supernet.state_dict())
    for value in supernet.weights_of(space.largest()).values():
        value.fill_(7)
    for parameter in supernet.network(space.largest()).parameters():
        parameter.data.fill_(7)
    assert all(torch.equal(v, before[k]) for k, v in supernet.state_dict().items())


def mbconv(kernel: int, expand: int, *, se: bool = False) -> Op:
    return Op("mbconv", 8, 8, 6, 6, kernel, expand, 1, "relu", se)


@pytest.mark.parametrize("se", [False, True])
def test_training_the_large_op_changes_the_slice_of_the_small_one(se: bool) -> None:
    small_op, large_op = mbconv(3, 2, se=se), mbconv(5, 6, se=se)
    block = ElasticBlock([small_op, large_op])
    before = block.state_of(small_op)
    optimizer = torch.optim.SGD(block.parameters(), lr=0.1)
    block.train()(torch.randn(4, 8, 6, 6), large_op).square().sum().backward()
    optimizer.step()
    after = block.state_of(small_op)
    changed = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert {"steps.0.conv.weight", "steps.1.conv.weight"} <= changed
    assert {k for k in after if k.endswith(("weight", "running_mean"))} <= changed | {"steps.2.reduce.weight"}


@pytest.mark.parametrize("se", [False, True])
def test_training_the_small_op_leaves_the_rest_of_the_large_one(se: bool) -> None:
    small_op, large_op = mbconv(3, 2, se=se), mbconv(5, 6, se=se)
    block = ElasticBlock([small_op, large_op])
    before = block.state_of(large_op)
    optimizer = torch.optim.SGD(block.parameters(), lr=0.1)
    block.train()(torch.randn(4, 8, 6, 6), small_op).square().sum().backward()
    optimizer.step()
    after = block.state_of(large_op)
    middle = 8 * small_op.expand
    kernel = after["steps.1.conv.weight"]
    assert not torch.equal(kernel[:middle, :, 1:4, 1:4], before["steps.1.conv.weight"][:middle, :, 1:4, 1:4])
    kernel[:middle, :, 1:4, 1:4] = before["steps.1.conv.weight"][:middle, :, 1:4, 1:4]
    assert torch.equal(kernel, before["steps.1.conv.weight"])  # the rim and the other channels are as they were
    assert torch.equal(after["steps.0.conv.weight"][middle:], before["steps.0.conv.weight"][middle:])
    for norm in ("steps.0.norm", "steps.1.norm"):
        for part in ("weight", "bias", "running_mean", "running_var"):
            assert torch.equal(after[f"{norm}.{part}"][middle:], before[f"{norm}.{part}"][middle:])
        assert not torch.equal(after[f"{norm}.running_mean"][:middle], before[f"{norm}.running_mean"][:middle])


def test_a_slice_is_the_centre_of_the_kernel_and_the_first_channels() -> None:
    small_op, large_op = mbconv(3, 2), mbconv(7, 4)
    block = ElasticBlock([small_op, large_op])
    large, little = block.state_of(large_op), block.state_of(small_op)
    assert torch.equal(little["steps.0.conv.weight"], large["steps.0.conv.weight"][:16])
    assert torch.equal(little["steps.1.conv.weight"], large["steps.1.conv.weight"][:16, :, 2:5, 2:5])
    assert torch.equal(little["steps.2.conv.weight"], large["steps.2.conv.weight"][:, :16])
    assert {k: v.shape for k, v in little.items()} == {k: v.shape for k, v in Block(small_op).state_dict().items()}


def test_the_shared_block_may_be_larger_than_any_op(scramble: Scramble) -> None:
    """k7 e2 and k3 e4 are slices of a k7 e4 that no op uses whole."""
    ops = [mbconv(7, 2), mbconv(3, 4)]
    block = ElasticBlock(ops).eval()
    scramble(block)
    x = torch.randn(2, 8, 6, 6)
    for op in ops:
        own = Block(op).eval()
        own.load_state_dict(block.state_of(op))
        torch.testing.assert_close(block(x, op), own(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("op", "shares"), [
    (Op("mbconv", 8, 8, 4, 4, 3, 2), True), (Op("mbconv", 8, 8, 4, 4, 3, 1), False),
    (Op("fbconv", 8, 8, 4, 4, 3, 1), True), (Op("fbconv", 8, 8, 4, 4, 3, 1, groups=2), False),
    (Op("skip", 8, 8, 4, 4), False), (Op("conv", 8, 16, 4, 4), False), (Op("preconv", 8, 8, 4, 4, 3), True),
    (Op("avgpool", 8, 8, 4, 4, 3), False), (Op("none", 8, 8, 4, 4), False),
])
def test_which_ops_share(op: Op, shares: bool) -> None:
    assert op.elastic == shares


def test_every_candidate_has_weights_exactly_once() -> None:
    choice = next(c for c in small("fbnet").choices if c.ops[-1].kind == "skip")
    candidates = MixedOp(choice.ops)
    assert set(candidates.alone) == {"1", "5"}  # the grouped ones
    assert candidates.module_of(8) is None
    assert candidates.state_of(8) == {}
    x = torch.rand(2, choice.ops[0].in_channels, choice.ops[0].height, choice.ops[0].width)
    assert torch.equal(candidates(x, 8), x)
    for index in (0, 2, 3, 4, 6, 7):
        assert candidates.module_of(index) is candidates.elastic
    largest = Block(Op.parse(choice.ops[7].signature))
    own = sum(p.numel() for p in candidates.parameters())
    grouped = sum(choice.ops[i].params for i in (1, 5))
    assert own == grouped + sum(p.numel() for p in largest.parameters())


def test_the_convolutions_of_an_edge_share_the_centre_of_the_kernel() -> None:
    candidates = MixedOp(small("nasbench201").choices[0].ops)
    assert candidates.module_of(2) is candidates.module_of(3) is candidates.elastic
    assert [candidates.module_of(index) for index in (0, 1)] == [None, None]
    narrow, wide = candidates.state_of(2), candidates.state_of(3)
    assert torch.equal(narrow["steps.1.conv.weight"], wide["steps.1.conv.weight"][:, :, 1:2, 1:2])


def test_every_cell_takes_the_same_op_at_an_edge_with_weights_of_its_own() -> None:
    space = small("nasbench201")
    supernet = Supernet(space, MEAN, STD)
    arch = space.architecture([0, 0, 0, 3, 0, 0])
    state = supernet.weights_of(arch)
    kernels = [state[key] for key in state if "op_3_0" in key and key.endswith("conv.weight")]
    assert len(kernels) == 6  # two cells in each of three stages
    assert not torch.equal(kernels[0], kernels[1])
    assert len(supernet.active(arch)) == 6 + len(space.fixed_ops)


def test_dead_ops_are_neither_run_nor_trained_nor_taken_out() -> None:
    space = small("nasbench201")
    supernet = Supernet(space, MEAN, STD)
    arch = space.architecture([3, 0, 3, 3, 0, 0])  # 1<-0 and 2<-1 lead nowhere
    supernet.train()(torch.rand(4, 3, 16, 16), arch).square().sum().backward()
    dead = [c for p, c in zip(space.positions, supernet.candidates, strict=True) if p.tie in ("op_1_0", "op_2_1")]
    assert dead
    assert all(p.grad is None for c in dead for p in c.parameters())
    assert not any("op_1_0" in key or "op_2_1" in key for key in supernet.weights_of(arch))
    assert not {id(m) for c in dead for m in c.modules()} & {id(m) for m in supernet.active(arch)}


@pytest.mark.filterwarnings("ignore:Supernet.select")
def test_a_wrong_path_is_refused_and_the_old_one_stays() -> None:
    supernet = Supernet(small("mobile"), MEAN, STD)
    path = supernet.arch
    for choice in ([0], [7] * len(supernet.space.sizes)):
        with pytest.raises(InputError):
            supernet.select(choice)
    assert supernet.arch == path


def test_a_copy_runs_its_own_weights() -> None:
    supernet = Supernet(small("mobile"), MEAN, STD).eval()
    twin = copy.deepcopy(supernet)
    x = torch.rand(1, 3, 16, 16)
    expected = supernet(x).detach()
    for parameter in supernet.parameters():
        parameter.data.zero_()
    torch.testing.assert_close(twin(x).detach(), expected)


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)


def stem_outputs(supernet: Supernet, pixels: np.ndarray) -> torch.Tensor:
    """What the stem's batch norm sees, (N * H * W, C)."""
    conv = supernet.candidates[0].alone["0"].steps[0].conv  # type: ignore[index, union-attr]
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        return conv(supernet.normalize(x)).permute(0, 2, 3, 1).reshape(-1, conv.out_channels)  # type: ignore[operator, union-attr, no-any-return]


def stem_norm(supernet: Supernet) -> nn.BatchNorm2d:
    return supernet.candidates[0].alone["0"].steps[0].norm  # type: ignore[index, return-value]


def test_reestimated_statistics_are_those_of_the_images(scramble: Scramble) -> None:
    supernet = Supernet(small("mobile"), MEAN, STD)
    scramble(supernet)
    pixels = images(64)
    reestimate_batch_norm(supernet, supernet.active(), pixels)
    seen, norm = stem_outputs(supernet, pixels), stem_norm(supernet)
    torch.testing.assert_close(norm.running_mean, seen.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, seen.var(0), rtol=1e-4, atol=1e-5)
    assert not supernet.training


def test_statistics_of_a_whole_path_are_those_of_the_same_network(scramble: Scramble) -> None:
    space = small("mobile")
    supernet = Supernet(space, MEAN, STD)
    for arch in paths(space)[:4]:
        scramble(supernet)
        alone = supernet.network(arch)
        scrambled = copy.deepcopy(alone.state_dict())
        for model, parts in ((supernet.subnet(arch), supernet.active(arch)), (alone, [alone])):
            reestimate_batch_norm(model, parts, images(96), batch=32)
        found = supernet.weights_of(arch)
        for key, value in alone.state_dict().items():
            torch.testing.assert_close(found[key], value, rtol=1e-3, atol=1e-4)
            if key.endswith("running_mean"):
                assert not torch.equal(value, scrambled[key])


def test_equal_batches_are_averaged() -> None:
    supernet = Supernet(small("mobile"), MEAN, STD)
    pixels = images(64)
    reestimate_batch_norm(supernet, supernet.active(), pixels, batch=16)
    parts = [stem_outputs(supernet, pixels[i : i + 16]) for i in range(0, 64, 16)]
    norm = stem_norm(supernet)
    torch.testing.assert_close(norm.running_mean, torch.cat(parts).mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, torch.stack([p.var(0) for p in parts]).mean(0), rtol=1e-4, atol=1e-5)


def test_a_short_last_batch_counts_by_its_images() -> None:
    """Two odd images at the end must not weigh as much as the 256 before them."""
    supernet = Supernet(small("mobile"), MEAN, STD)
    pixels = images(34)
    pixels[32:] = 255
    reestimate_batch_norm(supernet, supernet.active(), pixels, batch=32)
    expected = stem_outputs(supernet, pixels).mean(0)
    torch.testing.assert_close(stem_norm(supernet).running_mean, expected, rtol=1e-3, atol=1e-4)


def test_norms_of_other_ops_and_all_weights_stay(scramble: Scramble) -> None:
    space = small("fbnet")
    supernet = Supernet(space, MEAN, STD)
    scramble(supernet)
    arch = space.architecture([1] * len(space.sizes))  # a grouped op at every choice: nothing of it is shared
    active = {id(m) for part in supernet.active(arch) for m in part.modules()}
    before = copy.deepcopy(supernet.state_dict())
    untouched = [name for name, m in supernet.named_modules() if isinstance(m, nn.BatchNorm2d) and id(m) not in active]
    reestimate_batch_norm(supernet.subnet(arch), supernet.active(arch), images(16))
    after = supernet.state_dict()
    assert untouched
    for name in untouched:
        for part in ("running_mean", "running_var", "num_batches_tracked"):
            assert torch.equal(after[f"{name}.{part}"], before[f"{name}.{part}"])
    for name, _ in supernet.named_parameters():
        assert torch.equal(after[name], before[name])
    assert all(m.momentum == 0.1 for m in supernet.modules() if isinstance(m, nn.BatchNorm2d))

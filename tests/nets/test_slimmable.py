"""Thinner networks, and those for smaller images, as parts of a supernet."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hwnas.nets import Supernet
from hwnas.nets.slimmable import part_of
from hwnas.space import SpaceConfig, Variant, build, scaled

MEAN, STD = [0.5] * 3, [0.25] * 3
CONFIGS = [
    SpaceConfig("mobile", 32, 3, 10), SpaceConfig("ofa", 96, 3, 10, depth=2), SpaceConfig("fbnet", 64, 3, 10, depth=1),
    SpaceConfig("mobile", 64, 3, 4, depth=1, head="fcos"), SpaceConfig("mobile", 64, 3, 4, depth=1, head="lraspp"),
    SpaceConfig("mobile", 64, 3, 4, depth=1, head="deeplab", output_stride=32),
    SpaceConfig("mobile", 64, 3, 4, depth=1, head="fpn", head_width=16),
    SpaceConfig("nasbench201", 32, 3, 10, depth=1),
]


def outputs(found: object) -> list[torch.Tensor]:
    return found if isinstance(found, list) else [found]  # type: ignore[list-item]


THIN = [(config, Variant(width)) for config in CONFIGS for width in (0.75, 0.5)]
SMALL = [(config, Variant(width, 32)) for config in CONFIGS for width in (1.0, 0.5)
         if config.imgsz > 32 and config.name != "fbnet"]


@pytest.mark.parametrize(("config", "variant"), THIN + SMALL)
def test_a_scaled_path_is_the_network_with_the_supernet_s_weights(config: SpaceConfig, variant: Variant) -> None:
    """In training mode both use the statistics of the batch, so the outputs must agree; and every weight is a part."""
    torch.manual_seed(0)
    space = build(config)
    thin, supernet = scaled(space, variant), Supernet(space, MEAN, STD)
    rng = np.random.default_rng(0)
    x = torch.rand(4, 3, *thin.config.size)
    for _ in range(3):
        arch = thin.sample(rng)
        net = supernet.network(arch).train()
        for ours, alone in zip(outputs(supernet.train()(x, arch)), outputs(net(x)), strict=True):
            torch.testing.assert_close(ours, alone, rtol=1e-3, atol=1e-3)
        if all(arch.live):
            assert sum(p.numel() for p in net.parameters()) == arch.params


def test_the_gradient_of_a_thin_path_reaches_the_first_channels_alone() -> None:
    space = build(SpaceConfig("mobile", 32, 3, 10, depth=1))
    thin, supernet = scaled(space, Variant(0.5)), Supernet(space, MEAN, STD)
    before = {k: v.clone() for k, v in supernet.state_dict().items() if "running" in k}
    supernet.train()(torch.rand(4, 3, 32, 32), thin.largest()).square().sum().backward()
    stem = supernet.candidates[0].module_of(0).steps[0].conv.weight  # type: ignore[union-attr, index]
    assert stem.grad is not None
    width = thin.positions[0].ops[0].out_channels
    assert stem.grad[:width].abs().sum() > 0
    assert stem.grad[width:].abs().sum() == 0
    after = supernet.state_dict()
    assert all(torch.equal(value, after[k]) for k, value in before.items()), "statistics of another width"


def test_kernels_are_cut_to_their_centre() -> None:
    wide = torch.arange(4 * 2 * 5 * 5).reshape(4, 2, 5, 5)
    assert torch.equal(part_of(wide, torch.Size([3, 1, 3, 3])), wide[:3, :1, 1:4, 1:4])
    assert torch.equal(part_of(torch.arange(6), torch.Size([4])), torch.arange(4))


def test_thin_paths_take_no_random_numbers_of_torch() -> None:
    """Decision 6: randomness is passed in. What a part looks like is learnt, not drawn."""
    space = build(SpaceConfig("mobile", 32, 3, 10, depth=1))
    thin, supernet = scaled(space, Variant(0.5)), Supernet(space, MEAN, STD)
    x = torch.rand(2, 3, 32, 32)
    before = torch.get_rng_state()
    arch = thin.largest()
    supernet.train()(x, arch)
    supernet.weights_of(arch)
    assert torch.equal(torch.get_rng_state(), before)


def test_thin_paths_go_where_the_supernet_goes() -> None:
    """Blocks that run with views of the weights are no submodules; they follow `.to` all the same."""
    space = build(SpaceConfig("mobile", 32, 3, 10, depth=1))
    thin, supernet = scaled(space, Variant(0.5)), Supernet(space, MEAN, STD)
    arch, x = thin.largest(), torch.rand(2, 3, 32, 32)
    names = set(supernet.state_dict())
    first = supernet.train()(x, arch)
    assert set(supernet.state_dict()) == names
    supernet.double()
    again = supernet(x.double(), arch)
    torch.testing.assert_close(again, first.double(), rtol=1e-4, atol=1e-4)  # type: ignore[union-attr]
    supernet.to("meta")
    assert supernet(x.to("meta"), arch).shape == (2, 10)  # type: ignore[union-attr]


def test_a_path_that_is_given_leaves_nothing_behind() -> None:
    space = build(SpaceConfig("mobile", 32, 3, 10, depth=1))
    supernet, x = Supernet(space, MEAN, STD).eval(), torch.rand(2, 3, 32, 32)
    small, large = space.smallest(), space.largest()
    with torch.no_grad():
        first, given = supernet(x), supernet(x, small)
        assert torch.equal(supernet(x), first)
        assert torch.equal(supernet(x, large), first)
        assert torch.equal(supernet.subnet(small).eval()(x), given)
    assert not torch.equal(first, given)
    assert [id(m) for m in supernet.active(small)] != [id(m) for m in supernet.active(large)]


def test_selecting_a_path_is_the_call_of_0_1() -> None:
    space = build(SpaceConfig("mobile", 32, 3, 10, depth=1))
    supernet, x, small = Supernet(space, MEAN, STD).eval(), torch.rand(2, 3, 32, 32), space.smallest()
    with pytest.warns(DeprecationWarning, match="supernet\\(x, arch\\)"):
        supernet.select(small.choice)
    with torch.no_grad():
        assert torch.equal(supernet(x), supernet(x, small))
    assert [id(m) for m in supernet.active()] == [id(m) for m in supernet.active(small)]

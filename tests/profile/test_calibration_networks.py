import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.profile.calibration_networks import depth_range, draw, random_network
from hwnas.space import SPACES, SpaceConfig, build

SPACE = build(SpaceConfig("mobile", 32, 3, 10))


@settings(max_examples=30, deadline=None)
@given(depth=st.integers(0, 12), seed=st.integers(0, 10**6))
def test_depth_is_what_was_asked_for(depth: int, seed: int) -> None:
    low, high = depth_range(SPACE)
    assert random_network(SPACE, depth, np.random.default_rng(seed)).depth == min(max(depth, low), high)


@pytest.mark.parametrize("name", sorted(SPACES))
def test_range_holds_for_every_space(name: str) -> None:
    space = build(SpaceConfig(name, 64, 3, 10))
    low, high = depth_range(space)
    assert low <= space.smallest().depth <= high == len(space.choices)


def test_sets_are_disjoint_even_in_depth_and_span_the_space() -> None:
    fitted, held = draw(SPACE, 10, 20, np.random.default_rng(0))
    assert (len(fitted), len(held)) == (10, 20)
    assert len({*fitted, *held}) == 30
    assert fitted[:2] == [SPACE.smallest(), SPACE.largest()]
    low, high = depth_range(SPACE)
    assert {a.depth for a in fitted} >= {low, high}
    assert np.ptp([a.depth for a in held]) >= (high - low) // 2


def test_tiny_space_gives_what_it_has() -> None:
    tiny = build(SpaceConfig("mobile", 16, 3, 10, depth=1))
    fitted, held = draw(tiny, 10, 400, np.random.default_rng(0))
    assert len({*fitted, *held}) == len(fitted) + len(held) <= tiny.size


def test_none_asked_for() -> None:
    assert draw(SPACE, 0, 0, np.random.default_rng(0)) == ([], [])


def test_output_of_a_cell_depends_on_its_input() -> None:
    cells = build(SpaceConfig("nasbench201", 32, 3, 10))
    fitted, held = draw(cells, 10, 100, np.random.default_rng(0))
    assert all(arch.connected for arch in (*fitted, *held))
    assert len({*fitted, *held}) == 110
    assert not cells.architecture([3, 3, 3, 0, 0, 0]).connected

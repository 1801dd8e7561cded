"""Angles of weights against the vectors themselves, and ways through cells against all of them written down."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from hwnas.errors import InputError
from hwnas.nets import Supernet
from hwnas.search.angles import Angles, angle_of, ways, weights_of
from hwnas.search.cycle import cycle_effects
from hwnas.space import Space, SpaceConfig, build
from hwnas.space.nasbench201 import EDGES


def supernets(space: Space) -> tuple[Supernet, Supernet]:
    nets = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        nets.append(Supernet(space, [0.5], [0.25]))
    return nets[0], nets[1]


@pytest.fixture(scope="module")
def cells() -> Space:
    return build(SpaceConfig(name="nasbench201", imgsz=8, in_channels=1, classes=3, depth=1, width_mult=0.5))


@pytest.fixture(scope="module")
def chain() -> Space:
    return build(SpaceConfig(name="mobile", imgsz=16, in_channels=1, classes=3, depth=1, width_mult=0.5))


def products(u: list[float], v: list[float]) -> tuple[float, float, float, float]:
    a, b = np.array(u), np.array(v)
    return float(a @ a), float(b @ b), float((b - a) @ (b - a)), float((b - a) @ (b + a))


def test_angles_of_known_vectors() -> None:
    assert angle_of(*products([1, 0, 0, 0], [1, 1, 0, 0])) == pytest.approx(math.pi / 4, abs=1e-12)
    pool = [1 / 9] * 9
    assert angle_of(*products([1, 0, 0, 0, *pool], [1, 1, 0, 0, *pool])) == pytest.approx(0.759070, abs=1e-6)
    assert angle_of(*products([1, 2], [-1, -2])) == pytest.approx(math.pi)
    assert angle_of(0, 1, 1, 1) == 0


def test_an_angle_far_below_what_a_cosine_holds() -> None:
    assert angle_of(*products([1, 0], [1, 1e-11])) == pytest.approx(1e-11, rel=1e-6)


def cosine(x: np.ndarray, y: np.ndarray) -> float:
    return math.acos(x @ y / math.sqrt((x @ x) * (y @ y)))


def concatenated(space: Space, weights: list[list[list[np.ndarray]]], choice: tuple[int, ...]) -> np.ndarray:
    """The vector of the paper: the weights on every way through every cell of NAS-Bench-201, one after the other."""
    place = {p.name: i for i, p in enumerate(space.positions)}
    parts: list[np.ndarray] = []
    seen = set()
    for position in space.positions:
        head, _, edge = position.name.rpartition(".")
        if not edge.startswith("op_"):
            parts += weights[place[position.name]][0]
            continue
        if head in seen:
            continue
        seen.add(head)
        for inner in itertools.chain.from_iterable(itertools.combinations((1, 2), n) for n in range(3)):
            nodes = (0, *inner, 3)
            hops = [(j, i) for i, j in itertools.pairwise(nodes)]
            taken = [choice[EDGES.index(hop)] for hop in hops]
            if 0 in taken:
                continue
            for (j, i), k in zip(hops, taken, strict=True):
                number = place[f"{head}.op_{j}_{i}"]
                parts += weights[number][k]
                if k == 4:
                    channels = space.positions[number].ops[k].in_channels
                    parts.append(np.full((channels, 3, 3), 1 / 9))
    return np.concatenate([part.ravel() for part in parts])


def test_the_angle_is_that_of_the_concatenated_vectors_of_cells(cells: Space) -> None:
    base, now = supernets(cells)
    angles, u, v = Angles.between(base, now), weights_of(base), weights_of(now)
    rng = np.random.default_rng(0)
    for _ in range(200):
        choice = tuple(int(k) for k in rng.integers(0, 5, 6))
        x, y = concatenated(cells, u, choice), concatenated(cells, v, choice)
        assert angles.of(choice) == pytest.approx(cosine(x, y), abs=1e-9)


def test_the_angle_is_that_of_the_concatenated_vectors_of_a_chain(chain: Space) -> None:
    base, now = supernets(chain)
    angles, u, v = Angles.between(base, now), weights_of(base), weights_of(now)
    rng = np.random.default_rng(0)
    for _ in range(200):
        arch = chain.sample(rng)
        x, y = (np.concatenate([t.ravel() for row, k in zip(w, arch.path, strict=True) for t in row[k]])
                for w in (u, v))
        assert angles.of(arch.choice) == pytest.approx(cosine(x, y), abs=1e-9)


def test_scaled_weights_have_the_same_angles_and_the_same_weights_none(cells: Space) -> None:
    base, now = supernets(cells)
    u, v = weights_of(base), weights_of(now)
    scaled = [[[t * 3.0 for t in ts] for ts in row] for row in v]
    before, after = Angles.of_weights(cells, u, v), Angles.of_weights(cells, u, scaled)
    without_pools = (3, 2, 1, 3, 0, 2)  # their constants are not scaled
    assert after.of(without_pools) == pytest.approx(before.of(without_pools), rel=1e-12)
    assert Angles.of_weights(cells, u, u).of(without_pools) == 0
    assert Angles.between(base, base).of((0,) * 6) == 0


def test_weights_of_another_space_are_refused(chain: Space, cells: Space) -> None:
    (base, _), (other, _) = supernets(chain), supernets(cells)
    with pytest.raises(InputError, match="angles are of two supernets of one space"):
        Angles.between(base, other)
    with pytest.raises(InputError, match="angles are of two supernets of one space"):
        Angles.of_weights(chain, weights_of(base)[:-1], weights_of(base))


def test_ways_are_those_that_are_written_down(cells: Space) -> None:
    """On a cell, over all 2^6 sets of edges that are `none`."""
    place = {p.name: i for i, p in enumerate(cells.positions)}
    for choice in itertools.product((0, 1), repeat=6):
        counts = dict.fromkeys(EDGES, 0)
        for inner in ((), (1,), (2,), (1, 2)):
            hops = [(j, i) for i, j in itertools.pairwise((0, *inner, 3))]
            if all(choice[EDGES.index(hop)] for hop in hops):
                for hop in hops:
                    counts[hop] += 1
        found = ways(cells.architecture(choice))
        for stage in (1, 2, 3):
            assert [found[place[f"stage{stage}.1.op_{j}_{i}"]] for j, i in EDGES] == [counts[e] for e in EDGES]
        assert found[0] == found[-1] == 1


def test_every_position_of_a_chain_lies_on_one_way(chain: Space) -> None:
    assert set(ways(chain.largest())) == {1}


def test_weights_of_another_shape_are_refused(cells: Space, chain: Space) -> None:
    base = weights_of(supernets(cells)[0])
    other = [[[t[:1] for t in ts] for ts in row] for row in base]
    with pytest.raises(InputError, match="other shapes"):
        Angles.of_weights(cells, base, other)


def test_scores_of_pairs() -> None:
    rows = cycle_effects([(0, 1), (0, 0), (1, 1)], [1.0, 3.0, 5.0], (2, 3), unseen=np.nan)
    np.testing.assert_allclose(rows[0], [2.0, 5.0])
    np.testing.assert_allclose(rows[1], [3.0, 3.0, np.nan])

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.data.split import allocate, check_splittable, choose, pick
from hwnas.errors import DataError, UsageError

COUNTS = st.lists(st.integers(2, 40), min_size=2, max_size=8)


def shuffled(counts: list[int], seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts)).astype(np.int64)


@given(COUNTS, st.integers(0, 2), st.data())
def test_allocate_sums_to_the_total_within_its_bounds(counts, least, data):
    array = np.array(counts, np.int64)
    total = data.draw(st.integers(int(np.minimum(array, least).sum()), int(array.sum())))
    quota = allocate(array, total, least)
    assert quota.sum() == total
    assert (quota >= np.minimum(array, least)).all()
    assert (quota <= array).all()


@given(COUNTS, st.data())
def test_allocate_is_proportional_to_within_one_image(counts, data):
    array = np.array(counts, np.int64)
    total = data.draw(st.integers(0, int(array.sum())))
    assert np.abs(allocate(array, total, 0) - array * total / array.sum()).max() < 1


def test_allocate_takes_the_largest_remainder():
    assert allocate(np.array([7, 2, 1]), 4, 0).tolist() == [3, 1, 0]
    assert allocate(np.array([50, 30, 20]), 10, 1).tolist() == [5, 3, 2]


@given(COUNTS, st.floats(0.01, 0.99), st.integers(0, 5))
def test_automatic_split_is_disjoint_covering_and_stratified(counts, fraction, seed):
    labels = shuffled(counts)
    train, val = choose(labels, None, fraction, None, seed)
    assert sorted([*train, *val]) == list(range(len(labels)))
    got = np.bincount(labels[val], minlength=len(counts))
    want = np.clip(np.rint(np.array(counts) * fraction), 1, np.array(counts) - 1)
    assert got.tolist() == want.tolist()


@given(COUNTS, st.integers(0, 5), st.data())
def test_limit_is_met_exactly_and_keeps_every_class(counts, seed, data):
    labels = shuffled(counts)
    limit = data.draw(st.integers(2 * len(counts), len(labels) + 3))
    train, val = choose(labels, None, 0.25, limit, seed)
    assert len(train) + len(val) == min(limit, len(labels))
    assert not set(train) & set(val)
    assert set(labels[train]) == set(labels[val]) == set(range(len(counts)))


@given(COUNTS, st.integers(0, 2**31), st.data())
def test_limit_of_a_given_split_stays_inside_its_parts(counts, seed, data):
    labels = shuffled(counts)
    held = np.zeros(len(labels), bool)
    rng = np.random.default_rng(seed)
    for k, count in enumerate(counts):  # at least one training image of every class, any number held out
        held[rng.permutation(np.flatnonzero(labels == k))[: rng.integers(0, count)]] = True
    held[np.flatnonzero(labels == 0)[0]] = True
    held[np.flatnonzero(labels == 0)[1]] = False
    limit = data.draw(st.integers(2 * len(counts), len(labels) + 3))
    train, val = choose(labels, held, 0.2, limit, seed)
    assert len(train) + len(val) == min(limit, len(labels))
    assert not held[train].any()
    assert held[val].all()
    assert set(labels[train]) == set(range(len(counts)))
    assert set(labels[val]) == set(labels[held])


def test_the_seed_decides():
    labels = shuffled([30, 30])
    first, again, other = (choose(labels, None, 0.3, 40, seed)[1].tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_pick_is_sorted_and_keeps_to_its_quota():
    labels = shuffled([5, 9, 2])
    got = pick(labels, np.array([2, 0, 2]), np.random.default_rng(0))
    assert got.tolist() == sorted(got)
    assert np.bincount(labels[got], minlength=3).tolist() == [2, 0, 2]


def test_too_small_a_limit():
    with pytest.raises(UsageError, match=r"limit must be at least 4, two images for each of 2 classes, not 3"):
        choose(shuffled([5, 5]), None, 0.2, 3, 0)


def test_a_class_of_one_cannot_be_split():
    with pytest.raises(DataError, match=r"x: an automatic split needs two images per class; 1 have fewer: 'b'"):
        check_splittable(np.array([0, 0, 1]), ("a", "b"), "x")

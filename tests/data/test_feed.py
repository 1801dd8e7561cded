import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.data import ClassFeed, ImageView, Policy, epoch
from hwnas.data.dataset import ClassPart
from hwnas.data.feed import AHEAD, Share
from hwnas.data.reading import Reading, read_by
from hwnas.errors import DataError, UsageError


def numbered(count: int) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(count, dtype=np.int64)
    return np.broadcast_to(labels.astype(np.uint8)[:, None, None, None], (count, 8, 8, 1)).copy(), labels


@given(st.integers(0, 60), st.integers(1, 20), st.integers(0, 9))
def test_every_image_once_but_a_lonely_last_one(count, batch, seed):
    images, labels = numbered(count)
    batches = list(epoch(images, labels, batch, np.random.default_rng(seed)))
    seen = [int(label) for _, part in batches for label in part]
    lonely = batch > 1 and count % batch == 1
    assert len(seen) == len(set(seen)) == count - lonely
    assert all(len(part) == batch for _, part in batches[:-1])
    for pixels, part in batches:
        assert pixels.dtype == np.uint8
        assert part.dtype == np.int64
        assert (pixels == part[:, None, None, None]).all()


def test_shuffled_and_seeded():
    images, labels = numbered(50)
    orders = [np.concatenate([y for _, y in epoch(images, labels, 7, np.random.default_rng(s))]) for s in (1, 1, 2)]
    np.testing.assert_array_equal(orders[0], orders[1])
    assert (orders[0] != orders[2]).any()
    assert orders[0].tolist() != sorted(orders[0])


def test_a_policy_changes_copies_only():
    images = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), np.uint8)
    kept, labels = images.copy(), np.arange(20, dtype=np.int64)
    runs = [
        np.concatenate([x for x, _ in epoch(images, labels, 8, np.random.default_rng(4), Policy(2, True, 4))])
        for _ in range(2)
    ]
    np.testing.assert_array_equal(runs[0], runs[1])
    np.testing.assert_array_equal(images, kept)
    assert not any((image == kept).all(axis=(1, 2, 3)).any() for image in runs[0])


def test_wrong_requests_fail_at_the_call():
    images, labels = numbered(4)
    with pytest.raises(UsageError, match="batch must be 1 or more, not 0"):
        epoch(images, labels, 0, np.random.default_rng(0))
    with pytest.raises(DataError, match="4 images need as many labels, not 3"):
        epoch(images, labels[:3], 2, np.random.default_rng(0))


@pytest.mark.parametrize("workers", [1, 2, 50])
def test_workers_give_the_batches_of_none(workers):
    images = np.random.default_rng(0).integers(0, 256, (30, 16, 16, 3), np.uint8)
    feed = ClassFeed(ClassPart(ImageView.of(images), np.arange(30, dtype=np.int64)), Policy(2, True, 4))
    plain = [*feed.epoch(7, np.random.default_rng(5))]
    with read_by(Reading(workers=workers)):
        early = [*feed.epoch(7, np.random.default_rng(5))]
    assert len(plain) == len(early) == 5
    for (x, y), (u, v) in zip(plain, early, strict=True):
        np.testing.assert_array_equal(x, u)
        np.testing.assert_array_equal(y, v)


def test_what_fails_ahead_fails_where_its_batch_is_asked_for():
    class Broken(ClassFeed):
        def make(self, chosen, drawn, threads):
            if 3 in chosen:
                raise DataError("image 3 is broken")
            return super().make(chosen, drawn, threads)

    images = np.zeros((12, 8, 8, 1), np.uint8)
    order = np.random.default_rng(0).permutation(12)
    batches = Broken(ClassPart(ImageView.of(images), np.arange(12))).epoch(4, np.random.default_rng(0))
    with read_by(Reading(workers=2)):
        for _ in range(order.tolist().index(3) // 4):
            next(batches)
        with pytest.raises(DataError, match="image 3 is broken"):
            next(batches)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("hwnas-worker")]


def test_no_more_batches_are_made_than_workers_need():
    made = []

    class Counting(ClassFeed):
        def make(self, chosen, drawn, threads):
            made.append(len(chosen))
            return super().make(chosen, drawn, threads)

    images = np.zeros((400, 8, 8, 1), np.uint8)
    with read_by(Reading(workers=2)):
        batches = Counting(ClassPart(ImageView.of(images), np.arange(400))).epoch(4, np.random.default_rng(0))
        for _ in range(10):
            next(batches)
        batches.close()
    assert 10 <= len(made) <= 10 + 2 + AHEAD


def test_fewer_than_no_workers():
    with pytest.raises(UsageError, match="workers must be 0 or more, not -1"):
        Reading(workers=-1)


@given(st.integers(2, 40), st.integers(4, 20), st.integers(1, 2), st.integers(0, 9))
def test_processes_share_the_batches_of_one(count, batch, world, seed):
    images, labels = numbered(count)
    feed = ClassFeed(ClassPart(ImageView.of(images), labels), Policy(1, True, 2))
    whole = [*feed.epoch(batch, np.random.default_rng(seed))]
    parts = [[*feed.epoch(batch, np.random.default_rng(seed), Share(r, world))] for r in range(world)]
    kept = [both for both in whole if len(both[1]) >= 2 * world or world == 1]
    assert [len(found) for found in parts] == [len(kept)] * world
    for number, (x, y) in enumerate(kept):
        for rank in range(world):
            np.testing.assert_array_equal(parts[rank][number][0], x[rank::world])
            np.testing.assert_array_equal(parts[rank][number][1], y[rank::world])


def test_a_batch_too_small_to_be_shared():
    images, labels = numbered(8)
    with pytest.raises(UsageError, match="a batch of 5 is too small for 3 processes"):
        ClassFeed(ClassPart(ImageView.of(images), labels)).epoch(5, np.random.default_rng(0), Share(0, 3))

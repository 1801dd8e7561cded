"""Sets of more than 5,000 images, here 50: a sample is looked at, the same one everywhere; small sets are as before."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hwnas.data import EncodedSource, encoded, load, subsample
from hwnas.data.parted import moments_of
from hwnas.data.subsample import spread
from hwnas.errors import DataError
from tests.data.test_sources import cut

MOST, HEADERS, COUNT, SIDE = 50, 5, 64, 8
TRAIN, VAL = 51, 13


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_a_sample_is_spread_evenly(count: int, most: int) -> None:
    found = spread(count, most)
    assert len(found) == min(count, most) == len(set(found.tolist()))
    assert found[0] == 0
    assert found[-1] < count
    gaps = np.diff(found)
    assert not gaps.size or gaps.max() - gaps.min() <= 1


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subsample, "MOST", MOST)
    monkeypatch.setattr(subsample, "HEADERS", HEADERS)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes, whose images differ: 4 of 5 train."""
    folder = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(0)
    for i in range(COUNT):
        file = folder / ("train" if i % 5 else "val") / "ab"[i % 2] / f"{i:05}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 100 + i, (SIDE, SIDE, 3), np.uint8)).save(file)
    return folder


@pytest.fixture
def mine(photos: Path, tmp_path: Path) -> Path:
    """A copy to be changed."""
    return Path(shutil.copytree(photos, tmp_path / "copy"))


def test_no_more_headers_are_read_than_it_takes(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, header = [], encoded.read_header
    monkeypatch.setattr(encoded, "read_header", lambda *where: read.append(where) or header(*where))
    data = load(photos, imgsz=SIDE, memory=0)
    assert (len(data.train), len(data.val), data.channels) == (TRAIN, VAL, 3)
    assert len(read) == HEADERS


def test_one_image_in_colour_is_found_among_any_number_of_grey_ones(tmp_path: Path) -> None:
    for name, mode in (("grey", "L"), ("colour", "RGB")):
        Image.new(mode, (SIDE, SIDE)).save(tmp_path / f"{name}.png")
    count = MOST + 3
    hidden = int(np.setdiff1d(np.arange(count), spread(count, HEADERS))[0])
    sources = [EncodedSource(lambda i, odd=odd: ("x", tmp_path / f"{'colour' if i == odd else 'grey'}.png"), count, "")
               for odd in (hidden, -1)]
    assert [source.channels(np.arange(count)) for source in sources] == [3, 1]


def test_statistics_are_of_a_sample_whether_images_stay_in_memory_or_not(photos: Path) -> None:
    kept, lazy = load(photos, imgsz=SIDE), load(photos, imgsz=SIDE, memory=0)
    assert kept.train.pixels.kept
    pixels = kept.train_images[spread(len(kept.train))]
    assert len(pixels) == MOST
    counts = np.stack([np.bincount(pixels[..., c].ravel(), minlength=256) for c in range(3)])
    for data in (kept, lazy):
        np.testing.assert_array_equal(data.mean, moments_of(counts)[0])
        np.testing.assert_array_equal(data.std, moments_of(counts)[1])
    assert not np.array_equal(kept.mean, kept.train_images.mean((0, 1, 2)) / 255), "of all images it is another"
    (told,) = lazy.check()
    assert told.startswith("60 of 64 images were decoded")
    assert kept.check() == ()
    np.testing.assert_array_equal(lazy.mean, kept.mean)


def test_small_sets_are_looked_at_whole(photos: Path) -> None:
    data = load(photos, imgsz=SIDE, memory=0, limit=MOST)
    assert data.check() == ()
    assert data.fingerprint.startswith("m-")
    np.testing.assert_allclose(data.mean, data.train_images.mean((0, 1, 2)) / 255)


def test_the_fingerprint_reads_a_sample_and_is_the_same_elsewhere(photos: Path, mine: Path,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load(photos, imgsz=SIDE)
    assert whole.fingerprint.startswith("s-")
    hashed, digest = [], EncodedSource.digest
    monkeypatch.setattr(EncodedSource, "digest", lambda source, i: hashed.append(i) or digest(source, i))
    copied = load(mine, imgsz=SIDE, memory=0)
    assert copied.fingerprint == whole.fingerprint
    assert len(hashed) == MOST + VAL
    for other in (whole.stored_fingerprint, whole.decoded_fingerprint):  # of runs that began before
        assert copied.fingerprint_like(other) == other


def test_what_changes_in_a_large_set_is_noticed(photos: Path, mine: Path) -> None:
    before = load(photos, imgsz=SIDE, memory=0).fingerprint
    names, looked = sorted((mine / "train").rglob("*.png")), spread(TRAIN)
    file = names[int(np.setdiff1d(np.arange(len(names)), looked)[0])]
    file.write_bytes(file.read_bytes() + b"\0")  # another size, in no sample
    assert load(mine, imgsz=SIDE, memory=0).fingerprint != before
    os.truncate(file, file.stat().st_size - 1)
    assert load(mine, imgsz=SIDE, memory=0).fingerprint == before
    seen = names[int(looked[1])]
    seen.write_bytes(bytes([*seen.read_bytes()[:-1], 7]))  # the same size, in the sample
    assert load(mine, imgsz=SIDE, memory=0).fingerprint != before
    shutil.copyfile(photos / "train" / "a" / seen.name, seen)
    assert load(mine, imgsz=SIDE, memory=0).fingerprint == before
    assert load(mine, imgsz=SIDE + 8, memory=0).fingerprint != before
    file.rename(file.with_name("z.png"))
    assert load(mine, imgsz=SIDE, memory=0).fingerprint != before


def test_what_is_broken_is_told_as_early_as_it_is_met(mine: Path) -> None:
    names = sorted((mine / "train").rglob("*.png"))
    cut(names[int(np.setdiff1d(np.arange(len(names)), spread(TRAIN))[0])])
    data = load(mine, imgsz=SIDE, memory=0)
    data.check()  # not looked at
    cut(names[1])
    with pytest.raises(DataError, match=f"1 of 60 images cannot be read: train/a/{names[1].name}"):
        load(mine, imgsz=SIDE, memory=0).check()
    names[2].write_bytes(b"")
    with pytest.raises(DataError, match=r"train/a/\d+\.png is empty; replace or remove it"):
        EncodedSource(lambda i: ("train/a/00006.png", names[2]), 1, "here").marks(np.arange(1))

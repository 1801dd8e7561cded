"""A cache gives the pixels that decoding gives, decodes none twice, and is never wrong about a file that changed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hwnas.data import cache
from hwnas.data.cache import CachedSource
from hwnas.data.encoded import EncodedSource, LetterboxedSource
from hwnas.data.memory import opened
from hwnas.data.reading import Reading, read_by
from hwnas.data.threads import cores, threads
from hwnas.errors import InputError

SIDE = 24


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    rng, found = np.random.default_rng(0), []
    for i in range(20):
        found.append(tmp_path / f"{i}.png")
        Image.fromarray(rng.integers(0, 256, (40 + i, 50, 3), np.uint8)).save(found[-1])
    return found


class Counting(EncodedSource):
    """Knows how many images it decoded."""

    decoded = 0

    def fitted(self, index, picture, size, channels):
        self.decoded += 1
        return super().fitted(index, picture, size, channels)


def source_of(photos: list[Path]) -> Counting:
    return Counting(lambda i: (photos[i].name, photos[i]), len(photos), "photos")


def test_the_second_pass_decodes_nothing(photos: list[Path], tmp_path: Path) -> None:
    plain = source_of(photos)
    order = np.random.default_rng(1).permutation(20)
    wanted = plain.read(order, (SIDE, SIDE), 3)
    cached = CachedSource(first := source_of(photos), tmp_path / "cache")
    np.testing.assert_array_equal(cached.read(order[:15], (SIDE, SIDE), 3), wanted[:15])
    np.testing.assert_array_equal(cached.read(order, (SIDE, SIDE), 3), wanted)
    assert first.decoded == 20
    again = CachedSource(second := source_of(photos), tmp_path / "cache")
    np.testing.assert_array_equal(again.read(order, (SIDE, SIDE), 3), wanted)
    np.testing.assert_array_equal(again.one(3, (SIDE, SIDE), 3), plain.one(3, (SIDE, SIDE), 3))
    assert second.decoded == 0
    np.testing.assert_array_equal(again.read(order, (16, 16), 3), plain.read(order, (16, 16), 3))
    assert second.decoded == 20, "another size is another cache"


def test_a_changed_image_is_decoded_anew(photos: list[Path], tmp_path: Path) -> None:
    every = np.arange(20)
    CachedSource(source_of(photos), tmp_path / "cache").read(every, (SIDE, SIDE), 3)
    Image.fromarray(np.full((40, 50, 3), 7, np.uint8)).save(photos[4])
    os.utime(photos[4], ns=(1, 1))
    cached = CachedSource(base := source_of(photos), tmp_path / "cache")
    assert (cached.read(every, (SIDE, SIDE), 3)[4] == 7).all()
    assert base.decoded == 1


def test_a_row_without_its_stamp_is_not_believed(photos: list[Path], tmp_path: Path) -> None:
    every, folder = np.arange(20), tmp_path / "cache"
    wanted = CachedSource(source_of(photos), folder).read(every, (SIDE, SIDE), 3)
    (pixels,), (index,) = folder.glob("*.pixels"), folder.glob("*.index")
    torn = bytearray(pixels.read_bytes())
    torn[5 * SIDE * SIDE * 3 :] = bytes(len(torn) - 5 * SIDE * SIDE * 3)  # killed while it wrote row 5
    pixels.write_bytes(torn)
    index.write_bytes(index.read_bytes()[: 5 * 16])
    cached = CachedSource(base := source_of(photos), folder)
    np.testing.assert_array_equal(cached.read(every, (SIDE, SIDE), 3), wanted)
    assert base.decoded == 15


def test_it_takes_no_more_than_it_may(photos: list[Path], tmp_path: Path) -> None:
    row, every = SIDE * SIDE * 3, np.arange(20)
    folder = tmp_path / "cache"
    cached = CachedSource(base := source_of(photos), folder, most_bytes=6 * row)
    wanted = source_of(photos).read(every, (SIDE, SIDE), 3)
    for _ in range(2):
        np.testing.assert_array_equal(cached.read(every, (SIDE, SIDE), 3), wanted)
    assert base.decoded == 20 + 14
    assert sum(path.stat().st_size for path in folder.glob("*.pixels")) == 6 * row


def test_what_it_may_take_does_not_shrink_as_it_fills(photos: list[Path], tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    side, every, disk = 64, np.arange(20), 4 * 8 * 64 * 64 * 3  # a quarter of it holds 8 images
    monkeypatch.setattr(cache, "_free", lambda folder: disk - sum(p.stat().st_blocks * 512 for p in folder.iterdir()))
    for decoded in (20, 12, 12):
        source = CachedSource(base := source_of(photos), tmp_path / "cache")
        source.read(every, (side, side), 3)
        assert base.decoded == decoded


def test_reading_from_a_thread_that_makes_images_waits_for_no_other(photos: list[Path], tmp_path: Path) -> None:
    cached, every = CachedSource(source_of(photos), tmp_path / "cache"), np.arange(20)
    wanted = source_of(photos).read(every, (SIDE, SIDE), 3)
    for _ in range(2):  # twice as many jobs as threads, each of which reads many images
        found = threads().map(lambda _: cached.read(every, (SIDE, SIDE), 3), range(2 * cores()))
        assert all((pixels == wanted).all() for pixels in found)


def test_how_an_image_is_turned_is_part_of_its_stamp(photos: list[Path]) -> None:
    stamps = [LetterboxedSource(photos, [p.name for p in photos], "photos", (SIDE, SIDE), [upright] * 20).stamps(
        np.arange(20)) for upright in (True, False)]
    assert (stamps[0] != stamps[1]).any(axis=1).all()
    assert len(np.unique(stamps[0], axis=0)) == 20


def test_a_folder_that_cannot_be_is_refused(photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(InputError, match="cannot keep decoded images"):
        CachedSource(source_of(photos), tmp_path / "taken")


def test_images_that_do_not_stay_in_memory_are_kept_in_the_folder(photos: list[Path], tmp_path: Path) -> None:
    with read_by(Reading(tmp_path / "cache")):
        view = opened(source_of(photos).subset(np.arange(3, 9)), (SIDE, SIDE), 0)
    plain = opened(source_of(photos).subset(np.arange(3, 9)), (SIDE, SIDE), 0)
    assert view.stored
    for _ in range(2):
        np.testing.assert_array_equal(np.asarray(view[:]), np.asarray(plain[:]))
    assert view.digests() == plain.digests()
    assert len(list((tmp_path / "cache").glob("*.pixels"))) == 1
    assert not isinstance(opened(source_of(photos), (SIDE, SIDE), 0).source.base, CachedSource)

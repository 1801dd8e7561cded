"""What every source keeps, however its images are stored: the contract that a new kind must pass, too."""

from __future__ import annotations

import hashlib
import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hwnas.data import ArraySource, EncodedSource, Source, Subset, load
from hwnas.data.augment import ClassFeed
from hwnas.data.detection import load_detection
from hwnas.data.detection.augment import DetectionFeed, DetectionPolicy
from hwnas.data.memory import allowed, fits, opened
from hwnas.data.reading import Reading, read_by
from hwnas.data.segmentation import load_segmentation
from hwnas.data.segmentation.augment import SegmentationFeed
from hwnas.errors import DataError, UsageError
from tests.data import layouts

COUNT = 12
Make = Callable[[Path], Source]


def png(i: int, grey: bool = False) -> bytes:
    """Noise that no other image has."""
    pixels = np.random.default_rng(i).integers(0, 256, (24, 20) if grey else (24, 20, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def photos(folder: Path, grey: bool = False) -> Path:
    for i in range(COUNT):
        file = folder / "data" / "ab"[i % 2] / f"{i:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(i, grey))
    return folder / "data"


def cut(file: Path) -> None:
    """Leave the header and lose the pixels."""
    file.write_bytes(file.read_bytes()[: len(file.read_bytes()) // 2])


def fields(folder: Path) -> Path:
    for i in range(COUNT):
        for kind in ("images", "masks"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        (folder / "images" / f"{i:02}.png").write_bytes(png(i))
        mask = np.zeros((24, 20), np.uint8)
        mask[i : i + 6] = 1
        Image.fromarray(mask).save(folder / "masks" / f"{i:02}.png")
    return folder


def base(data: object) -> Source:
    view = data.train.pixels  # type: ignore[attr-defined]
    found: Source = view.source.base
    return found


def of_npz(folder: Path) -> Source:
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 24, 20, 3), np.uint8)
    np.savez(folder / "x.npz", images=images, labels=np.arange(COUNT) % 2)
    return base(load(folder / "x.npz", imgsz=20, memory=0))


def of_parquet(folder: Path) -> Source:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = {"jpeg": [png(i) for i in range(COUNT)], "label": [i % 2 for i in range(COUNT)]}
    pq.write_table(pa.table(rows), folder / "x.parquet")
    return base(load(folder / "x.parquet", memory=0))


MAKES: dict[str, Make] = {
    "arrays": lambda _: ArraySource(np.random.default_rng(0).integers(0, 256, (COUNT, 16, 16, 1), np.uint8)),
    "digits": lambda _: base(load("digits", limit=20)),
    "npz": of_npz,
    "parquet": of_parquet,
    "folder": lambda folder: base(load(photos(folder), memory=0)),
    "grey folder": lambda folder: base(load(photos(folder, grey=True), memory=0)),
    "boxes": lambda folder: base(load_detection(layouts.coco_cvat(folder), size=(32, 48), memory=0)),
    "images with masks": lambda folder: base(load_segmentation(fields(folder), size=(32, 48), memory=0)),
    "masks": lambda folder: load_segmentation(fields(folder), size=(32, 48), memory=0).train.truth.source.base,
    "a part of a folder": lambda folder: base(load(photos(folder), memory=0)).subset(np.array([7, 2, 4, 4, 0, 9])),
}


@pytest.fixture(params=MAKES)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    return MAKES[request.param](tmp_path)


def test_pixels_are_those_that_are_asked_for_in_that_order(source: Source) -> None:
    size, channels = source.size, source.info.channels
    every = source.read(np.arange(len(source)), size)
    assert every.dtype == np.uint8
    assert every.shape == (len(source), *source.shape(size, channels))
    chosen = np.array([4, 0, 4, 3])
    np.testing.assert_array_equal(source.read(chosen, size), every[chosen])
    np.testing.assert_array_equal(source.read(chosen, size, channels), every[chosen])
    np.testing.assert_array_equal(source.one(3, size, channels), every[3])
    assert len(source.read(np.zeros(0, np.int64), size)) == 0


def test_another_size_may_be_asked_for(source: Source) -> None:
    found = source.read(np.arange(3), (8, 8), source.info.channels)
    assert found.shape == (3, *source.shape((8, 8), source.info.channels))


def test_what_is_known_of_it_agrees_with_its_parts(source: Source) -> None:
    info = source.info
    assert (info.images, info.size) == (len(source), source.size)
    assert info.channels in (1, 3)
    if info.counts:
        assert len(info.counts) == len(info.classes)
        halves = [source.subset(np.arange(k, len(source), 2)).info.counts for k in (0, 1)]
        assert tuple(np.sum(halves, axis=0)) == info.counts


def test_a_subset_copies_nothing_and_is_one_of_the_source(source: Source) -> None:
    first = source.subset(np.array([5, 1, 3, 2]))
    second = first.subset(np.array([2, 0]))
    assert isinstance(second, Subset)
    assert first.base is second.base is source.base
    wanted = source.read(np.array([3, 5]), source.size)
    np.testing.assert_array_equal(second.read(np.arange(2), source.size), wanted)
    assert second.digests(np.arange(2)) == source.digests(np.array([3, 5]))
    assert second.tell(1) == source.tell(5)


def test_a_fingerprint_is_of_what_is_stored_and_its_order(source: Source) -> None:
    assert len(source.fingerprint) == 16
    assert source.fingerprint == source.fingerprint
    assert source.subset(np.array([0, 1])).fingerprint != source.subset(np.array([1, 0])).fingerprint
    assert source.subset(np.arange(len(source))).fingerprint == source.fingerprint


def test_a_view_gives_the_same_whether_kept_or_not(source: Source) -> None:
    kept, lazy = opened(source, source.size, None), opened(source, source.size, 0)
    assert kept.kept
    assert kept.shape == lazy.shape
    whole = np.asarray(kept)
    order = np.array([3, 1, 5, 1])
    for view in (kept, lazy):
        np.testing.assert_array_equal(np.asarray(view), whole)
        np.testing.assert_array_equal(view[2], whole[2])
        np.testing.assert_array_equal(view[-1], whole[-1])
        np.testing.assert_array_equal(view[order], whole[order])
        np.testing.assert_array_equal(view[1:5][np.array([2, 0])], whole[[3, 1]])
        np.testing.assert_array_equal(view.take(order)[1:], whole[order][1:])
        np.testing.assert_array_equal(view[:, 2, 3], whole[:, 2, 3])
        np.testing.assert_array_equal(np.stack(list(view)), whole)
        np.testing.assert_array_equal(np.concatenate(list(view.pieces(4))), whole)


def test_headers_tell_all_but_pixels(tmp_path: Path) -> None:
    folder = photos(tmp_path)
    whole = load(folder)
    for file in folder.rglob("*.png"):
        cut(file)
    data = load(folder, memory=0)
    assert data.describe() == whole.describe()
    assert data.summary() == whole.summary()
    assert base(data).info.counts == (6, 6)
    assert (data.imgsz, data.channels) == (whole.imgsz, whole.channels)
    with pytest.raises(DataError, match=r"images cannot be read: b/\d\d\.png|images cannot be read: a/\d\d\.png"):
        data.train.pixels[np.arange(3)]


def test_boxes_are_known_without_pixels(tmp_path: Path) -> None:
    folder = layouts.coco_cvat(tmp_path)
    whole = load_detection(folder, size=(32, 48))
    for file in folder.rglob("*.png"):
        cut(file)
    data = load_detection(folder, size=(32, 48), memory=0)
    assert data.describe() == whole.describe()
    assert base(data).info.counts == (5, 5)


def test_what_is_broken_is_counted_and_named_whenever_it_is_found(tmp_path: Path) -> None:
    folder = photos(tmp_path)
    for number in (0, 3, 6):
        cut(folder / "ab"[number % 2] / f"{number:02}.png")
    told = r"3 of 12 images cannot be read: .*(a/00|b/03|a/06)\.png \(.*Replace or remove them"
    with pytest.raises(DataError, match=told):
        load(folder)
    data = load(folder, memory=0)
    with pytest.raises(DataError, match=told):
        data.check()
    with pytest.raises(DataError, match=r"a/\d\d\.png|b/03\.png"):
        list(ClassFeed(data.train).epoch(4, np.random.default_rng(0)))
    (folder / "a" / "02.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"1 of 12 images cannot be read: a/02\.png \(it is no PNG"):
        load(folder, memory=0)


def test_a_whole_set_passes_its_check_and_knows_its_moments_by_it(tmp_path: Path) -> None:
    folder, calls = photos(tmp_path), list[tuple[str, int, int]]()
    kept, lazy = load(folder), load(folder, memory=0)
    lazy.check(lambda *call: calls.append(call))
    assert calls[0][0] == "check images"
    for file in folder.rglob("*.png"):
        cut(file)
    np.testing.assert_array_equal(lazy.mean, kept.mean)
    np.testing.assert_array_equal(lazy.std, kept.std)


def test_fingerprints_of_stored_images_and_those_of_0_1(tmp_path: Path) -> None:
    folder = photos(tmp_path)
    kept, lazy = load(folder), load(folder, memory=0)
    assert kept.fingerprint == lazy.fingerprint
    assert kept.fingerprint.startswith("m-")
    old = hashlib.sha256()  # as hwnas 0.1 wrote it into run.json
    for array in (kept.train_images, kept.train_labels, kept.val_images, kept.val_labels):
        old.update(f"{array.dtype.name}{array.shape}".encode())
        old.update(array.tobytes())
    for data in (kept, lazy):
        assert data.fingerprint_like(old.hexdigest()[:16]) == old.hexdigest()[:16]
        assert data.fingerprint_like(kept.fingerprint) == kept.fingerprint
    for changed in (load(folder, seed=1), load(folder, imgsz=16), load(folder, limit=8)):
        assert changed.fingerprint != kept.fingerprint
    (folder / "a" / "02.png").write_bytes(png(99))
    assert load(folder, memory=0).fingerprint != kept.fingerprint


def test_what_the_masks_mean_is_in_the_fingerprint(tmp_path: Path) -> None:
    before = load_segmentation(fields(tmp_path), size=(32, 32))
    assert before.fingerprint == load_segmentation(tmp_path, size=(32, 32), memory=0).fingerprint
    (tmp_path / "classes.txt").write_text("1 class 0\n0 class 1\n")
    assert load_segmentation(tmp_path, size=(32, 32)).fingerprint != before.fingerprint


def test_batches_are_the_same_however_images_are_read(tmp_path: Path) -> None:
    makes = {
        "classes": (lambda memory: ClassFeed(load(tmp_path / "photos" / "data", memory=memory).train)),
        "boxes": (lambda memory: DetectionFeed(load_detection(tmp_path / "boxes", size=(32, 48), memory=memory).train,
                                               DetectionPolicy(mosaic=0.5))),
        "masks": (lambda memory: SegmentationFeed(load_segmentation(tmp_path / "masks", size=(32, 32),
                                                                    memory=memory).train)),
    }
    photos(tmp_path / "photos")
    layouts.coco_cvat(tmp_path / "boxes")
    fields(tmp_path / "masks")
    cache = tmp_path / "cache"
    ways = [(memory, Reading(folder, workers)) for memory, folder in ((None, None), (0, None), (0, cache), (0, cache))
            for workers in (0, 1, 2)]
    for make in makes.values():
        found = []
        for memory, how in ways:
            with read_by(how):
                found.append(list(make(memory).epoch(3, np.random.default_rng(5))))
        assert len(found[0]) > 1
        for other in found[1:]:
            for one, two in zip(found[0], other, strict=True):
                for a, b in zip(one, two, strict=True):
                    pairs = zip(a, b, strict=True) if isinstance(a, list) else [(a, b)]
                    assert all(np.array_equal(x, y) for x, y in pairs)
    assert len(list(cache.glob("*.pixels"))) == 4, "photos of three sets, and masks"


def test_folds_and_subsets_share_the_pixels(tmp_path: Path) -> None:
    data = load(photos(tmp_path), imgsz=16)
    part = data.train.take(np.array([4, 1, 2]))
    assert np.shares_memory(part.pixels[0], data.train.pixels[4])
    assert np.shares_memory(data.subset(4, 2, seed=0).train.pixels[0], np.asarray(data.train.pixels))


def test_the_rule_for_what_stays_decoded() -> None:
    assert fits(10, (4, 4, 3), 480)
    assert not fits(10, (4, 4, 3), 479)
    assert 0 < allowed() < 1 << 45
    assert not fits(1 << 40, (224, 224, 3))


def test_memory_stays_bounded_where_images_are_not_kept(tmp_path: Path) -> None:
    side, count = 64, 120
    for i in range(count):
        file = tmp_path / "ab"[i % 2] / f"{i}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((side, side, 3), i, np.uint8)).save(file)
    every, batch = count * side * side * 3, 4 * side * side * 3
    peaks = []
    for memory in (None, every // 10):
        tracemalloc.start()
        data = load(tmp_path, imgsz=side, memory=memory)
        for _ in ClassFeed(data.train).epoch(4, np.random.default_rng(0)):
            pass
        assert data.mean.shape == (3,)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] > every
    assert peaks[1] < every / 2 + 8 * batch


def test_a_square_is_asked_for_where_a_square_is_cut(tmp_path: Path) -> None:
    source = EncodedSource(lambda i: ("x", png(i)), 2, "here")
    with pytest.raises(DataError, match=r"here: the square in the middle of an image is read, not \(8, 16\)"):
        source.read(np.arange(2), (8, 16))
    with pytest.raises(UsageError, match=r"arrays of \(24, 20\) are read as they are, or square, not at \(8, 16\)"):
        ArraySource(np.zeros((2, 24, 20, 3), np.uint8)).read(np.arange(2), (8, 16))

"""Images as a trained network is given them: fitted as the contract says, in two parts that share none."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hwnas.errors import DataError, UsageError
from hwnas.surgery import InputContract
from hwnas.surgery.examples import Examples, examples_of

RAW = {"mean": (0,), "std": (1,)}
SIZE = (12, 12)


def pixels(seed: int, size: tuple[int, int] = (16, 24)) -> NDArray[np.uint8]:
    """Smooth, so that another way of resizing would show, and no two alike."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(small).resize(size[::-1], Image.Resampling.BICUBIC))


def folder(root: Path, count: int, size: tuple[int, int] = (16, 24), first: int = 0) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.fromarray(pixels(first + i, size)).save(root / f"{i:03d}.png")
    return root


def all_inputs(part: Examples) -> NDArray[np.float32]:
    return np.concatenate(list(part.batches(5)))


def keys(part: Examples) -> set[bytes]:
    return {x.tobytes() for x in all_inputs(part)}


def by_hand(image: NDArray[np.uint8], fit: str, size: tuple[int, int], crop: float = 1.0) -> NDArray[np.float64]:
    """What Pillow alone makes of it: uint8 (H, W, 3)."""
    picture, (height, width) = Image.fromarray(image), size
    if fit == "stretch":
        return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR), float)
    if fit == "letterbox":
        scale = min(height / image.shape[0], width / image.shape[1])
        inner = round(image.shape[1] * scale), round(image.shape[0] * scale)
        canvas = Image.new("RGB", (width, height), (114, 114, 114))
        corner = (width - inner[0]) // 2, (height - inner[1]) // 2
        canvas.paste(picture.resize(inner, Image.Resampling.BILINEAR), corner)
        return np.asarray(canvas, float)
    short, side = min(image.shape[:2]), round(max(size) / crop)
    scaled = [round(edge * side / short) for edge in image.shape[:2]]
    whole = np.asarray(picture.resize(scaled[::-1], Image.Resampling.BILINEAR), float)
    top, left = (whole.shape[0] - height) // 2, (whole.shape[1] - width) // 2
    return whole[top : top + height, left : left + width]


@pytest.mark.parametrize("size", [(16, 12), (8, 16), (16, 16), (32, 32)])
@pytest.mark.parametrize("fit, crop", [
    ("stretch", 1.0), ("letterbox", 1.0), ("crop", 1.0), ("crop", 0.8), ("crop", 0.5)])
@pytest.mark.parametrize("stored", [(16, 24), (40, 20)])
def test_an_image_comes_to_the_size_as_the_contract_says(stored: tuple[int, int], fit: str, crop: float,
                                                         size: tuple[int, int], tmp_path: Path) -> None:
    folder(tmp_path, 8, stored)
    contract = InputContract(**RAW, layout="nhwc", fit=fit, crop=crop)
    parts = examples_of(str(tmp_path), contract, size)[:2]
    found = {int(i): x for part in parts for i, x in zip(part.indices, part.inputs(slice(None)), strict=True)}
    assert sorted(found) == list(range(8))
    for i, x in found.items():
        want = by_hand(pixels(i, stored), fit, size, crop)
        assert x.shape == (*size, 3)
        # One resize of a part, or a part of what was resized: the borders of the part may differ a little.
        off = np.abs(x - want)
        assert np.percentile(off, 90) <= 1.5
        assert off.mean() <= 1


def test_stretched_and_letterboxed_pixels_are_those_to_the_last_bit(tmp_path: Path) -> None:
    folder(tmp_path, 8)
    for fit in ("stretch", "letterbox"):
        part = examples_of(str(tmp_path), InputContract(**RAW, layout="nhwc", fit=fit), (10, 14))[0]
        for i, x in zip(part.indices, part.inputs(slice(None)), strict=True):
            assert np.array_equal(x, by_hand(pixels(int(i)), fit, (10, 14)))


def test_two_parts_of_a_folder_share_no_image(tmp_path: Path) -> None:
    folder(tmp_path, 30)
    contract = InputContract((127,), (128,))
    fit, judge, classes = examples_of(str(tmp_path), contract, SIZE)
    assert (len(fit), len(judge), classes) == (18, 12, ())
    assert not set(fit.indices) & set(judge.indices)
    assert len(keys(fit)) + len(keys(judge)) == len(keys(fit) | keys(judge)) == 30
    assert not fit.labelled
    assert set(judge.labels) == {-1}
    again = examples_of(str(tmp_path), contract, SIZE)
    assert np.array_equal(again[0].indices, fit.indices)
    other = examples_of(str(tmp_path), contract, SIZE, seed=1)
    assert not np.array_equal(other[0].indices, fit.indices)
    fewer = examples_of(str(tmp_path), contract, SIZE, limit=10)
    assert (len(fewer[0]), len(fewer[1])) == (6, 4)
    assert not set(fewer[0].indices) & set(fewer[1].indices)


def test_inputs_batches_and_fewer_of_them(tmp_path: Path) -> None:
    folder(tmp_path, 20)
    part = examples_of(str(tmp_path), InputContract((127,), (128,)), SIZE)[0]
    x = part.inputs(slice(None))
    assert (x.shape, x.dtype) == ((12, 3, *SIZE), np.float32)
    assert [len(b) for b in part.batches(5)] == [5, 5, 2]
    assert np.array_equal(all_inputs(part), x)
    assert np.array_equal(part.inputs([3, 1]), x[[3, 1]])
    some = part.take(4)
    assert len(some) == 4
    assert keys(some) < keys(part)
    assert np.array_equal(part.take(4).indices, some.indices)
    assert part.take(100) is part
    assert list(some.indices) == sorted(some.indices)


def test_folders_of_classes(tmp_path: Path) -> None:
    for k, name in enumerate(("cat", "dog")):
        folder(tmp_path / name, 10, first=100 * k)
    fit, judge, classes = examples_of(str(tmp_path), InputContract((127,), (128,), fit="letterbox"), SIZE)
    assert classes == ("cat", "dog")
    assert (len(fit), len(judge)) == (16, 4)
    assert fit.labelled
    assert judge.labelled
    assert len(keys(fit) | keys(judge)) == 20
    wanted = {(by_hand(pixels(100 * k + i), "letterbox", SIZE).transpose(2, 0, 1) - 127).astype(np.float32)
              .__truediv__(np.float32(128)).tobytes(): k for k in (0, 1) for i in range(10)}
    for part in (fit, judge):
        assert [wanted[x.tobytes()] for x in part.inputs(slice(None))] == part.labels.tolist()


def test_given_parts_stay_apart(tmp_path: Path) -> None:
    for name, first, count in (("train", 0, 6), ("val", 50, 3)):
        for k in (0, 1):
            folder(tmp_path / name / f"c{k}", count, first=first + 20 * k)
    fit, judge, _ = examples_of(str(tmp_path), InputContract((127,), (128,)), SIZE)
    assert (len(fit), len(judge)) == (12, 6)
    assert not keys(fit) & keys(judge)


def test_given_parts_need_no_classes(tmp_path: Path) -> None:
    folder(tmp_path / "train", 12)
    folder(tmp_path / "val", 6, first=50)
    contract = InputContract(**RAW, layout="nhwc", fit="stretch")
    fit, judge, classes = examples_of(str(tmp_path), contract, SIZE)
    assert keys(fit) == {by_hand(pixels(i), "stretch", SIZE).astype(np.float32).tobytes() for i in range(12)}
    assert keys(judge) == {by_hand(pixels(50 + i), "stretch", SIZE).astype(np.float32).tobytes() for i in range(6)}
    assert (len(fit), len(judge), classes, fit.labelled) == (12, 6, (), False)
    fewer = examples_of(str(tmp_path), contract, SIZE, limit=12)
    assert (len(fewer[0]), len(fewer[1])) == (8, 4)
    assert keys(fewer[0]) < keys(fit)
    assert keys(fewer[1]) < keys(judge)


@pytest.mark.parametrize("train, val", [(8, 3), (3, 8)])
def test_given_parts_are_not_too_few(train: int, val: int, tmp_path: Path) -> None:
    folder(tmp_path / "train", train)
    folder(tmp_path / "val", val)
    with pytest.raises(DataError, match=f"{train} images to fit and {val} to judge; 4 of each are the least"):
        examples_of(str(tmp_path), InputContract((127,), (128,)), SIZE)


@pytest.mark.parametrize("size", [(16, 16), (8, 8), (24, 24)])
def test_arrays(size: tuple[int, int], tmp_path: Path) -> None:
    images = np.stack([pixels(i, (16, 16)) for i in range(20)])
    np.savez(tmp_path / "x.npz", images=images, labels=np.arange(20) % 2)
    fit, judge, classes = examples_of(str(tmp_path / "x.npz"), InputContract(**RAW, layout="nhwc"), size)
    assert (len(fit), len(judge), classes) == (16, 4, ("0", "1"))
    assert len(keys(fit) | keys(judge)) == 20
    assert fit.inputs([0, 1]).shape == (2, *size, 3)
    if size == (16, 16):
        known = {image.astype(np.float32).tobytes(): i % 2 for i, image in enumerate(images)}
        assert [known[x.tobytes()] for x in all_inputs(judge)] == judge.labels.tolist()


def test_a_table(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = []
    for i in range(20):
        buffer = io.BytesIO()
        Image.fromarray(pixels(i)).save(buffer, "PNG")
        rows.append(buffer.getvalue())
    pq.write_table(pa.table({"image": rows, "label": [i % 2 for i in range(20)]}), tmp_path / "x.parquet")
    contract = InputContract(**RAW, layout="nhwc", fit="stretch")
    for source in (tmp_path / "x.parquet", tmp_path):
        fit, judge, _ = examples_of(str(source), contract, (8, 14))
        assert (len(fit), len(judge)) == (16, 4)
        assert len(keys(fit) | keys(judge)) == 20
        known = {by_hand(pixels(i), "stretch", (8, 14)).astype(np.float32).tobytes(): i % 2 for i in range(20)}
        assert [known[x.tobytes()] for x in all_inputs(judge)] == judge.labels.tolist()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
@pytest.mark.parametrize("colour, channels", [("grey", 1), ("rgb", 3), ("bgr", 3)])
@pytest.mark.parametrize("fit", ["crop", "letterbox", "stretch"])
def test_images_of_every_mode_become_the_channels_that_the_network_takes(fit: str, colour: str, channels: int,
                                                                         mode: str, tmp_path: Path) -> None:
    for i in range(8):
        Image.fromarray(pixels(i)).convert(mode).save(tmp_path / f"{i}.png")
    part = examples_of(str(tmp_path), InputContract(**RAW, colour=colour, fit=fit), SIZE)[0]
    x = part.inputs(slice(None))
    assert x.shape == (4, channels, *SIZE)
    assert np.ptp(x[0]) > 20
    if mode == "L" and channels == 3:
        assert np.array_equal(x[:, 0], x[:, 2])


@pytest.mark.parametrize("count", [0, 7])
def test_too_few_images(count: int, tmp_path: Path) -> None:
    folder(tmp_path / "images", count)
    with pytest.raises(DataError):
        examples_of(str(tmp_path / "images"), InputContract((127,), (128,)), SIZE)


def test_too_few_are_asked_for(tmp_path: Path) -> None:
    folder(tmp_path, 9)
    with pytest.raises(DataError, match="5 images; to fit and to judge 8 are the least, a few hundred are what it"):
        examples_of(str(tmp_path), InputContract((127,), (128,)), SIZE, limit=5)
    fit, judge, _ = examples_of(str(tmp_path), InputContract((127,), (128,)), SIZE, limit=8)
    assert (len(fit), len(judge)) == (4, 4)


def test_nothing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder(tmp_path, 9))
    with pytest.raises(UsageError, match="give images: --data FOLDER"):
        examples_of("", InputContract((127,), (128,)), SIZE)
    with pytest.raises((DataError, UsageError), match="nowhere"):
        examples_of("nowhere", InputContract((127,), (128,)), SIZE)


@pytest.mark.parametrize("fit", ["crop", "letterbox", "stretch"])
def test_images_that_are_held_are_the_same(tmp_path: Path, fit: str) -> None:
    contract = InputContract(**RAW, fit=fit)
    part = examples_of(str(folder(tmp_path / "d", 20)), contract, SIZE)[0]
    held = part.held()
    before = all_inputs(part)
    for path in (tmp_path / "d").iterdir():
        path.unlink()  # nothing is decoded again
    assert np.array_equal(all_inputs(held), before)
    assert np.array_equal(held.take(3, 1).inputs(slice(0, 3)), before[np.sort(np.random.default_rng(1).permutation(
        len(part))[:3])])


def test_images_that_are_too_many_are_not_held(tmp_path: Path) -> None:
    part = examples_of(str(folder(tmp_path / "d", 20)), InputContract(**RAW), SIZE)[0]
    assert part.held(len(part) * 12 * 12 * 3 - 1) is part
    assert part.held(len(part) * 12 * 12 * 3) is not part

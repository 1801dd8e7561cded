"""A class for every pixel: layouts, palettes, and one clear line for everything that is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hwnas.data.segmentation import SegmentationData, SegmentationPolicy, epoch_segmentation, load_segmentation
from hwnas.data.segmentation.augment import PLAIN, augmented
from hwnas.errors import DataError, UsageError

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
HEIGHT, WIDTH = 64, 96


def write(image: Path, mask: Path, seed: int, numbers: tuple[int, ...] = (0, 1, 2)) -> None:
    rng = np.random.default_rng(seed)
    for path in (image, mask):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)).save(image)
    blocks = rng.choice(np.array(numbers, np.uint8), (HEIGHT // 16, WIDTH // 16))
    Image.fromarray(blocks.repeat(16, 0).repeat(16, 1)).save(mask)


def camvid(folder: Path) -> Path:
    for part in ("train", "val"):
        for i in range(3):
            write(folder / part / f"{i}.png", folder / f"{part}annot" / f"{i}.png", i)
    return folder


def masks(folder: Path) -> Path:
    for part in ("train", "val"):
        for i in range(3):
            write(folder / "images" / part / f"{i}.jpg", folder / "masks" / part / f"{i}.png", i)
    return folder


def cityscapes(folder: Path) -> Path:
    for part in ("train", "val"):
        for i in range(3):
            stem = f"town_{i:06d}_000019"
            write(folder / "leftImg8bit" / part / "town" / f"{stem}_leftImg8bit.png",
                  folder / "gtFine" / part / "town" / f"{stem}_gtFine_labelIds.png", i, (7, 8, 26, 3))
    return folder


@pytest.mark.parametrize("make", [camvid, masks])
def test_folders(make: object, tmp_path: Path) -> None:
    found = load_segmentation(make(tmp_path / "data"))  # type: ignore[operator]
    assert found.size == (HEIGHT, WIDTH)
    assert (len(found.train), len(found.val)) == (3, 3)
    assert found.classes == ("class 0", "class 1", "class 2")
    assert set(np.unique(found.train.masks)) == {0, 1, 2}
    with Image.open(next((tmp_path / "data").rglob("train*/0.png"))) as image:
        pass
    assert image is not None
    assert "3 training and 3 validation images, 64x96, 3 classes" in found.summary()
    assert sum(c["train"] for c in found.describe()["classes"].values()) == pytest.approx(100, abs=0.1)


def test_cityscapes_has_19_classes_and_ignores_the_rest(tmp_path: Path) -> None:
    found = load_segmentation(cityscapes(tmp_path / "data"))
    assert len(found.classes) == 19
    assert (found.classes[0], found.classes[13]) == ("road", "car")
    assert set(np.unique(found.train.masks)) == {0, 1, 13, 255}
    assert found.palette[0].tolist() == [128, 64, 128]


def test_a_palette_names_colours_and_ignores(tmp_path: Path) -> None:
    folder = camvid(tmp_path / "data")
    (folder / "classes.txt").write_text("# id name colour\n1 tree 0 200 0\n0 blue sky\n2 void\n")
    found = load_segmentation(folder)
    assert found.classes == ("tree", "blue sky")
    assert found.palette[0].tolist() == [0, 200, 0]
    assert set(np.unique(found.train.masks)) == {0, 1, 255}


def test_masks_and_images_without_parts_are_split(tmp_path: Path) -> None:
    for i in range(5):
        write(tmp_path / "d" / "images" / f"{i}.png", tmp_path / "d" / "masks" / f"{i}.png", i)
    found = load_segmentation(tmp_path / "d", val_fraction=0.4, seed=1)
    assert (len(found.train), len(found.val)) == (3, 2)
    assert "random split" in found.split


@pytest.mark.parametrize(("text", "message"), [
    ("x tree\n", "line 1 must be 'id name'"), ("0\n", "line 1 must be"), ("300 tree\n", "line 1 must be"),
    ("0 a\n0 b\n", "a number is there twice"),
    ("0 a\n1 b\n", r"train.*holds the numbers 2, which are no class; known: 0, 1"),
])
def test_bad_palettes(text: str, message: str, tmp_path: Path) -> None:
    folder = camvid(tmp_path / "data")
    (folder / "classes.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        load_segmentation(folder)


def test_bad_masks(tmp_path: Path) -> None:
    folder = camvid(tmp_path / "data")
    mask = folder / "trainannot" / "1.png"
    whole = mask.read_bytes()
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(mask)
    with pytest.raises(DataError, match="is in mode RGB; a mask holds one class number a pixel"):
        load_segmentation(folder)
    Image.fromarray(np.zeros((HEIGHT, WIDTH + 1), np.uint8)).save(mask)
    with pytest.raises(DataError, match="is 97x64 px, its image 96x64"):
        load_segmentation(folder)
    mask.write_bytes(whole[:40])
    with pytest.raises(DataError, match=r"1\.png cannot be read"):
        load_segmentation(folder)
    mask.unlink()
    assert load_segmentation(folder).notes[0] == (
        "images have no mask (.png, .bmp, .tif, .tiff, .gif), left out: 1 (first: 1.png)")
    (mask.parent / "2.png").unlink()
    with pytest.raises(DataError, match=r"2 of 3 images have no mask .*: 1\.png, 2\.png; add the masks"):
        load_segmentation(folder)


def test_unknown_layouts_list_the_known_ones(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DataError, match="Cityscapes"):
            load_segmentation(path)


@pytest.fixture
def data(tmp_path: Path) -> SegmentationData:
    return load_segmentation(camvid(tmp_path / "data"))


def test_masks_move_with_their_pixels(data: SegmentationData) -> None:
    """The image shows its mask, so after a change it must still show it."""
    mask = data.train.masks[0]
    image = np.stack([mask * 100] * 3, axis=-1)
    policy = SegmentationPolicy(jitter=0.0)
    for seed in range(20):
        changed, moved = augmented(image, mask, np.random.default_rng(seed), policy)
        inside = moved != 255
        close = np.abs(changed[..., 0][inside].astype(int) - 100 * moved[inside]) < 60
        assert close.mean() > 0.8
        assert changed.shape == image.shape


def test_an_epoch_is_each_image_once_and_the_same_for_a_seed(data: SegmentationData) -> None:
    plain = list(epoch_segmentation(data.train, 1, np.random.default_rng(0), PLAIN))
    assert sorted(m.tobytes() for _, m in plain) == sorted(m[None].tobytes() for m in data.train.masks)
    first, again = (list(epoch_segmentation(data.train, 2, np.random.default_rng(1))) for _ in range(2))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(first, again, strict=True))
    assert [len(images) for images, _ in first] == [2]
    with pytest.raises(UsageError):
        epoch_segmentation(data.train, 0, np.random.default_rng(0))
    with pytest.raises(UsageError):
        SegmentationPolicy(scale=(0.0, 1.0))


def test_camvid(tmp_path: Path) -> None:
    folder = SHARED / "camvid"
    if not folder.is_dir():
        pytest.skip("camvid is not in shared/data")
    found = load_segmentation(folder, size=(96, 128))
    assert (len(found.train), len(found.val)) == (367, 101)
    assert len(found.classes) == 12

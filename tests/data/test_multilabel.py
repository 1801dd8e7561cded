"""Labels of images from tables and from boxes: what is read, and what is refused."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hwnas.data.detection import load_detection
from hwnas.data.feed import Share
from hwnas.data.multilabel import LabelFeed, MultiLabelData, load_multilabel
from hwnas.data.multilabel.listed import split_labels
from hwnas.data.recipe import MixingPart, Recipe
from hwnas.errors import DataError
from tests.data.layouts import coco_plain

NAMES = ("cat", "dog", "sun")
SHOWN = [("cat",), ("cat", "dog"), ("sun",), (), ("dog", "sun"), ("cat", "dog", "sun"), ("dog",), ("cat", "sun")]


def image(number: int) -> Image.Image:
    """Twice as wide as high; red on its far left and right."""
    pixels = np.full((16, 32, 3), 10 * number, np.uint8)
    pixels[:, :4] = pixels[:, -4:] = (255, 0, 0)
    return Image.fromarray(pixels)


def folder_of(folder: Path, header: str, rows: list[str], table: str = "labels.csv") -> Path:
    (folder / "images").mkdir(exist_ok=True)
    for i in range(len(SHOWN)):
        image(i).save(folder / "images" / f"{i}.png")
    (folder / table).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return folder


def of_names(data: MultiLabelData) -> dict[str, tuple[str, ...]]:
    """Image -> what it shows, of the validation part."""
    return {data.val_name(i): tuple(data.classes[k] for k in np.flatnonzero(row))
            for i, row in enumerate(data.val.targets)}


def of_pixels(data: MultiLabelData) -> dict[int, tuple[str, ...]]:
    """The same of both parts; an image is known by its grey."""
    return {int(pixels[8, 16, 0]) // 10: tuple(data.classes[k] for k in np.flatnonzero(row))
            for part in data.parts for pixels, row in zip(np.asarray(part.pixels), part.targets, strict=True)}


@pytest.mark.parametrize("between", [";", " ; ", ",", "|", " "])
def test_a_column_lists_labels(between: str, tmp_path: Path) -> None:
    quoted = [f'{i}.png,"{between.join(names)}"' for i, names in enumerate(SHOWN)]
    data = load_multilabel(folder_of(tmp_path, "file,labels", quoted), size=(32, 32))
    assert data.classes == NAMES
    assert of_pixels(data) == dict(enumerate(SHOWN))
    assert len(data.val) == 2
    assert data.describe()["classes"]["cat"]["train"] + data.describe()["classes"]["cat"]["val"] == 4
    assert data.channels == 3


def test_a_column_a_class(tmp_path: Path) -> None:
    rows = [",".join([f"images/{i}.png", *("1" if name in names else "0" for name in reversed(NAMES))])
            for i, names in enumerate(SHOWN)]
    data = load_multilabel(folder_of(tmp_path, "image,sun,dog,cat", rows) / "labels.csv", size=(32, 32))
    assert data.classes == ("sun", "dog", "cat")
    assert {i: set(names) for i, names in of_pixels(data).items()} == {i: set(names) for i, names in enumerate(SHOWN)}


def test_the_image_is_whole(tmp_path: Path) -> None:
    """A crop of the centre would cut off what stands at the sides."""
    rows = [f"{i}.png,{';'.join(names)}" for i, names in enumerate(SHOWN)]
    data = load_multilabel(folder_of(tmp_path, "file,labels", rows), size=(32, 32))
    pixels = data.val.pixels[0]
    assert (pixels[16, 0] == (255, 0, 0)).all()
    assert (pixels[16, -1] == (255, 0, 0)).all()


def test_parts_by_a_column_and_by_tables(tmp_path: Path) -> None:
    parts = ["train"] * 4 + ["val", "valid", "test", "train"]
    rows = [f"{i}.png,{';'.join(names)},{part}" for i, (names, part) in enumerate(zip(SHOWN, parts, strict=True))]
    (tmp_path / "a").mkdir()
    data = load_multilabel(folder_of(tmp_path / "a", "file,labels,split", rows), size=(32, 32))
    assert of_names(data) == {"4.png": SHOWN[4], "5.png": SHOWN[5]}
    assert any("test part left out" in note for note in data.notes)
    (tmp_path / "b").mkdir()
    plain = [row.rpartition(",")[0] for row in rows]
    folder_of(tmp_path / "b", "file,labels", plain[:5], "train.csv")
    data = load_multilabel(folder_of(tmp_path / "b", "file,labels", plain[5:], "val.csv"), size=(32, 32))
    assert of_names(data) == {f"{i}.png": SHOWN[i] for i in (5, 6, 7)}


@pytest.mark.parametrize("lists", [True, False])
def test_a_parquet(lists: bool, tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    content = []
    for i in range(len(SHOWN)):
        stream = io.BytesIO()
        image(i).save(stream, "PNG")
        content.append({"bytes": stream.getvalue()})
    columns: dict[str, Any] = {"image": content}
    if lists:
        columns["labels"] = [list(names) for names in SHOWN]
    else:
        columns |= {name: [name in names for names in SHOWN] for name in NAMES}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    data = load_multilabel(tmp_path / "x.parquet", size=(32, 32))
    assert of_pixels(data) == dict(enumerate(SHOWN))


def test_boxes_are_labels(tmp_path: Path) -> None:
    folder = coco_plain(tmp_path)
    boxes, data = load_detection(folder, size=(64, 64)), load_multilabel(folder, size=(64, 64))
    for part, mine in zip(boxes.parts, data.parts, strict=True):
        shown = [{boxes.classes[k] for k in labels[~crowd]}
                 for labels, crowd in zip(part.labels, part.crowd, strict=True)]
        assert shown == [{data.classes[k] for k in np.flatnonzero(row)} for row in mine.targets]


def feed(recipe: Recipe | None = None) -> LabelFeed:
    rng = np.random.default_rng(0)
    part = MultiLabelData("x", *(_part(rng) for _ in range(2)), NAMES, "x").train
    return LabelFeed(part, recipe=recipe)


def _part(rng: np.random.Generator) -> Any:
    from hwnas.data.arrays import ArrayPart

    return ArrayPart(rng.integers(0, 256, (10, 8, 8, 3), dtype=np.uint8), rng.integers(0, 2, (10, 3)).astype(np.uint8))


def test_batches_carry_the_labels_of_their_images_mixed_or_not() -> None:
    plain, mixed = feed(), feed(Recipe(mixing=MixingPart(mixup=1.0)))
    for images, truth in plain.epoch(4, np.random.default_rng(1)):
        assert truth.dtype == np.float32
        for each, row in zip(images, truth, strict=True):
            (place,) = [i for i in range(10) if (plain.part.pixels[i] == each).all()]
            assert (plain.truth[place] == row).all()
    soft = np.concatenate([truth for _, truth in mixed.epoch(4, np.random.default_rng(1))])
    assert ((soft > 0) & (soft < 1)).any()
    assert soft.max() <= 1


def test_shares_of_a_mixed_batch_are_the_batch() -> None:
    recipe = Recipe(mixing=MixingPart(mixup=1.0))
    whole = list(feed(recipe).epoch(4, np.random.default_rng(2)))
    shares = [list(feed(recipe).epoch(4, np.random.default_rng(2), Share(rank, 2))) for rank in range(2)]
    for number, (images, truth) in enumerate(whole[: len(shares[0])]):
        for rank in range(2):
            np.testing.assert_array_equal(shares[rank][number][0], images[rank::2])
            np.testing.assert_allclose(shares[rank][number][1], truth[rank::2])


@pytest.mark.parametrize(("header", "rows", "words"), [
    ("file", ["0.png"], "needs one called 'labels'"),
    ("file,cat,dog", ["0.png,1,2"], "column 'dog' holds '2'"),
    ("file,labels", ["0.png,cat", "1.png,cat"], "1 class"),
    ("file,labels", ["0.png,cat;dog", "nothing.png,cat", "none.png,dog"], "are not there"),
    ("file,labels,split", ["0.png,cat;dog,early"], "write train, val or test"),
    ("file,labels", ["../../etc/passwd,cat;dog"], "leads out of"),
    ("file,labels", [], "0 class"),
])
def test_what_is_refused(header: str, rows: list[str], words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        load_multilabel(folder_of(tmp_path, header, rows), size=(32, 32))


def test_how_labels_are_written() -> None:
    assert split_labels("a;b; a") == ("a", "b")
    assert split_labels("a, big b") == ("a", "big b")
    assert split_labels(" a  b ") == ("a", "b")
    assert split_labels(["a ", "b"]) == ("a", "b")
    assert split_labels(None) == split_labels("") == ()


def test_threads_do_not_matter() -> None:
    made = feed()
    chosen = np.arange(4)
    drawn = made.draw(chosen, np.random.default_rng(0))
    with ThreadPoolExecutor(2) as threads:
        again = made.make(chosen, drawn, threads)
    np.testing.assert_array_equal(again[1], made.truth[:4])

"""Whatever a file of a data set holds: it loads, or ends in one line. Valid files are mutated, others are made up."""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hwnas.data import load
from hwnas.data.detection import load_detection
from hwnas.data.segmentation import load_segmentation
from hwnas.errors import HwnasError
from tests.data import layouts
from tests.data.layouts import Make

fuzz = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))

TEXTS = st.one_of(st.text(max_size=12), st.sampled_from([
    "", " ", "/etc/passwd", "../../x.png", "a\x1b[31mb", "\n", "\u2028", "0.png", "images", "x" * 5000, "nan", "-1",
    "1e999", "\ud800", "C:\\x", "~", "null", "train", "\ufeff"]))
NUMBERS = st.one_of(st.integers(-3, 9), st.floats(), st.sampled_from([
    2**31, 2**63, 2**64, 10**30, -(10**30), 1e308, -1e308, float("nan"), float("inf"), 0.5, 1e-320]))
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
VALUES = st.recursive(LEAVES, lambda inner: st.one_of(st.lists(inner, max_size=4),
                                                     st.dictionaries(TEXTS, inner, max_size=4)), max_leaves=8)


def loads_or_one_line(read: Callable[[], object]) -> bool:
    """Whether it loads; what else may happen is an error of ours, in one printable line."""
    refused: HwnasError | None = None
    try:
        read()
    except HwnasError as err:
        refused = err
    if refused is None:
        return True
    assert refused.exit_code == 2
    text = str(refused)
    assert 0 < len(text) < 2000
    assert text.isprintable(), repr(text)
    return False


@st.composite
def mutated(draw: Any, value: Any) -> Any:
    """A document in which a place or three hold something else, or nothing."""
    found = copy.deepcopy(value)
    for _ in range(draw(st.sampled_from([1, 1, 1, 3]))):
        place, key = None, None
        inner = found
        while isinstance(inner, (dict, list)) and inner and (place is None or draw(st.integers(0, 9))):
            place, key = inner, draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
            inner = place[key]
        if place is None:
            return draw(VALUES)
        match draw(st.integers(0, 7)):
            case 0:
                del place[key]
            case 1 | 2:
                place[key] = draw(VALUES)
            case _:
                place[key] = draw(alike(inner))
    return found


def alike(value: Any) -> st.SearchStrategy[Any]:
    """Values of the same type: what a schema lets through."""
    if isinstance(value, (int, float)):
        return NUMBERS
    if isinstance(value, str):
        return TEXTS
    if isinstance(value, list):
        return st.sampled_from([value * 2, value[:-1], value[1:], value[::-1], []])
    return st.just(value)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Make], Path]:
    found: dict[str, Path] = {}

    def make(layout: Make) -> Path:
        if layout.__name__ not in found:
            found[layout.__name__] = layout(tmp_path_factory.mktemp(layout.__name__) / "data")
        return found[layout.__name__]

    return make


def written(value: Any) -> str:
    return json.dumps(value).replace("\\ud800", "?")


@fuzz
@given(st.data())
def test_coco(made: Callable[[Make], Path], data: st.DataObject) -> None:
    folder = made(layouts.coco_plain)
    (folder / "train.json").write_text(written(data.draw(mutated(layouts.told(6)))))
    loads_or_one_line(lambda: load_detection(folder, size=(32, 32)))


@fuzz
@given(st.data())
def test_coco_of_texts_and_outlines(made: Callable[[Make], Path], data: st.DataObject) -> None:
    folder = made(layouts.coco_runs)
    content = json.loads((made(layouts.coco_texts) / "train.json").read_text())
    runs = {"counts": data.draw(st.one_of(TEXTS, st.lists(NUMBERS, max_size=5))), "size": [30, 40]}
    outline = mutated([[4, 6, 24, 6, 24, 22]]) | mutated(runs) | st.just(runs)
    content["annotations"][0]["segmentation"] = data.draw(outline)
    for i, image in enumerate(content["images"]):
        image["file_name"] = f"{i}.png"
    (folder / "train.json").write_text(written(content))
    loads_or_one_line(lambda: load_detection(folder, size=(32, 32)))


@pytest.mark.parametrize("text", [
    "[" * 200_000, '{"a":' * 200_000, '{"images": ' + "[" * 5000, "", "null", "[]", "1", '"x"', "{", "\x00", "NaN",
    '{"images": [], "annotations": [], "categories": []}',
    '{"images": [{"id": ' + "9" * 5000 + ', "file_name": "0.png"}], "annotations": [], "categories": []}',
    '{"images": [{"id": 1e400, "file_name": "0.png"}], "annotations": [], "categories": []}',
    json.dumps(layouts.told(6, categories=[{"id": i, "name": f"c{i}"} for i in range(60_000)])),
    json.dumps(layouts.told(6, categories=[{"id": 1, "name": "a\nb"}, {"id": 2, "name": "red"}])),
    json.dumps(layouts.told(6, categories=[{"id": 1, "name": ""}, {"id": 2, "name": "red"}])),
    json.dumps(layouts.told(6, categories=[{"id": 1, "name": "x" * 10**6}, {"id": 2, "name": "red"}])),
    json.dumps(layouts.told(6, annotations=lambda e: e | {"category_id": 10**25})),
    json.dumps(layouts.told(6, annotations=lambda e: e | {"bbox": [1e308, 1e308, 1e308, 1e308]})),
    json.dumps(layouts.told(6, images=lambda e: e | {"width": -1})),
    json.dumps(layouts.told(6, images=lambda e: e | {"id": 1})),
])
def test_coco_that_is_none(made: Callable[[Make], Path], text: str) -> None:
    folder = made(layouts.coco_plain)
    (folder / "train.json").write_text(text)
    assert not loads_or_one_line(lambda: load_detection(folder, size=(32, 32)))


def test_the_time_for_many_categories_grows_with_their_number(made: Callable[[Make], Path]) -> None:
    folder = made(layouts.coco_plain)
    many = [{"id": i, "name": f"c{i}", "supercategory": "all"} for i in range(200_000)]
    (folder / "train.json").write_text(json.dumps(layouts.told(6, categories=many)))
    begin = time.process_time()
    assert not loads_or_one_line(lambda: load_detection(folder, size=(32, 32)))
    (folder / "train.json").write_text(json.dumps(layouts.told(6, categories=[
        {"id": 1, "name": "blue"}, {"id": 2, "name": "red"}, *many[3:40_000]])))
    loads_or_one_line(lambda: load_detection(folder, size=(32, 32)))
    assert time.process_time() - begin < 20


def test_coco_in_another_encoding_is_refused_and_a_mark_is_not(made: Callable[[Make], Path]) -> None:
    folder = made(layouts.coco_plain)
    text = json.dumps(layouts.told(6))
    (folder / "train.json").write_text(text, encoding="utf-8-sig")
    assert loads_or_one_line(lambda: load_detection(folder, size=(32, 32)))
    (folder / "train.json").write_text(text, encoding="utf-16")
    assert not loads_or_one_line(lambda: load_detection(folder, size=(32, 32)))


@pytest.mark.parametrize("read", [load, load_detection, load_segmentation])
@pytest.mark.parametrize("source", ["", "x" * 5000, "a\0b", "~nobody-of-that-name/x", "no such", "a\x1b[1m", __file__])
def test_what_is_no_path_of_data(read: Callable[[str], object], source: str) -> None:
    assert not loads_or_one_line(lambda: read(source))


@pytest.mark.parametrize("name", ["train.json", "data.yaml", "images/train/0.png", "classes.txt", "annotations/x.xml"])
def test_pipes_do_not_hang(name: str, tmp_path: Path) -> None:
    folder = layouts.coco_plain(tmp_path)
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.unlink(missing_ok=True)
    os.mkfifo(file)
    loads_or_one_line(lambda: load_detection(folder, size=(32, 32)))
    for suffix in (".npz", ".parquet", ".json", ".yaml"):
        os.mkfifo(folder / f"pipe{suffix}")
        read = load if suffix in (".npz", ".parquet") else load_detection
        assert not loads_or_one_line(lambda read=read, file=folder / f"pipe{suffix}": read(file))  # type: ignore[misc]


def test_folders_without_end_are_refused(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        layouts.pictures(tmp_path / name, 3)
    here = Path.cwd()
    try:
        os.chdir(tmp_path / "cat")
        for _ in range(100):
            os.mkdir("d")
            os.chdir("d")
    finally:
        os.chdir(here)
    with pytest.raises(HwnasError, match="folders are nested deeper than 40 levels"):
        load(tmp_path)
    with pytest.raises(HwnasError, match="folders are nested deeper than 40 levels"):
        load(tmp_path / "cat")


def test_loops_of_links_end(tmp_path: Path) -> None:
    layouts.pictures(tmp_path / "train" / "a", 3)
    layouts.pictures(tmp_path / "train" / "b", 3)
    (tmp_path / "train" / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "train" / "b" / "self.png").symlink_to("self.png")
    assert not loads_or_one_line(lambda: load(tmp_path))
    (tmp_path / "train" / "b" / "self.png").unlink()
    assert loads_or_one_line(lambda: load(tmp_path))


def test_a_yaml_of_another_program_is_no_fault(made: Callable[[Make], Path]) -> None:
    folder = made(layouts.coco_plain)
    (folder / "environment.yml").write_text("a: [b")
    (folder / "train.json").write_text(json.dumps(layouts.told(6)))
    assert loads_or_one_line(lambda: load_detection(folder, size=(32, 32)))


WORDS = st.one_of(TEXTS, st.sampled_from([
    "0", "1", "0.5", ".2", "1e9", "nan", "-inf", "1_0", "\u0661", "0x1", "9" * 400, "1e400"]))


LINES = st.one_of(
    st.just("1 .5 .5 .25 .25"), st.just("0 .1 .1 .9 .1 .9 .9"), st.lists(WORDS, max_size=9).map(" ".join),
    st.tuples(WORDS, st.integers(0, 4)).map(
        lambda p: " ".join([*("1", ".5", ".5", ".2")[: p[1]], p[0], *[".2"] * (4 - p[1])])))


@fuzz
@given(st.lists(LINES, max_size=3).map("\n".join) | st.binary(max_size=40))
def test_lines_of_yolo(made: Callable[[Make], Path], text: str | bytes) -> None:
    content = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
    (made(layouts.yolo_folders) / "labels" / "Training" / "1.txt").write_bytes(content)
    loads_or_one_line(lambda: load_detection(made(layouts.yolo_folders), size=(32, 32)))


YAML = {"path": ".", "train": "train/images", "val": ["valid/images"], "test": None, "names": ["blue", "red"], "nc": 2,
        "kpt_shape": [3, 2]}


@fuzz
@given(mutated(YAML))
def test_the_yaml_of_yolo(made: Callable[[Make], Path], value: Any) -> None:
    folder = made(layouts.yolo_roboflow)
    (folder / "data.yaml").write_text(yaml.safe_dump(value, allow_unicode=True), encoding="utf-8", errors="replace")
    loads_or_one_line(lambda: load_detection(folder, size=(32, 32)))


@pytest.mark.parametrize("text", [
    "names: &a [*a]", "names: [a, b", "a: &a [x, x]\n" + "".join(
        f"{new}: &{new} [*{old}, *{old}, *{old}, *{old}]\n"
        for old, new in pairwise(ascii_lowercase)) + "names: *z",
    "names: !!python/object/apply:os.system [id]", "names: " + "[" * 3000, "names: {a: b, c: d}", "names: {0: a, 0: b}",
    "names: {? [a]: b}", "names: {-1: a, 0: b}", "names: {1: a, 2: b}", "names: 7", "names:", "[]", "--- a\n--- b",
    f"names: [{', '.join(f'c{i}' for i in range(60_000))}]", "train: {a: b}\nnames: [a, b]", "path: [a]\nnames: [a, b]",
    'names: ["a\\0b", c]', 'names: ["\\x9b1m", c]', f"names: [{'9' * 5000}, b]\nnc: {'9' * 5000}", "names: [.inf, b]",
])
def test_yaml_that_is_none(made: Callable[[Make], Path], text: str) -> None:
    folder = made(layouts.yolo_roboflow)
    (folder / "data.yaml").write_text(text)
    loads_or_one_line(lambda: load_detection(folder, size=(32, 32)))


TAGS = st.sampled_from(["annotation", "object", "name", "bndbox", "xmin", "size", "width", "filename", "difficult"])
ELEMENTS = st.recursive(
    WORDS | st.sampled_from(["&a;", "<![CDATA[x]]>", "<!-- x -->", "<?x y?>", "<", "&#x1b;", "&#0;", "&lt;"]),
    lambda inner: st.tuples(TAGS, st.lists(inner, max_size=4).map("".join)).map(lambda p: f"<{p[0]}>{p[1]}</{p[0]}>"),
    max_leaves=12)


@fuzz
@given(st.lists(ELEMENTS, max_size=3).map("".join), st.booleans(), st.integers(0, 300))
def test_xml_of_voc(made: Callable[[Make], Path], inner: str, whole: bool, cut: int) -> None:
    folder = made(layouts.voc_beside)
    text = f"<annotation>{inner}</annotation>" if whole else layouts.xml(1, "1.png", inner)
    (folder / "1.xml").write_text(text if whole else text[:cut] + inner + text[cut:], "utf-8", errors="replace")
    loads_or_one_line(lambda: load_detection(folder, size=(32, 32)))


@fuzz
@given(st.lists(WORDS | st.sampled_from(["img (1)", "img (2) -1", "x/img (3).xml"]), max_size=9).map("\n".join))
def test_lists_of_voc(made: Callable[[Make], Path], text: str) -> None:
    folder = made(layouts.voc_official)
    (folder / "ImageSets" / "Main" / "train.txt").write_text(text, "utf-8", errors="replace")
    loads_or_one_line(lambda: load_detection(folder, size=(32, 32)))


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PIL import Image

    folder = tmp_path_factory.mktemp("fields")
    for i in range(4):
        layouts.picture(folder / "images" / f"{i}.png", i % 2)
        (folder / "masks").mkdir(exist_ok=True)
        mask = np.zeros((layouts.HEIGHT, layouts.WIDTH), np.uint8)
        mask[8:20] = 1
        Image.fromarray(mask).save(folder / "masks" / f"{i}.png")
    return folder


@fuzz
@given(st.sampled_from(["classes.txt", "label_colors.txt", "labelmap.txt", "class_dict.csv"]),
       st.lists(st.lists(WORDS | st.sampled_from(["255", "a", "b", "1:2", ","]), max_size=6).map(" ".join)
                | st.sampled_from(["0 ground", "1 field", "255 ignore", "a 0 0 0", "b 1 1 1"]), max_size=4))
def test_palettes(fields: Path, name: str, lines: list[str]) -> None:
    (fields / name).write_text("\n".join(lines), "utf-8", errors="replace")
    try:
        loads_or_one_line(lambda: load_segmentation(fields, size=(32, 32)))
    finally:
        (fields / name).unlink()


KEYS = st.sampled_from(["images", "labels", "x_train", "y_train", "X_train", "x_test", "y_test", "val_images",
                        "val_labels", "train_images", "train_labels", "classes", "other"])
DTYPES = st.sampled_from(["u1", "i1", "i8", "u8", "f2", "f8", "?", "U3", "S3", "c16", "M8[s]", "m8[s]", "V3", "i4,f4"])
SHAPES = st.sampled_from([(), (0,), (4,), (4, 1), (4, 8, 8), (4, 8, 8, 3), (4, 3, 8, 8), (2, 8, 9, 1), (0, 8, 8, 3)])


@fuzz
@given(st.dictionaries(KEYS, st.tuples(DTYPES, SHAPES, st.integers(0, 255)), max_size=4))
def test_npz(tmp_path_factory: pytest.TempPathFactory, wanted: dict[str, tuple[str, tuple[int, ...], int]]) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.npz"
    made = {key: np.frombuffer(np.random.default_rng(seed).bytes(int(np.prod(shape)) * np.dtype(kind).itemsize), kind)
            .reshape(shape) for key, (kind, shape, seed) in wanted.items() if np.dtype(kind).kind not in "US"}
    made |= {key: np.full(shape, "ab", kind) for key, (kind, shape, _) in wanted.items() if np.dtype(kind).kind in "US"}
    np.savez(path, **made)
    loads_or_one_line(lambda: load(path))


@fuzz
@given(arrays.arrays(st.sampled_from(["i1", "i8", "u8", "f4", "f8", "?", "U2", "S2"]), (6,))
       | st.lists(st.integers(-1, 2), min_size=6, max_size=6).map(np.array), st.lists(TEXTS, max_size=4))
def test_labels_and_names_of_npz(tmp_path_factory: pytest.TempPathFactory, labels: Any, names: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "labels.npz"
    told = {"classes": np.array(names, "U40")} if names else {}
    np.savez(path, images=np.zeros((6, 8, 8), np.uint8), labels=labels, **told)
    loads_or_one_line(lambda: load(path))


@fuzz
@given(st.data())
def test_bytes_that_change_in_a_npz(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.npz"
    np.savez_compressed(path, images=np.zeros((6, 8, 8), np.uint8), labels=np.arange(6) % 2)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.sampled_from([len(content), len(content) // 2]))])
    loads_or_one_line(lambda: load(path))


@fuzz
@given(st.lists(LEAVES, min_size=6, max_size=6) | st.lists(st.integers(-1, 2), min_size=6, max_size=6),
       st.lists(TEXTS | st.integers() | st.none(), max_size=3))
def test_parquet(tmp_path_factory: pytest.TempPathFactory, labels: list[Any], names: list[Any]) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path_factory.getbasetemp() / "fuzz.parquet"
    try:
        column = pa.array(labels)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        column = pa.array([str(label).encode("utf-8", "replace") for label in labels])
    image = tmp_path_factory.getbasetemp() / "one.png"
    layouts.picture(image, 0)
    table = pa.table({"image": pa.array([image.read_bytes()] * 6), "label": column})
    pq.write_table(table.replace_schema_metadata({"classes": json.dumps(names)}), path)
    loads_or_one_line(lambda: load(path, imgsz=8))


@fuzz
@given(st.lists(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40)
                .filter(lambda name: name not in (".", "..") and len(name.encode()) < 200), min_size=2, max_size=3,
                unique=True))
def test_names_of_folders(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    folder = tmp_path_factory.mktemp("classes")
    for name in names:
        for i in range(2):
            layouts.picture(folder / name / f"{i}.png", i)
    loads_or_one_line(lambda: load(folder, imgsz=8))

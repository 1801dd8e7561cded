import hashlib
import io
import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hwnas.data import Reading, load, parquet, read_by
from hwnas.errors import DataError, InputError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

CIFAR = Path(__file__).parents[3] / "shared" / "data" / "cifar10" / "train_10k.parquet"


def encoded(value: int, size=(20, 20)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (value, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


ROWS = [encoded(i) for i in range(12)]
LABELS = [i % 3 for i in range(12)]


def store(path: Path, metadata=None, **columns) -> Path:
    table = pa.table(columns)
    pq.write_table(table.replace_schema_metadata(metadata), path / "x.parquet")
    return path / "x.parquet"


@pytest.mark.parametrize("column", ["jpeg", "image", "bytes", "img"])
@pytest.mark.parametrize("struct", [False, True])
def test_columns(tmp_path, column, struct):
    images = [{"bytes": row, "path": "x"} for row in ROWS] if struct else ROWS
    data = load(store(tmp_path, **{column: images, "label": LABELS, "other": LABELS}))
    assert (data.imgsz, data.channels, data.classes) == (20, 3, ("0", "1", "2"))
    assert (len(data.train_labels), len(data.val_labels)) == (9, 3)
    assert (data.train_images[:, 0, 0, 0] % 3 == data.train_labels).all()


def shards(folder: Path, **parts: int) -> Path:
    for stem, count in parts.items():
        folder.mkdir(exist_ok=True)
        table = pa.table({"image": ROWS[:count], "label": LABELS[:count]})
        pq.write_table(table, folder / f"{stem.replace('__', '-')}.parquet")
    return folder


def test_a_folder_of_tables_as_hugging_face_has_it(tmp_path):
    folder = shards(tmp_path / "data", train__00000__of__00002=12, train__00001__of__00002=9,
                    test__00000__of__00001=6)
    (tmp_path / "README.md").write_text("a card")
    for source in (tmp_path, folder):
        data = load(source)
        assert (len(data.train_labels), len(data.val_labels)) == (21, 6)
        assert (data.train_images[:, 0, 0, 0] % 3 == data.train_labels).all()
        assert (data.val_images[:, 0, 0, 0] % 3 == data.val_labels).all()
        assert "validates as no part is called val" in data.split
    shards(folder, validation__00000__of__00001=3)
    data = load(folder)
    assert (len(data.val_labels), data.notes) == (
        3, ("tables of the test part left out: 1 (first: test-00000-of-00001.parquet)",))


def test_shards_of_one_table_are_one_and_other_tables_are_not_mixed(tmp_path):
    folder = shards(tmp_path / "a", cells__00000__of__00002=6, cells__00001__of__00002=6)
    assert len(load(folder).train_labels) + len(load(folder).val_labels) == 12
    with pytest.raises(DataError, match=r"holds 2 parquet files \(cells\.parquet, more\.parquet\): pass the path"):
        load(shards(tmp_path / "b", cells=6, more=6))


def test_large_binary_and_several_row_groups(tmp_path):
    table = pa.table({"jpeg": pa.array(ROWS, pa.large_binary()), "label": pa.array(LABELS, pa.int8())})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=5)
    data = load(tmp_path / "x.parquet")
    assert (data.val_images[:, 0, 0, 0] % 3 == data.val_labels).all()


@pytest.mark.parametrize(
    "metadata",
    [
        {"classes": json.dumps(["a", "b", "c"])},
        {"huggingface": json.dumps({"info": {"features": {"label": {"names": ["a", "b", "c"]}}}})},
        {"classes": "not json", "huggingface": json.dumps({"info": {"features": {"label": {"names": list("abc")}}}})},
    ],
)
def test_class_names(tmp_path, metadata):
    assert load(store(tmp_path, metadata, jpeg=ROWS, label=LABELS)).classes == ("a", "b", "c")


def test_metadata_of_another_kind_is_left_alone(tmp_path):
    odd = {"huggingface": json.dumps([1, 2])}
    assert load(store(tmp_path, odd, jpeg=ROWS, label=LABELS)).classes == ("0", "1", "2")


def test_mixed_sizes_follow_the_rule_for_folders(tmp_path):
    rows = [*ROWS[:-1], encoded(11, (20, 70))]
    assert load(store(tmp_path, jpeg=rows, label=LABELS)).imgsz == 32


def test_a_folder_of_one(tmp_path):
    store(tmp_path, jpeg=ROWS, label=LABELS)
    assert load(tmp_path).name == "x"
    (tmp_path / "y.parquet").write_bytes(b"")
    with pytest.raises(DataError, match=r"holds 2 parquet files \(x.parquet, y.parquet\): pass the path of one"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"picture": ROWS, "label": LABELS}, r"needs a column jpeg, .* it has picture \(binary\), label \(int64\)"),
        ({"jpeg": ROWS, "y": LABELS}, r"integer column label; it has jpeg \(binary\), y \(int64\)"),
        ({"jpeg": ["text"] * 12, "label": LABELS}, r"it has jpeg \(string\)"),
        ({"jpeg": ROWS, "label": ["a"] * 12}, "labels must be integers"),
        ({"jpeg": ROWS, "label": [0.5] * 12}, "labels must be integers"),
        ({"jpeg": ROWS, "label": [None, *LABELS[1:]]}, "1 rows without a label; remove them"),
        ({"jpeg": ROWS, "label": [-1, *LABELS[1:]]}, "found -1"),
        ({"jpeg": ROWS, "label": [4, *LABELS[1:]]}, "class 3 has no training image"),
        ({"jpeg": ROWS, "label": [0] * 12}, "only one class"),
        ({"jpeg": pa.array([], pa.binary()), "label": np.zeros(0, int)}, "no images; give at least two"),
        ({"jpeg": [None, *ROWS[1:]], "label": LABELS}, r"1 of 12 images cannot be read: row 0 \(no bytes\)"),
        ({"jpeg": [b"junk", *ROWS[1:]], "label": LABELS}, r"1 of 12 .*: row 0 \(it is no PNG"),
    ],
)
def test_every_error(tmp_path, columns, message):
    with pytest.raises(DataError, match=message) as caught:
        load(store(tmp_path, **columns))
    assert "x.parquet" in str(caught.value)


@pytest.mark.parametrize("keep", [0, 3, 200, -10])
def test_not_a_parquet_file(tmp_path, keep):
    path = store(tmp_path, jpeg=ROWS, label=LABELS)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"x\.parquet: not a readable parquet file"):
        load(path)


@pytest.mark.skipif(not CIFAR.exists(), reason="no CIFAR-10 in the shared data folder")
def test_cifar10():
    start = time.process_time()
    data = load(CIFAR)
    seconds = time.process_time() - start
    assert data.train_images.shape == (8000, 32, 32, 3)
    assert np.bincount(data.train_labels).tolist() == [800] * 10
    assert np.bincount(data.val_labels).tolist() == [200] * 10
    np.testing.assert_allclose(data.mean * 255, [125.3, 122.9, 113.9], atol=1.5)
    np.testing.assert_allclose(data.std * 255, [62.5, 61.9, 66.5], atol=1.5)
    assert seconds < 30


@pytest.mark.skipif(not CIFAR.exists(), reason="no CIFAR-10 in the shared data folder")
def test_cifar10_pixels_are_those_a_plain_decoder_gives():
    data = load(CIFAR, limit=200)
    table = pq.read_table(CIFAR, columns=["jpeg", "label"])
    plain = {
        hashlib.sha256(np.asarray(Image.open(io.BytesIO(row))).tobytes()).digest(): label
        for row, label in zip(table["jpeg"].to_pylist(), table["label"].to_pylist(), strict=True)
    }
    for image, label in zip(data.train_images, data.train_labels, strict=True):
        assert plain[hashlib.sha256(image.tobytes()).digest()] == label


@pytest.mark.parametrize("struct", [False, True])
def test_a_table_larger_than_memory_is_copied_once_and_says_the_same(tmp_path, struct, monkeypatch):
    images = [{"bytes": row, "path": "x"} for row in ROWS] if struct else ROWS
    file = tmp_path / "x.parquet"
    pq.write_table(pa.table({"image": images, "label": LABELS}), file, row_group_size=5)
    small = load(file, memory=0)
    monkeypatch.setattr(parquet, "allowed", lambda: 100)
    copied, streamed = [], parquet._streamed
    monkeypatch.setattr(parquet, "_streamed", lambda *where: copied.append(where) or streamed(*where))
    with read_by(Reading(tmp_path / "cache")):
        large = load(file, memory=0)
    assert len(copied) == 1
    assert not list((tmp_path / "cache").glob("tmp*")), "nobody else sees the copy"
    assert large.fingerprint == small.fingerprint
    np.testing.assert_array_equal(large.train_images, small.train_images)
    np.testing.assert_array_equal(large.val_images, small.val_images)
    assert len(copied) == 1


def test_a_row_without_an_image_in_a_large_table(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "allowed", lambda: 0)
    with pytest.raises(DataError, match=r"1 of 12 images cannot be read: row 4 \(no bytes\)"):
        load(store(tmp_path, image=[*ROWS[:4], None, *ROWS[5:]], label=LABELS))


def test_a_copy_that_cannot_be_written_says_how_it_can(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "allowed", lambda: 0)
    (tmp_path / "cache").write_text("a file")
    with read_by(Reading(tmp_path / "cache")), pytest.raises(InputError, match="name a folder with room by"):
        load(store(tmp_path, image=ROWS, label=LABELS), memory=0)

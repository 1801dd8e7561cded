import io
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hwnas.data import load
from hwnas.errors import DataError


def save(path: Path, size=(16, 16), mode="RGB", colour=None, **kwargs) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    black = 0 if len(Image.new(mode, (1, 1)).getbands()) == 1 else (0,) * len(Image.new(mode, (1, 1)).getbands())
    Image.new(mode, size, black if colour is None else colour).save(path, **kwargs)
    return path


def fill(root: Path, classes=("cat", "dog"), count=4, **kwargs) -> Path:
    for k, name in enumerate(classes):
        for i in range(count):
            save(root / name / f"{i}.png", colour=(10 * k, i, 200), **kwargs)
    return root


def test_automatic_split(tmp_path):
    data = load(fill(tmp_path / "pets", count=10))
    assert data.name == "pets"
    assert data.classes == ("cat", "dog")
    assert (len(data.train_labels), len(data.val_labels), data.imgsz, data.channels) == (16, 4, 16, 3)
    for images, labels in ((data.train_images, data.train_labels), (data.val_images, data.val_labels)):
        assert (images[:, 0, 0, 0] == 10 * labels).all()
    assert data.split == "stratified split, 0.2 of every class validates, seed 0"


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_given_split(tmp_path, val):
    fill(tmp_path / "train", count=5)
    fill(tmp_path / val, count=2)
    data = load(tmp_path)
    assert (len(data.train_labels), len(data.val_labels)) == (10, 4)
    assert data.split == f"as the folders train and {val} say"
    assert (data.val_images[:, 0, 0, 0] == 10 * data.val_labels).all()


def test_limit_of_a_given_split(tmp_path):
    fill(tmp_path / "train", count=10)
    fill(tmp_path / "val", count=5)
    data = load(tmp_path, limit=12)
    assert np.bincount(data.train_labels).tolist() == [4, 4]
    assert np.bincount(data.val_labels).tolist() == [2, 2]


@pytest.mark.parametrize("names", [("Training", "Test"), ("train", "testing"), ("TRAIN2017", "test_set")])
def test_test_validates_where_there_is_no_val_and_it_is_said(tmp_path, names):
    fill(tmp_path / names[0], count=5)
    fill(tmp_path / names[1], count=3)
    data = load(tmp_path)
    assert (len(data.train_labels), len(data.val_labels), data.classes) == (10, 6, ("cat", "dog"))
    assert data.split == f"as the folders {names[0]} and {names[1]} say, where {names[1]} validates as no part is " \
                         "called val"


def test_test_is_left_out_and_counted_where_val_validates(tmp_path):
    for name, count in (("train", 5), ("Validation", 2), ("test", 7), ("extra", 4)):
        fill(tmp_path / name, count=count)
    data = load(tmp_path)
    assert (len(data.train_labels), len(data.val_labels)) == (10, 4)
    first = {name: tmp_path / name / "cat" / "0.png" for name in ("test", "extra")}
    assert set(data.notes) == {
        f"images of the test part left out: 14 (first: {first['test']})",
        f"images in folders that are neither training nor validation left out: 8 (first: {first['extra']})"}
    assert all(note in data.summary() and note in data.describe()["notes"] for note in data.notes)


def test_a_train_part_alone_is_split(tmp_path):
    fill(tmp_path / "train", count=5)
    save(tmp_path / "test" / "flat.png")
    data = load(tmp_path)
    assert len(data.train_labels) + len(data.val_labels) == 10
    assert data.notes == (f"images of the test part left out: 1 (first: {tmp_path / 'test' / 'flat.png'})",)


@pytest.mark.parametrize("classes", [("plane", "train"), ("control", "test"), ("val", "x"), ("Testing", "b", "c")])
def test_a_class_called_like_a_part_is_refused_with_a_way_out(tmp_path, classes):
    with pytest.raises(DataError, match=r"is the name of a part, .* if it is a class, rename it"):
        load(fill(tmp_path, classes=classes))
    with pytest.raises(DataError, match=r"a class cannot be called .*rename the folder"):
        load(fill(tmp_path / "deeper" / "train", classes=classes).parent)


def test_two_folders_for_one_part_are_refused(tmp_path):
    for name in ("train", "val", "valid"):
        fill(tmp_path / name)
    with pytest.raises(DataError, match="'val' and 'valid' both look like the part 'val': keep one"):
        load(tmp_path)


@pytest.mark.parametrize("names", [("seg_train/seg_train", "seg_test/seg_test"), ("asl_train", "asl_val"),
                                   ("box/train", "box/test"), ("a/b/training_set/training_set", "a/b/test_set")])
def test_parts_in_wrappings_and_with_other_words_are_no_classes(tmp_path, names):
    for name, count in zip(names, (5, 3), strict=True):
        fill(tmp_path / name, count=count)
    data = load(tmp_path)
    assert (len(data.train_labels), len(data.val_labels), data.classes) == (10, 6, ("cat", "dog"))
    assert (data.name, data.source) == (tmp_path.name, str(tmp_path))


def test_classes_that_hold_the_word_are_classes(tmp_path):
    assert load(fill(tmp_path, classes=("crash test", "test tube", "train car"))).classes[0] == "crash test"


def test_an_empty_validation_part_is_refused(tmp_path):
    fill(tmp_path / "train")
    (tmp_path / "val").mkdir()
    with pytest.raises(DataError, match="val: a validation part without folders of classes; make them, or remove it"):
        load(tmp_path)


def test_dev_is_a_part_beside_train_and_a_class_beside_others(tmp_path):
    assert load(fill(tmp_path / "a", classes=("dev", "ops"))).classes == ("dev", "ops")
    for name in ("train", "dev"):
        fill(tmp_path / "b" / name)
    assert load(tmp_path / "b").split == "as the folders train and dev say"


def test_the_order_of_classes_txt_is_kept(tmp_path):
    (fill(tmp_path) / "classes.txt").write_bytes(b"\xef\xbb\xbfdog\r\ncat\r\n")
    data = load(tmp_path)
    assert data.classes == ("dog", "cat")
    assert (data.train_images[:, 0, 0, 0] == 10 * (1 - data.train_labels)).all()
    (tmp_path / "classes.txt").write_text("wolf\ncat\n")
    assert load(tmp_path).classes == ("cat", "dog")
    assert "classes.txt does not name the folders" in load(tmp_path).notes[0]


def test_what_is_not_read_is_counted(tmp_path):
    fill(tmp_path)
    (tmp_path / "cat" / "a.heic").write_bytes(b"")
    (tmp_path / "dog" / "clip.mp4").write_bytes(b"")
    save(tmp_path / "stray.png")
    for junk in ("Thumbs.db", "desktop.ini", ".DS_Store", "._9.png"):
        (tmp_path / "cat" / junk).write_bytes(b"junk")
    (tmp_path / "cat" / "more").symlink_to(tmp_path / "dog")
    assert set(load(tmp_path).notes) == {
        f"files that are no images by their name passed over: 2 (first: {tmp_path / 'cat' / 'a.heic'})",
        f"images in no folder of a class left out: 1 (first: {tmp_path / 'stray.png'})",
        f"links to folders not entered: 1 (first: {tmp_path / 'cat' / 'more'})"}


@pytest.mark.parametrize("name", ["a\x1b[31mb", "a\nb", "x" * 251, "\udcff"])
def test_names_that_no_line_can_hold_are_refused(tmp_path, name):
    with pytest.raises(DataError, match="at most 250 printable characters in one line") as caught:
        load(fill(tmp_path, classes=("cat", name)))
    assert str(caught.value).isprintable()


def test_hidden_and_foreign_files_are_passed_over(tmp_path):
    fill(tmp_path)
    save(tmp_path / ".cache" / "x.png")
    save(tmp_path / "__MACOSX" / "x.png")
    (tmp_path / "cat" / "._0.png").write_bytes(b"junk")
    (tmp_path / "cat" / "notes.txt").write_text("junk")
    save(tmp_path / "cat" / "deeper" / "9.PNG")
    data = load(tmp_path)
    assert data.classes == ("cat", "dog")
    assert len(data.train_labels) + len(data.val_labels) == 9


@pytest.mark.parametrize(
    ("sizes", "want"),
    [([(28, 28)], 32), ([(32, 40)], 32), ([(640, 480)], 128), ([(5, 5)], 16), ([(50, 60), (50, 90), (99, 20)], 64)],
)
def test_default_size_is_the_common_shorter_side(tmp_path, sizes, want):
    for k in "ab":
        for i, size in enumerate(sizes * 2):
            save(tmp_path / k / f"{i}.png", size)
    assert load(tmp_path).imgsz == want


def test_the_default_size_does_not_hang_on_limit(tmp_path):
    for k in "ab":
        for i in range(6):
            save(tmp_path / k / f"{i}.png", (32, 32) if i else (64, 64))
    assert {load(tmp_path, limit=4, seed=seed).imgsz for seed in range(4)} == {32}


def test_not_square_is_cropped_at_the_centre(tmp_path):
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 255
    for k, array in (("a", wide), ("b", wide.transpose(1, 0, 2))):
        (tmp_path / k).mkdir()
        for i in range(2):
            Image.fromarray(np.ascontiguousarray(array)).save(tmp_path / k / f"{i}.png")
    data = load(tmp_path, imgsz=20)
    assert (data.train_images == 255).all()
    assert load(tmp_path, imgsz=40).train_images.shape == (2, 40, 40, 3)


def test_all_grey_stays_grey_and_one_colour_makes_all_rgb(tmp_path):
    for k in "ab":
        for i in range(3):
            save(tmp_path / k / f"{i}.png", mode="L", colour=50 + i)
    grey = load(tmp_path)
    assert grey.channels == 1
    assert sorted(set(grey.train_images.ravel()) | set(grey.val_images.ravel())) == [50, 51, 52]
    save(tmp_path / "a" / "9.png", colour=(1, 2, 3))
    both = load(tmp_path)
    every = np.concatenate([both.train_images, both.val_images])[:, 0, 0]
    assert both.channels == 3
    assert sorted(map(tuple, every.tolist())) == sorted([(50 + i,) * 3 for i in range(3)] * 2 + [(1, 2, 3)])


@pytest.mark.parametrize(
    ("mode", "colour", "want"),
    [
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("LA", (40, 255), (40,)),
        ("LA", (40, 0), (255,)),
        ("1", 1, (255,)),
        ("I;16", 0x1234, (0x12,)),
        ("P", 0, (0, 0, 0)),
    ],
)
def test_modes(tmp_path, mode, colour, want):
    for k in "ab":
        for i in range(2):
            save(tmp_path / k / f"{i}.png", mode=mode, colour=colour)
    assert (load(tmp_path).train_images == np.array(want, np.uint8)).all()


@pytest.mark.parametrize("suffix", ["jpg", "bmp", "gif", "webp", "tiff", "ppm"])
def test_formats(tmp_path, suffix):
    for k, colour in (("a", (200, 30, 30)), ("b", (30, 30, 200))):
        for i in range(2):
            save(tmp_path / k / f"{i}.{suffix}", (300, 300), colour=colour)
    data = load(tmp_path, imgsz=32)
    assert np.abs(data.train_images[:, 5, 5].astype(int) - [[200, 30, 30], [30, 30, 200]]).max() < 8


def test_exif_orientation(tmp_path):
    half = np.zeros((32, 32, 3), np.uint8)
    half[:, :16] = 255  # left half white
    tag = Image.Exif()
    tag[0x0112] = 6  # shown turned a quarter clockwise: the top half is white
    for k in "ab":
        (tmp_path / k).mkdir()
        for i in range(2):
            Image.fromarray(half).save(tmp_path / k / f"{i}.jpg", exif=tag, quality=95)
    image = load(tmp_path).train_images[0]
    assert image[:14].min() > 240
    assert image[18:].max() < 15


def test_damaged_exif_does_not_cost_the_image(tmp_path):
    fill(tmp_path)
    save(tmp_path / "cat" / "x.jpg", exif=b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x09\x01\x12")
    data = load(tmp_path)
    assert len(data.train_labels) + len(data.val_labels) == 9


def test_corrupt_images_are_named_and_counted(tmp_path):
    fill(tmp_path, count=9)
    for i in range(7):
        (tmp_path / "dog" / f"bad{i}.jpg").write_bytes(b"not an image")
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    text = str(caught.value)
    assert "7 of 25 images cannot be read: " in text
    assert text.count("(it is no PNG, JPEG, WEBP, GIF, TIFF, BMP or PPM)") == 5
    assert "and 2 more. Replace or remove them" in text


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM"])
@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 0.9])
def test_truncated_images_are_refused(tmp_path, form, share):
    fill(tmp_path)
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, form)
    (tmp_path / "dog" / "half.png").write_bytes(buffer.getvalue()[: int(share * buffer.tell())])
    with pytest.raises(DataError, match=r"1 of 9 images cannot be read: dog/half\.png \("):
        load(tmp_path, imgsz=16)


@pytest.mark.parametrize("side", [10_000, 20_000, 2**31 - 1])
def test_decompression_bomb(tmp_path, side):
    fill(tmp_path)
    save(tmp_path / "cat" / "bomb.png", (8, 8))
    content = bytearray((tmp_path / "cat" / "bomb.png").read_bytes())
    content[16:24] = struct.pack(">II", side, side)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "cat" / "bomb.png").write_bytes(content)
    with pytest.raises(DataError, match=r"cat/bomb\.png \(too many pixels: .*at most 89.5 million are read"):
        load(tmp_path)


def test_a_dangling_link(tmp_path):
    fill(tmp_path)
    (tmp_path / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(DataError, match=r"cat/gone\.png \(.*no such file"):
        load(tmp_path)


def test_float_pixels(tmp_path):
    fill(tmp_path)
    save(tmp_path / "cat" / "f.tiff", mode="F", colour=0.5)
    with pytest.raises(DataError, match="floating-point pixels; store 8 or 16 bits"):
        load(tmp_path)


def test_no_images(tmp_path):
    with pytest.raises(DataError, match=r"no images; put them in one folder per class, like .*/CLASS/x\.png"):
        load(tmp_path)


def test_images_outside_class_folders(tmp_path):
    save(tmp_path / "x.png")
    with pytest.raises(DataError, match="no images; put them in one folder per class"):
        load(tmp_path)


def test_empty_class(tmp_path):
    fill(tmp_path)
    (tmp_path / "eel").mkdir()
    with pytest.raises(DataError, match="eel: a class folder without images; add images or remove the folder"):
        load(tmp_path)


def test_one_class(tmp_path):
    with pytest.raises(DataError, match="only one class, 'cat'"):
        load(fill(tmp_path, classes=("cat",)))


def test_class_in_validation_only(tmp_path):
    fill(tmp_path / "train")
    fill(tmp_path / "val", classes=("ape", "cat"))
    with pytest.raises(DataError, match="class 'ape' is in validation but not in training"):
        load(tmp_path)


def test_class_in_training_only_is_fine(tmp_path):
    fill(tmp_path / "train")
    fill(tmp_path / "val", classes=("dog",))
    assert load(tmp_path).describe()["classes"]["cat"] == {"train": 4, "val": 0}


def test_too_few_to_split(tmp_path):
    fill(tmp_path)
    save(tmp_path / "eel" / "0.png")
    with pytest.raises(DataError, match="needs two images per class; 1 have fewer: 'eel'"):
        load(tmp_path)


def test_many_images_in_threads_keep_their_order(tmp_path):
    for k in range(2):
        for i in range(200):
            save(tmp_path / str(k) / f"{i:03}.png", (8, 8), colour=(i, k, 0))
    calls, before = [], threading.active_count()
    data = load(tmp_path, imgsz=8, progress=lambda *call: calls.append(call))
    assert (data.train_images[:, 0, 0, 1] == data.train_labels).all()
    assert (np.diff(data.train_images[data.train_labels == 0][:, 0, 0, 0].astype(int)) > 0).all()
    assert [done for _, done, _ in calls] == sorted(done for _, done, _ in calls)
    assert calls[-1] == ("decode images", 400, 400)
    assert threading.active_count() == before


def test_a_progress_that_raises_stops_the_work(tmp_path):
    def stop(what: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(fill(tmp_path), progress=stop)

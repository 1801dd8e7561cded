"""Whatever mode and container an image is stored in, every path eats the same pixels, and they are the right ones.

The paths: decoding for training (classes, boxes, masks), `hwnas predict`, a bundle's runner, the server. Networks get
what `Recorder` sees at the session, so nothing of a path is left out.
"""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from hwnas.data.detection import load_detection
from hwnas.data.encoded import EncodedSource
from hwnas.data.segmentation import load_segmentation
from hwnas.deploy.runner.predicting import Model, load_model
from hwnas.deploy.server.limits import Refusal
from hwnas.deploy.server.pictures import FORMATS, decoded, refusing
from hwnas.errors import DataError, ImageError
from hwnas.imaging import Letterbox, Picture
from hwnas.imaging.fitting import square_pixels, to_input
from hwnas.pipeline.exported.image_sources import Frame, frames
from hwnas.pipeline.exported.predicting import Predictor
from tests.deploy.recorder import Recorder

HEIGHT, WIDTH, SIZE, SIDE = 40, 61, (64, 96), 16
RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
GREY, ALPHA = RGB[..., 0], RGB[..., 2]
DEEP = RNG.integers(0, 65536, (HEIGHT, WIDTH)).astype(np.uint16)
SMOOTH = np.stack([40 + k * np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)) for k in (0.5, 1, 2)], 2).astype(np.uint8)


@dataclass(frozen=True)
class Stored:
    """An image as it is stored, and what it shows: RGB, uint8 (H, W, 3)."""

    data: bytes
    shows: np.ndarray
    near: int = 0  # levels that the whole image may differ from it


def saved(image: Image.Image, kind: str, **how: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def over_white(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None].astype(np.float64) / 255
    return np.rint(colours * share + 255 * (1 - share)).astype(np.uint8)


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, 2).astype(np.uint8)


def keyed(shows: np.ndarray, at: np.ndarray) -> np.ndarray:
    return np.where(at[..., None], np.uint8(255), shows)


def palette() -> Image.Image:
    image = Image.fromarray(GREY % 8, "L").convert("P")
    image.putdata((GREY % 8).reshape(-1).tolist())
    image.putpalette([int(v) for k in range(8) for v in (30 * k, 255 - 30 * k, 17 * k)])
    return image


def of_palette() -> np.ndarray:
    k = (GREY % 8).astype(np.int64)
    return np.stack([30 * k, 255 - 30 * k, 17 * k], 2).astype(np.uint8)


def lab() -> Image.Image:
    profiles = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
    found = ImageCms.applyTransform(Image.fromarray(SMOOTH), ImageCms.buildTransform(*profiles, "RGB", "LAB"))
    assert found is not None
    return found


def two_pages(kind: str, first: Image.Image, **how: Any) -> bytes:
    return saved(first, kind, save_all=True, append_images=[Image.new(first.mode, first.size)], **how)


def all_stored() -> dict[str, Stored]:
    colour, plain, deep = Image.fromarray(RGB), Image.fromarray(GREY), Image.fromarray(DEEP)
    clear = Image.merge("RGBA", [*colour.split(), Image.fromarray(ALPHA)])
    veiled, half = over_white(RGB, ALPHA), Image.merge("LA", [plain, Image.fromarray(ALPHA)])
    smooth, high = Image.fromarray(SMOOTH), grey(DEEP >> 8)
    bits = GREY > 127
    few = (GREY // 17).astype(np.uint8)
    found: dict[str, Stored] = {
        "1 PNG": Stored(saved(Image.fromarray(bits), "PNG"), grey(bits * 255)),
        "1 TIFF": Stored(saved(Image.fromarray(bits), "TIFF", compression="group4"), grey(bits * 255)),
        "1 BMP": Stored(saved(Image.fromarray(bits), "BMP"), grey(bits * 255)),
        "1 GIF": Stored(saved(Image.fromarray(bits), "GIF"), grey(bits * 255)),
        "1 PPM": Stored(saved(Image.fromarray(bits), "PPM"), grey(bits * 255)),
        "1 tRNS PNG": Stored(saved(Image.fromarray(bits), "PNG", transparency=0), grey(np.full(GREY.shape, 255))),
        "LA PNG": Stored(saved(half, "PNG"), over_white(grey(GREY), ALPHA), 1),
        "LA TIFF": Stored(saved(half, "TIFF"), over_white(grey(GREY), ALPHA), 1),
        "L tRNS PNG": Stored(saved(plain, "PNG", transparency=77), keyed(grey(GREY), GREY == 77)),
        "L of 4 bits tRNS PNG": Stored(four_bits(few, 5), keyed(grey(few * 17), few == 5)),
        "RGB tRNS PNG": Stored(saved(colour, "PNG", transparency=tuple(RGB[3, 4].tolist())),
                               keyed(RGB, (RGB[3, 4] == RGB).all(2))),
        "P PNG": Stored(saved(palette(), "PNG"), of_palette()),
        "P BMP": Stored(saved(palette(), "BMP"), of_palette()),
        "P TIFF": Stored(saved(palette(), "TIFF"), of_palette()),
        "P GIF": Stored(saved(palette(), "GIF"), of_palette()),
        "P tRNS PNG": Stored(saved(palette(), "PNG", transparency=3), keyed(of_palette(), GREY % 8 == 3)),
        "P tRNS shades PNG": Stored(saved(palette(), "PNG", transparency=bytes(range(0, 160, 20))),
                                    over_white(of_palette(), 20 * (GREY % 8)), 1),
        "P transparent GIF": Stored(saved(palette(), "GIF", transparency=3), keyed(of_palette(), GREY % 8 == 3)),
        "P animated GIF": Stored(two_pages("GIF", palette()), of_palette()),
        "PA TIFF": Stored(saved(Image.merge("PA", [palette().convert("L"), Image.fromarray(ALPHA)]), "TIFF"),
                          np.zeros(0)),
        "RGBA PNG": Stored(saved(clear, "PNG"), veiled, 1),
        "RGBA TIFF": Stored(saved(clear, "TIFF"), veiled, 1),
        "RGBA lossless WEBP": Stored(saved(clear, "WEBP", lossless=True, exact=True), veiled, 1),
        "RGBA lossy WEBP": Stored(saved(clear, "WEBP"), np.zeros(0)),
        "RGBA animated PNG": Stored(two_pages("PNG", clear), veiled, 1),
        "RGBA opaque PNG": Stored(saved(colour.convert("RGBA"), "PNG"), RGB),
        "RGB lossless WEBP": Stored(saved(colour, "WEBP", lossless=True), RGB),
        "RGB lossy WEBP": Stored(saved(smooth, "WEBP", quality=95), SMOOTH, 12),
        "RGB animated WEBP": Stored(two_pages("WEBP", colour, lossless=True), RGB),
        "RGB pages TIFF": Stored(two_pages("TIFF", colour), RGB),
        "RGB LZW TIFF": Stored(saved(colour, "TIFF", compression="tiff_lzw"), RGB),
        "RGB progressive JPEG": Stored(saved(smooth, "JPEG", quality=95, progressive=True), SMOOTH, 12),
        "RGB of two pages JPEG": Stored(two_pages("MPO", smooth, quality=95), SMOOTH, 12),
        "L JPEG": Stored(saved(Image.fromarray(SMOOTH[..., 0]), "JPEG", quality=98), grey(SMOOTH[..., 0]), 6),
        "CMYK JPEG": Stored(saved(smooth.convert("CMYK"), "JPEG", quality=98), SMOOTH, 6),
        "CMYK TIFF": Stored(saved(colour.convert("CMYK"), "TIFF"), RGB, 1),
        "YCbCr TIFF": Stored(saved(smooth.convert("YCbCr"), "TIFF"), SMOOTH, 6),
        "LAB TIFF": Stored(saved(lab(), "TIFF"), SMOOTH, 6),
        "I;16 PNG": Stored(saved(deep, "PNG"), high),
        "I;16 TIFF": Stored(saved(deep, "TIFF"), high),
        "I;16 LZW TIFF": Stored(saved(deep, "TIFF", compression="tiff_lzw"), high),
        "I;16B TIFF": Stored(saved(Image.frombytes("I;16B", deep.size, DEEP.astype(">u2").tobytes()), "TIFF"), high),
        "I;16 PPM": Stored(saved(deep, "PPM"), high),
        "I;16 tRNS PNG": Stored(deep_keyed(int(DEEP[5, 5])), keyed(high, DEEP[5, 5] == DEEP)),
        "I TIFF": Stored(saved(Image.fromarray(DEEP.astype(np.int32)), "TIFF"), high),
        "16-bit RGB PNG": Stored(deep_colour(), RGB),
        "16-bit RGB PPM": Stored(b"P6 %d %d 65535\n" % (WIDTH, HEIGHT) + wide(RGB).tobytes(), RGB, 1),
    }
    found |= {f"{name} {kind}": Stored(saved(image, kind), shows) for kind in ("PNG", "BMP", "TIFF", "PPM")
              for name, image, shows in (("L", plain, grey(GREY)), ("RGB", colour, RGB))}
    return found


def wide(values: np.ndarray) -> np.ndarray:
    """8 bits in the upper half of 16, noise below, big-endian."""
    return (values.astype(np.uint16) << 8 | 0x5A).astype(">u2")


def chunks(head: bytes, rows: np.ndarray, *more: bytes) -> bytes:
    """A PNG by hand, for what Pillow does not write."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    size = struct.pack(">II", WIDTH, HEIGHT)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size + head) + b"".join(chunk(b"tRNS", part) for part in more)
            + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b""))


def deep_keyed(key: int) -> bytes:
    return chunks(bytes([16, 0, 0, 0, 0]), DEEP.astype(">u2"), key.to_bytes(2, "big"))


def deep_colour() -> bytes:
    return chunks(bytes([16, 2, 0, 0, 0]), wide(RGB).reshape(HEIGHT, -1))


def four_bits(values: np.ndarray, key: int) -> bytes:
    padded = np.pad(values, ((0, 0), (0, WIDTH % 2)))
    return chunks(bytes([4, 0, 0, 0, 0]), padded[:, ::2] << 4 | padded[:, 1::2], key.to_bytes(2, "big"))


def turned(orientation: int, kind: str, **how: Any) -> Stored:
    """`SMOOTH` stored so that this orientation shows it upright."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    away = {1: SMOOTH, 2: SMOOTH[:, ::-1], 3: SMOOTH[::-1, ::-1], 4: SMOOTH[::-1], 5: SMOOTH.transpose(1, 0, 2),
            6: np.rot90(SMOOTH, 1), 7: SMOOTH[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(SMOOTH, -1)}[orientation]
    image = Image.fromarray(np.ascontiguousarray(away))
    return Stored(saved(image, kind, exif=exif, **how), SMOOTH, 12 if kind == "JPEG" else 0)


STORED = all_stored() | {
    f"EXIF {number} {kind}": turned(number, kind, **how) for number in range(1, 9)
    for kind, how in (("JPEG", {"quality": 95}), ("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True}))
}
REFUSED = {
    "F TIFF": saved(Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)), "TIFF"),
    "I beyond 16 bits TIFF": saved(Image.fromarray(np.full((8, 8), 70_000, np.int32)), "TIFF"),
    "I below zero TIFF": saved(Image.fromarray(np.full((8, 8), -1, np.int32)), "TIFF"),
}


@dataclass(frozen=True)
class Paths:
    """What one network eats of an image, by each path."""

    predictor: Predictor
    model: Model
    recorder: Recorder

    def predict(self, path: Path) -> np.ndarray:
        (frame,) = frames(path)
        assert isinstance(frame, Frame)
        self.predictor.predict(frame)
        return self.recorder.seen

    def bundle(self, path: Path) -> np.ndarray:
        self.model.predict(path)
        return self.recorder.seen

    def server(self, data: bytes) -> np.ndarray:
        with refusing(1 << 20):
            self.predictor.predict(Frame("image", decoded(data, 1 << 20), 1))
        return self.recorder.seen


@pytest.fixture(scope="module")
def paths(bundles: Callable[[str], Path]) -> Callable[[str], Paths]:
    kept: dict[str, Paths] = {}

    def of(task: str) -> Paths:
        if task not in kept:
            folder = bundles(task)
            predictor, model = Predictor.of(folder / "model.onnx"), load_model(folder)
            recorder: Any = Recorder(predictor.session)
            model.loaded = dataclasses.replace(model.loaded, session=recorder)
            kept[task] = Paths(dataclasses.replace(predictor, session=recorder), model, recorder)
        return kept[task]

    return of


def trained_on(path: Path) -> dict[str, np.ndarray]:
    """What training of each task eats of an image: uint8 (H, W, C)."""
    folder, name = path.parent, path.name
    height, width = Picture.read(path).size
    told = {"images": [{"id": 1, "file_name": name}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 2, 9, 9], "area": 81, "iscrowd": 0}],
            "categories": [{"id": 1, "name": "thing"}]}
    for part in ("train", "val"):
        for where in (folder / "boxes" / "images", folder / part, folder / f"{part}annot"):
            where.mkdir(parents=True, exist_ok=True)
        (folder / "boxes" / "images" / f"{part}-{name}").write_bytes(path.read_bytes())
        told["images"][0]["file_name"] = f"{part}-{name}"
        (folder / "boxes" / f"{part}.json").write_text(json.dumps(told))
        (folder / part / name).write_bytes(path.read_bytes())
        mask = np.zeros((height, width), np.uint8)
        mask[:9] = 1
        Image.fromarray(mask).save(folder / f"{part}annot" / f"{path.stem}.png")
    (folder / "masks").mkdir()
    for part in ("train", "trainannot", "val", "valannot"):
        (folder / part).rename(folder / "masks" / part)
    boxes = load_detection(folder / "boxes", size=SIZE).train.images[0]
    masks = load_segmentation(folder / "masks", size=SIZE).train.images[0]
    classes = EncodedSource(lambda _: (name, path), 1, "folder").read(np.zeros(1, np.int64), (SIDE, SIDE))[0]
    return {"classify": classes, "detect": boxes, "segment": masks}


@pytest.mark.parametrize("name", sorted(STORED))
def test_every_path_eats_the_same(name: str, paths: Callable[[str], Paths], tmp_path: Path) -> None:
    stored = STORED[name]
    path = tmp_path / f"x.{name.split()[-1].lower()}"
    path.write_bytes(stored.data)
    picture = Picture.read(path)
    whole = picture.pixels()
    if stored.shows.size:
        assert whole.shape == stored.shows.shape
        assert np.abs(whole.astype(int) - stored.shows).max() <= stored.near
        assert np.abs(whole.astype(int) - stored.shows).mean() <= stored.near / 3
    wanted = trained_on(path)
    assert np.array_equal(np.broadcast_to(wanted["classify"], (SIDE, SIDE, 3)), square_pixels(whole, SIDE)) \
        or picture.header.format in ("JPEG", "MPO")
    assert np.array_equal(wanted["detect"], Letterbox.fit(*picture.size, SIZE).image(whole))
    assert np.array_equal(wanted["segment"], wanted["detect"])
    wanted["classify"] = picture.square(SIDE, 1)  # the network is grey
    for task, pixels in wanted.items():
        fed, ways = to_input(pixels[None]), paths(task)
        assert np.array_equal(ways.predict(path), fed), task
        assert np.array_equal(ways.bundle(path), fed), task
        if picture.header.format in (*FORMATS, "MPO"):
            assert np.array_equal(ways.server(stored.data), fed), task
        else:
            with pytest.raises(Refusal, match="must be a PNG, JPEG, WebP or BMP"):
                ways.server(stored.data)


@pytest.mark.parametrize("name", sorted(name for name in STORED if STORED[name].shows.size
                                        and name.split()[0] in ("1", "L", "LA", "I;16", "I")))
def test_a_grey_network_learns_and_answers_from_the_same(name: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(STORED[name].data)
    found = EncodedSource(lambda _: ("x", tmp_path / "x"), 1, "folder").read(np.zeros(1, np.int64), (SIDE, SIDE))
    assert found.shape == (1, SIDE, SIDE, 1)
    assert np.array_equal(found[0], Picture.read(tmp_path / "x").square(SIDE, 1))


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_pixels_of_unknown_range_are_refused_on_every_path(name: str, paths: Callable[[str], Paths],
                                                           tmp_path: Path) -> None:
    path = tmp_path / "x.tiff"
    path.write_bytes(REFUSED[name])
    ways = paths("detect")
    for attempt in (lambda: ways.predict(path), lambda: ways.bundle(path)):
        with pytest.raises(ImageError, match=r"store 8 or 16"):
            attempt()
    with pytest.raises(DataError, match=r"store 8 or 16"):
        EncodedSource(lambda _: ("x", path), 1, "folder").read(np.zeros(1, np.int64), (SIDE, SIDE))

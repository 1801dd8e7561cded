"""A subject for `own_network.py`: lines of text, upright or turned by 180 degrees, for PP-OCR's orientation classifier.

    python own_text.py --out /tmp/own/text --wheel rapidocr_onnxruntime-1.4.4-py3-none-any.whl

Draws words of letters and digits in the fonts that matplotlib brings (DejaVu, STIX), with other colours, noise and blur
a line, cut as OCR cuts lines, 48 x 192 px; the class is the folder. The network is taken out of the wheel (Apache-2.0),
which `pip download --no-deps rapidocr-onnxruntime==1.4.4` fetches. Its own preprocessing is (pixel / 255 - 0.5) / 0.5.
"""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

MEMBER = "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx"
SIZE = (192, 48)
LETTERS = "ABCDEFGHJKLMNPQRSTUVWYabcdefghijkmnpqrstuvwy1234567"  # none that looks the same upside down, alone
FONTS = ("DejaVuSans*.ttf", "DejaVuSerif*.ttf", "STIXGeneral*.ttf")


def fonts() -> list[Path]:
    """Of text, not of mathematical signs."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return sorted(path for pattern in FONTS for path in folder.glob(pattern) if "Display" not in path.name)


def line(rng: np.random.Generator, found: list[Path]) -> Image.Image:
    """Upright."""
    words = " ".join("".join(rng.choice(list(LETTERS), rng.integers(3, 9))) for _ in range(rng.integers(1, 4)))
    paper, ink = rng.integers(130, 256, 3), rng.integers(0, 100, 3)
    font = ImageFont.truetype(str(rng.choice(np.array(found, dtype=object))), 48)
    left, top, right, bottom = font.getbbox(words)
    edge = int(rng.integers(2, 9))
    image = Image.new("RGB", (right - left + 2 * edge, bottom - top + 2 * edge), tuple(int(v) for v in paper))
    ImageDraw.Draw(image).text((edge - left, edge - top), words, font=font, fill=tuple(int(v) for v in ink))
    image = image.rotate(float(rng.normal(0, 1.5)), Image.Resampling.BILINEAR, fillcolor=tuple(int(v) for v in paper))
    width = min(SIZE[0], round(image.width * SIZE[1] / image.height))  # as high as the input
    image = image.resize((width, SIZE[1]), Image.Resampling.BILINEAR)
    image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 1.2))))
    noisy = np.asarray(image, np.float32) + rng.normal(0, rng.uniform(0, 25), (SIZE[1], width, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def padded(image: Image.Image) -> Image.Image:
    """At the left of the input, as PP-OCR has it; the rest is what it takes for nothing."""
    whole = Image.new("RGB", SIZE, (127, 127, 127))
    whole.paste(image, (0, 0))
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--train", type=int, default=1500, help="lines")
    parser.add_argument("--judge", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(args.wheel) as wheel:
        (args.out / "classifier.onnx").write_bytes(wheel.read(MEMBER))
    rng, found = np.random.default_rng(args.seed), fonts()
    for part, count in (("train", args.train), ("val", args.judge)):
        for number in range(count):
            turned = number % 2
            folder = args.out / "lines" / part / ("180" if turned else "0")
            folder.mkdir(parents=True, exist_ok=True)
            image = line(rng, found)
            padded(image.rotate(180) if turned else image).save(folder / f"{number:05d}.png")


if __name__ == "__main__":
    main()

"""What decoding and fitting a JPEG costs, and how far a reduced scale is from decoding in full.

    python benchmarks/imaging.py FOLDER|photo.jpg... --size 320

For every photo or folder of them: the best wall and processor times of one image, the first, decoded in full and at the
scale that `hwnas.imaging` takes; and the differences of the pixels over all that are reduced, for a letterbox and for
squares of --size, a half and a quarter of it. The machine may be shared: the best of many is what it can do.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from hwnas.imaging import Letterbox, Picture
from hwnas.imaging.fitting import square, to_input
from hwnas.imaging.listing import list_images

RUNS, IMAGES = 200, 60


def best_ms(call: Callable[[], object]) -> str:
    """Least wall and processor time of one call."""
    walls, clocks = [], []
    for _ in range(RUNS):
        wall, clock = time.perf_counter(), time.process_time()
        call()
        walls.append(time.perf_counter() - wall)
        clocks.append(time.process_time() - clock)
    return f"{1e3 * min(walls):.2f} ({1e3 * min(clocks):.2f})"


def times(data: bytes, side: int) -> Iterator[tuple[str, str]]:
    """Steps, and how long each takes."""
    def boxed(picture: Picture) -> Letterbox:
        return Letterbox.fit(*picture.size, (side, side))

    def reduced() -> np.ndarray:
        picture = Picture(data)
        return picture.letterboxed(boxed(picture))

    def full() -> np.ndarray:
        picture = Picture(data)
        return boxed(picture).image(picture.image())

    yield "header", best_ms(lambda: Picture(data))
    yield "decoded and fitted", best_ms(reduced)
    yield "the same from the whole image", best_ms(full)
    pixels = reduced()[None]
    yield "floats in the network's order", best_ms(lambda: to_input(pixels))


def difference(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> str:
    """Mean and largest absolute difference of those that are not the same."""
    apart = [np.abs(a.astype(int) - b) for a, b in pairs]
    changed = [one for one in apart if one.any()]
    if not changed:
        return f"none of {len(pairs)} reduced"
    mean, most = np.mean([one.mean() for one in changed]), max(one.max() for one in changed)
    return f"{len(changed)} of {len(pairs)} reduced: mean {mean:.2f}, largest {most}"


def differences(pictures: Sequence[Picture], side: int) -> Iterator[tuple[str, str]]:
    """Ways to fit, and what the reduced scale changes."""
    boxes = [Letterbox.fit(*picture.size, (side, side)) for picture in pictures]
    yield f"letterbox {side}", difference([(p.letterboxed(b), b.image(p.image()))
                                           for p, b in zip(pictures, boxes, strict=True)])
    for part in (side, side // 2, side // 4):
        yield f"square {part}", difference([
            (p.square(part, 3), np.asarray(square(p.image().convert("RGB"), part))) for p in pictures])


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path, nargs="+")
    parser.add_argument("--size", type=int, default=320)
    given = parser.parse_args()
    for source in given.sources:
        files = [source / path for path in list_images(source).images] if source.is_dir() else [source]
        pictures = [Picture.read(path) for path in files[:: -(-len(files) // IMAGES)]]
        height, width = pictures[0].size
        data = files[0].read_bytes()
        print(f"\n{source.name}: {len(pictures)} images, the first {width}x{height}, {len(data) / 1e3:.0f} kB")
        for name, found in times(data, given.size):
            print(f"  {name:<32} {found} ms")
        for name, found in differences(pictures, given.size):
            print(f"  {name:<32} {found}")


if __name__ == "__main__":
    main()

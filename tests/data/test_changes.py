"""Changes that are computed in threads after all numbers are drawn are those of one image after the other."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hwnas.data.detection import DetectionPart, DetectionPolicy, Frame, epoch_detection
from hwnas.data.feed import slices
from hwnas.data.segmentation import SegmentationPart, epoch_segmentation
from hwnas.data.segmentation.augment import SegmentationPolicy
from hwnas.imaging.letterbox import GREY, IGNORE

BILINEAR, NEAREST = Image.Resampling.BILINEAR, Image.Resampling.NEAREST
HEIGHT, WIDTH = 37, 50


def detection_part(rng: np.random.Generator, count: int) -> DetectionPart:
    images = rng.integers(0, 256, (count, HEIGHT, WIDTH, 3), dtype=np.uint8)
    low = [rng.uniform(0, 25, (n, 2)) for n in rng.integers(0, 5, count)]
    boxes = tuple(np.hstack([c, c + rng.uniform(1, 12, c.shape)]).astype(np.float32) for c in low)
    labels = tuple(rng.integers(0, 3, len(b)) for b in boxes)
    crowd = tuple(rng.random(len(b)) < 0.2 for b in boxes)
    return DetectionPart(images, tuple(Frame(str(i), None, HEIGHT, WIDTH) for i in range(count)), boxes, labels, crowd)


def one_by_one(part: DetectionPart, batch: int, rng: np.random.Generator, policy: DetectionPolicy):  # type: ignore[no-untyped-def]
    """Batches, each image changed whole before the next draws a number."""
    for chosen in slices(rng.permutation(len(part)), batch):
        yield [detected(part, int(i), rng, policy) for i in chosen]


def detected(part: DetectionPart, index: int, rng: np.random.Generator, policy: DetectionPolicy):  # type: ignore[no-untyped-def]
    image, boxes, labels, crowd = part.images[index], part.boxes[index], part.labels[index], part.crowd[index]
    if policy.mosaic > 0 and rng.random() < policy.mosaic:
        image, boxes, labels, crowd = mosaic(part, [index, *rng.integers(len(part), size=3).tolist()])
    if policy.jitter:
        image = jittered(image, rng, policy.jitter)
    if policy.scale != (1.0, 1.0):
        (h, w), (y, x) = placed(rng, policy.scale)
        image = moved(image, (h, w), (y, x), BILINEAR, GREY)
        factor = np.array([w / WIDTH, h / HEIGHT] * 2, np.float32)
        whole = (boxes * factor + np.array([x, y] * 2, np.float32)).astype(np.float32)
        cut = np.clip(whole, 0, np.array([WIDTH, HEIGHT] * 2, np.float32))
        before, after = ((b[:, 2] - b[:, 0]).clip(0) * (b[:, 3] - b[:, 1]).clip(0) for b in (whole, cut))
        stays = (after > 0) & (after >= policy.kept * before)
        boxes, labels, crowd = cut[stays], labels[stays], crowd[stays]
    if policy.flip and rng.random() < 0.5:
        image = image[:, ::-1]
        boxes = np.stack([WIDTH - boxes[:, 2], boxes[:, 1], WIDTH - boxes[:, 0], boxes[:, 3]], axis=1)
    return image, boxes, labels, crowd


def mosaic(part: DetectionPart, four: list[int]):  # type: ignore[no-untyped-def]
    out, boxes, half = np.full((HEIGHT, WIDTH, 3), GREY, np.uint8), [], (HEIGHT // 2, WIDTH // 2)
    for place, i in enumerate(four):
        y, x = (place // 2) * half[0], (place % 2) * half[1]
        small = Image.fromarray(part.images[i]).resize(half[::-1], BILINEAR)
        out[y : y + half[0], x : x + half[1]] = np.asarray(small)
        factor = np.array([half[1] / WIDTH, half[0] / HEIGHT] * 2, np.float32)
        boxes.append((part.boxes[i] * factor + np.array([x, y] * 2, np.float32)).astype(np.float32))
    return out, *(np.concatenate(c) for c in (boxes, [part.labels[i] for i in four], [part.crowd[i] for i in four]))


def jittered(image: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    contrast, shift = 1 + rng.uniform(-share, share), 255 * rng.uniform(-share, share) / 2
    tint = rng.uniform(-share, share, 3) / 4
    return np.clip((image - 127.5) * contrast * (1 + tint) + 127.5 + shift, 0, 255).astype(np.uint8)


def placed(rng: np.random.Generator, scale: tuple[float, float]) -> tuple[tuple[int, int], tuple[int, int]]:
    s = float(np.exp(rng.uniform(*np.log(scale))))
    h, w = max(1, round(HEIGHT * s)), max(1, round(WIDTH * s))
    y, x = (int(rng.integers(min(0, room), max(0, room) + 1)) for room in (HEIGHT - h, WIDTH - w))
    return (h, w), (y, x)


def moved(pixels: np.ndarray, size: tuple[int, int], at: tuple[int, int], how: Image.Resampling, blank: int
          ) -> np.ndarray:
    """The scaled image's pixels whose place is inside, one row and column at a time."""
    scaled, out = np.asarray(Image.fromarray(pixels).resize(size[::-1], how)), np.full_like(pixels, blank)
    for row in range(max(0, at[0]), min(HEIGHT, at[0] + size[0])):
        for column in range(max(0, at[1]), min(WIDTH, at[1] + size[1])):
            out[row, column] = scaled[row - at[0], column - at[1]]
    return out


@pytest.mark.parametrize("policy", [
    DetectionPolicy(), DetectionPolicy(mosaic=0.6), DetectionPolicy(flip=False, scale=(0.3, 0.9)),
    DetectionPolicy(jitter=0.0, scale=(1.5, 3.0)), DetectionPolicy(scale=(1.0, 1.0), jitter=0.9, mosaic=1.0),
], ids=["usual", "mosaics", "smaller", "larger", "only mosaics"])
@pytest.mark.parametrize("seed", range(3))
def test_batches_of_a_detector_are_those_of_one_image_after_the_other(policy: DetectionPolicy, seed: int) -> None:
    part = detection_part(np.random.default_rng(100 + seed), 11)
    batches = list(epoch_detection(part, 4, np.random.default_rng(seed), policy))
    wanted = list(one_by_one(part, 4, np.random.default_rng(seed), policy))
    assert [len(images) for images, *_ in batches] == [len(b) for b in wanted] == [4, 4, 3]
    for found, samples in zip(batches, wanted, strict=True):
        for column, values in zip(found, zip(*samples, strict=True), strict=True):
            for mine, theirs in zip(column, values, strict=True):
                assert mine.dtype == theirs.dtype
                np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("policy", [SegmentationPolicy(), SegmentationPolicy(jitter=0.0, flip=False)])
def test_batches_of_a_segmenter_are_those_of_one_image_after_the_other(policy: SegmentationPolicy, seed: int) -> None:
    rng = np.random.default_rng(200 + seed)
    frames = tuple(Frame(str(i), None, HEIGHT, WIDTH) for i in range(7))
    part = SegmentationPart(rng.integers(0, 256, (7, HEIGHT, WIDTH, 3), dtype=np.uint8),
                            rng.integers(0, 5, (7, HEIGHT, WIDTH), dtype=np.uint8), frames)
    found = list(epoch_segmentation(part, 3, np.random.default_rng(seed), policy))
    rng = np.random.default_rng(seed)
    for (images, masks), chosen in zip(found, slices(rng.permutation(7), 3), strict=True):
        for image, mask, i in zip(images, masks, chosen, strict=True):
            pixels = jittered(part.images[i], rng, policy.jitter) if policy.jitter else part.images[i]
            place = placed(rng, policy.scale)
            wanted = [moved(pixels, *place, BILINEAR, GREY), moved(part.masks[i], *place, NEAREST, IGNORE)]
            if policy.flip and rng.random() < 0.5:
                wanted = [w[:, ::-1] for w in wanted]
            np.testing.assert_array_equal(image, wanted[0])
            np.testing.assert_array_equal(mask, wanted[1])


def test_any_number_of_threads_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    part = detection_part(np.random.default_rng(0), 9)
    many = list(epoch_detection(part, 4, np.random.default_rng(1)))
    monkeypatch.setattr("hwnas.data.threads.MOST", 1)
    for one, other in zip(epoch_detection(part, 4, np.random.default_rng(1)), many, strict=True):
        np.testing.assert_array_equal(one[0], other[0])

"""Whether images are kept decoded or decoded batch by batch changes nothing that is learnt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hwnas.data import Dataset, load
from hwnas.data.segmentation import load_segmentation
from hwnas.errors import DataError
from hwnas.nets import Network
from hwnas.space import SpaceConfig, build
from hwnas.train import TrainConfig, as_task, fit

CONFIG = TrainConfig(epochs=2, batch=8, lr=0.05)
SIDE = 16


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for i in range(40):
        file = tmp_path / "photos" / "ab"[i % 2] / f"{i:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 90, (SIDE, SIDE, 3), np.uint8) + np.uint8(120 * (i % 2))
        Image.fromarray(pixels).save(file)
    return tmp_path / "photos"


def trained(data: Dataset) -> tuple[list[float], list[torch.Tensor]]:
    torch.manual_seed(0)
    space = build(SpaceConfig("mobile", SIDE, data.channels, len(data.classes), 0.25, 1))
    net = Network(space.smallest(), data.mean.tolist(), data.std.tolist())
    task = as_task(data).fold(0.25, seed=1)
    epochs = fit(net, task, CONFIG, seed=3).epochs
    return [value for log in epochs for value in (log.val_score, log.loss)], list(net.state_dict().values())


def test_a_training_is_the_same_bit_for_bit(photos: Path) -> None:
    kept, lazy = load(photos, imgsz=SIDE), load(photos, imgsz=SIDE, memory=0)
    assert kept.train.pixels.kept
    assert not lazy.train.pixels.kept
    scores, weights = trained(kept)
    others, same = trained(lazy)
    assert scores == others
    assert all(torch.equal(a, b) for a, b in zip(weights, same, strict=True))


def test_a_fold_decodes_and_copies_nothing(photos: Path) -> None:
    for file in photos.rglob("*.png"):
        file.write_bytes(file.read_bytes()[:100])  # headers stay
    fold = as_task(load(photos, imgsz=SIDE, memory=0)).fold(0.25, seed=1)
    assert (len(fold.train_images), len(fold.val_images)) == (24, 8)
    assert fold.train_images.shape == (24, SIDE, SIDE, 3)
    with pytest.raises(DataError, match=r"images cannot be read: [ab]/\d\d\.png"):
        next(fold.epoch(4, np.random.default_rng(0)))


def test_what_a_dry_run_times_has_the_number_and_size_of_the_images(photos: Path) -> None:
    data = load(photos, imgsz=SIDE, memory=0)
    noise = data.stand_in()
    assert (len(noise.train), len(noise.val), noise.imgsz) == (len(data.train), len(data.val), SIDE)
    assert noise.describe() == data.describe()
    for file in photos.rglob("*.png"):
        file.unlink()
    scores, _ = trained(noise)
    assert np.isfinite(scores).all()


def test_a_segmenter_is_judged_alike(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for i in range(8):
        for kind in ("images", "masks"):
            (tmp_path / kind).mkdir(exist_ok=True)
        mask = rng.integers(0, 2, (24, 32), np.uint8)
        Image.fromarray(np.repeat(100 * mask[..., None], 3, 2)).save(tmp_path / "images" / f"{i}.png")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{i}.png")
    found = []
    for memory in (None, 0):
        task = as_task(load_segmentation(tmp_path, size=(24, 32), memory=memory))
        answers = [[np.stack([image[..., 0] < 60, image[..., 1] >= 60])[None].astype(np.float32)]
                   for image in task.val_images]
        fold = task.fold(0.5, seed=0)
        found.append((task.metric.score(answers), task.metric.first(1).arrays()["masks"].tobytes(),
                      len(fold.val_images), task.metric.breakdown(answers, task.data.classes).to_json()))
    assert found[0] == found[1]
    assert found[0][0] == 100

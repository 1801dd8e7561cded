"""Small real runs, one a task, shared by the tests of this room."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hwnas.pipeline import RunFolder, compress
from hwnas.pipeline.own_network import units
from tests.made_once import made_once
from tests.pipeline.lives import Lives
from tests.trained_network import small_network, written

SMALL: dict[str, Any] = {
    "data": "digits", "limit": 260, "epochs": 1, "warmup": 1, "epochs_per_evaluation": 0.25, "cycles": 1, "settle": 6,
    "top": 3, "finalists": 2, "trial_epochs": 1, "depth": 1, "torch_threads": 1,
}


LONG_RUNS = {"detector", "segmenter", "eight", "elsewhere", "auto", "orphan", "small_boxes", "several"}
THEIR_RUN_IS_LONG = ("test_variants.py", "test_own_task.py", "test_tasks.py", "test_tracked.py",
                     "test_multilabel.py")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test of a whole run is slow; one of `finished`, the run that most of this folder reads, is not."""
    here = Path(__file__).parent
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        long = names & LONG_RUNS or ("run" in names and item.path.name in THEIR_RUN_IS_LONG)
        if item.path.parent == here and long:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Options of a compress that takes seconds; all runs share one folder of tables."""
    return {**SMALL, "tables": str(made_once(tmp_path_factory, "tables", Path.mkdir))}


@pytest.fixture(scope="session")
def finished(small: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunFolder]:
    """A finished run within 60 % of the reference's FLOPs."""
    threads = torch.get_num_threads()
    yield RunFolder.open(made_once(tmp_path_factory, "finished",
                                   lambda out: compress(out, budgets={"flops": "60%"}, **small)))
    torch.set_num_threads(threads)


HEIGHT, WIDTH = 64, 96
TINY: dict[str, Any] = {
    "epochs": 2, "warmup": 1, "epochs_per_evaluation": 0.5, "cycles": 1, "settle": 4, "top": 2, "finalists": 2,
    "trial_epochs": 1, "depth": 1, "width_mult": 0.5, "head_width": 16, "torch_threads": 1, "batch_size": 8,
    "imgsz": HEIGHT, "width": WIDTH, "widths": (1.0,),
}


def painted(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, list[list[int]], list[int]]:
    """An image with one red or blue rectangle, its mask, its box as x, y, w, h and its class."""
    image = rng.integers(90, 130, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    kind = int(rng.integers(2))
    w, h = int(rng.integers(20, 50)), int(rng.integers(20, 40))
    x, y = int(rng.integers(WIDTH - w)), int(rng.integers(HEIGHT - h))
    image[y : y + h, x : x + w] = (220, 30, 30) if kind == 0 else (30, 30, 220)
    mask[y : y + h, x : x + w] = kind + 1
    return image, mask, [[x, y, w, h]], [kind]


def paint_boxes(folder: Path) -> None:
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    for part, count in (("train", 40), ("val", 12)):
        images: list[dict[str, Any]] = []
        found: list[dict[str, Any]] = []
        for i in range(count):
            image, _, rectangles, kinds = painted(rng)
            name = f"{part}{i}.png"
            Image.fromarray(image).save(folder / "images" / name)
            images.append({"id": i, "file_name": name, "height": HEIGHT, "width": WIDTH})
            found += [{"id": len(found) + 1, "image_id": i, "category_id": k + 1, "bbox": b, "area": b[2] * b[3],
                       "iscrowd": 0} for b, k in zip(rectangles, kinds, strict=True)]
        told = {"images": images, "annotations": found,
                "categories": [{"id": 1, "name": "red"}, {"id": 2, "name": "blue"}]}
        (folder / f"{part}.json").write_text(json.dumps(told))


def paint_masks(folder: Path) -> None:
    rng = np.random.default_rng(1)
    for part, count in (("train", 40), ("val", 12)):
        for kind in (part, f"{part}annot"):
            (folder / kind).mkdir(parents=True)
        for i in range(count):
            image, mask, *_ = painted(rng)
            Image.fromarray(image).save(folder / part / f"{i}.png")
            Image.fromarray(mask).save(folder / f"{part}annot" / f"{i}.png")


@pytest.fixture(scope="session")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "boxes", paint_boxes)


@pytest.fixture(scope="session")
def masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "masks", paint_masks)


@pytest.fixture(scope="session")
def detector(boxes: Path, small: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """On a device that is not at hand: its latencies are estimated, so that nothing has to be timed."""
    return RunFolder.open(made_once(tmp_path_factory, "detector", lambda out: compress(
        out, task="detect", data=str(boxes), tables=small["tables"], target="raspberry-pi-4",
        budgets={"flops": "60%"}, **TINY)))


@pytest.fixture(scope="session")
def segmenter(masks: Path, small: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return RunFolder.open(made_once(tmp_path_factory, "segmenter", lambda out: compress(
        out, task="segment", data=str(masks), tables=small["tables"], target="raspberry-pi-4",
        budgets={"latency": "80%"}, **TINY)))


@pytest.fixture(scope="session")
def lives() -> Iterator[Lives]:
    """Processes that may be killed."""
    with Lives() as made:
        yield made


@pytest.fixture(scope="session")
def tiny() -> dict[str, Any]:
    """Options of a compress of boxes or masks that takes seconds."""
    return dict(TINY)


@pytest.fixture
def timed_briefly(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Units of a user's own network, kept in tables of the session."""
    monkeypatch.setenv("HWNAS_TABLES", str(tmp_path_factory.getbasetemp() / "tables"))
    monkeypatch.setattr(units, "SECONDS", 0.5)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's own, as a file."""
    return written(small_network(), tmp_path_factory.mktemp("network") / "net.onnx")

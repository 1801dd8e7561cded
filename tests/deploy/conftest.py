"""Tiny untrained networks of the three tasks, as they leave; bundles of them; what runs a bundle without hwnas."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hwnas.deploy.bundle_writer import write_bundle
from hwnas.deploy.manifest import LatencyPromise
from hwnas.export.samples import Samples
from hwnas.imaging.fitting import to_input
from hwnas.pipeline.run.results import described
from hwnas.space import SpaceConfig, build
from hwnas.target import Target, load
from hwnas.tasks import Metric, find, task_of
from hwnas.tasks.classify import AccuracyMetric
from hwnas.tasks.detect import DetectionMetric
from hwnas.tasks.segment import MeanIouMetric

HEIGHT, WIDTH = 64, 96
CONFIGS = {
    "classify": SpaceConfig("mobile", 16, 1, 7, 0.5, 1),
    "detect": SpaceConfig("mobile", HEIGHT, 3, 2, 0.5, 1, WIDTH, "fcos", 16),
    "segment": SpaceConfig("mobile", HEIGHT, 3, 3, 0.5, 1, WIDTH, "lraspp", 16),
}
CLASSES = {"classify": [*"abcdef", "zwö"], "detect": ["red", "blue"], "segment": ["ground", "red", "blue"]}
IMAGES = 40
EASY = LatencyPromise({"median_ms": 1e3, "p10_ms": 1e3, "p90_ms": 1e3, "runs": 1})
"""A latency that a busy machine keeps, too."""


@dataclass(frozen=True)
class Made:
    """A network as `hwnas.pipeline.stages.export` leaves it."""

    model: bytes
    metadata: dict[str, Any]
    samples: Samples
    target: Target

    def bundle(self, out: Path, **changes: Any) -> Path:
        given = {"model": self.model, "samples": self.samples, "target": self.target, "promise": EASY, **changes}
        return write_bundle(out, **given).path


def exported(task: str) -> Made:
    import torch

    from hwnas.export import onnx_bytes
    from hwnas.nets import Network

    torch.manual_seed(0)
    config = CONFIGS[task]
    space = build(config)
    assert task_of(space).name == task
    arch = space.largest()
    net = Network(arch, [0.5] * config.in_channels, [0.25] * config.in_channels)
    shape = (*config.size, config.in_channels)
    for _ in range(2):
        net.train()(torch.rand(8, *space.input_shape))
    net.eval()
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, *shape), dtype=np.uint8)
    with torch.no_grad():
        found = net(torch.from_numpy(to_input(images)))
    outputs = tuple(o.numpy() for o in (found if isinstance(found, list) else [found]))
    metric = metric_of(task, space)
    target = load("local")
    metadata = {
        "hwnas": "0", "role": "compressed", "classes": CLASSES[task], "task": task, "metric": metric.name,
        **metric.facts(),
        "precision": "fp32",
        "architecture": arch.to_json(), "target": described(target), "table_hash": "0123", "data": "none", "seed": 0,
        "predicted_latency_ms": 0.5, "predicted_low_ms": 0.4, "predicted_high_ms": 0.6, "latency_source": "measured",
        "measured_ms": 0.5,
    }
    return Made(onnx_bytes(net, metadata), metadata, Samples(images, metric, outputs, config.classes), target)


def metric_of(task: str, space: Any) -> Metric:
    if task == "classify":
        return AccuracyMetric(np.arange(IMAGES) % 7)
    if task == "segment":
        return MeanIouMetric(np.zeros((IMAGES, HEIGHT, WIDTH), np.uint8), 3)
    none = (np.zeros((0, 4), np.float32),) * IMAGES, (np.zeros(0, np.int64),) * IMAGES, (np.zeros(0, bool),) * IMAGES
    return DetectionMetric(find(task).head_layout(space), *none, np.full((IMAGES, 2), 64))


@pytest.fixture(scope="session")
def made() -> Callable[[str], Made]:
    """The network of a task; made once."""
    kept: dict[str, Made] = {}

    def of(task: str) -> Made:
        if task not in kept:
            kept[task] = exported(task)
        return kept[task]

    return of


@pytest.fixture(scope="session")
def bundles(made: Callable[[str], Made], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The bundle of a task; read only, copy it before changing it."""
    kept: dict[str, Path] = {}

    def of(task: str) -> Path:
        if task not in kept:
            kept[task] = made(task).bundle(tmp_path_factory.mktemp("bundles") / task)
        return kept[task]

    return of


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """An image that has not the shape of any input."""
    pixels = np.random.default_rng(1).integers(0, 256, (50, 130, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def on_device(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a bundle's own runner in a process where hwnas, torch and onnx cannot be imported."""

    def run(bundle: Path, *words: object, without: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        hidden = tmp_path / "hidden"
        shutil.rmtree(hidden, ignore_errors=True)
        hidden.mkdir()
        for name in ("hwnas", "torch", "onnx", *without):
            (hidden / f"{name}.py").write_text(f"raise ImportError('{name} is not on the device')\n")
        environment = {**os.environ, "PYTHONPATH": str(hidden), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run([sys.executable, str(bundle / "bundle.py"), *map(str, words)], cwd=tmp_path, text=True,
                              capture_output=True, timeout=240, check=False, env=environment)

    return run

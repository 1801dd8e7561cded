"""Training on more images than may be kept decoded: the memory of a process of its own stays where it was."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COUNT, SIDE = 5000, 160
EVERY = COUNT * SIDE * SIDE * 3 >> 20  # MiB decoded
CODE = """
import itertools, json, sys
from pathlib import Path
import numpy as np
import torch
from hwnas.data import ClassFeed, Reading, load, policy_for, read_by
from hwnas.nets import Network
from hwnas.space import SpaceConfig, build
from hwnas.train import TrainConfig, Workload, as_task
from hwnas.train.loop import optimizer_of, train_step

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) >> 10

folder, cache, workers, side = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(1)
with read_by(Reading(Path(cache) if cache else None, workers)):
    data = load(folder, imgsz=side, memory=0)
    space = build(SpaceConfig("proxyless", side, 3, 2, 0.1))
    task, config = as_task(data), TrainConfig(batch=16)
    net = Network(space.smallest(), data.mean.tolist(), data.std.tolist())
    optimizer, sums = optimizer_of(net, config), []

    def train(steps):
        for images, targets in itertools.islice(task.epoch(config.batch, np.random.default_rng(0)), steps):
            net.train()
            sums.append(int(images.sum(dtype=np.int64)))
            train_step(net, optimizer, images, targets, task, config)

    train(2)
    before = peak()  # with torch, its buffers and the listing
    data.check()
    for images, _ in ClassFeed(data.train, policy_for(data)).epoch(64, np.random.default_rng(1)):
        sums.append(int(images.sum(dtype=np.int64)))
    train(10)
    print(json.dumps({"grown": peak() - before, "sums": sums, "print": data.fingerprint}))
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for i in range(COUNT):
        file = folder / "ab"[i % 2] / f"{i:04}.jpg"
        file.parent.mkdir(exist_ok=True)
        small = Image.fromarray(rng.integers(0, 256, (5, 5, 3), np.uint8))
        small.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file, quality=70)
    return folder


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
def test_memory_stays_where_it_was(photos: Path, tmp_path: Path) -> None:
    found = []
    for cache, workers in (("", 0), ("", 2), (str(tmp_path / "cache"), 2)):
        words = [sys.executable, "-c", CODE, str(photos), cache, str(workers), str(SIDE)]
        told = subprocess.run(words, check=True, text=True, stdout=subprocess.PIPE)
        found.append(json.loads(told.stdout))
    assert len(found[0]["sums"]) == 2 + COUNT * 4 // 5 // 64 + 1 + 10
    assert all(other["sums"] == found[0]["sums"] and other["print"] == found[0]["print"] for other in found)
    assert max(each["grown"] for each in found) < EVERY / 4, f"of {EVERY} MiB decoded: {found}"

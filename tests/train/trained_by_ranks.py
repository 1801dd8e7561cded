"""Trains small networks for some steps, alone or as one of the processes that torchrun started; keeps their weights.

    python -m torch.distributed.run --nproc-per-node 2 trained_by_ranks.py OUT
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from hwnas.data import load
from hwnas.data.detection import DetectionData, DetectionPart, Frame
from hwnas.data.segmentation import SegmentationData, SegmentationPart
from hwnas.nets import Network, Supernet
from hwnas.space import SpaceConfig, build
from hwnas.tasks import find
from hwnas.train import TrainConfig, Workload
from hwnas.train.accelerator import Accelerator
from hwnas.train.checkpoint import save_tensors
from hwnas.train.distill import Teacher
from hwnas.train.loop import optimizer_of, train_step

STEPS, BATCH, SIDE = 8, 16, 32


def images(count: int, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def frames(count: int) -> tuple[Frame, ...]:
    return tuple(Frame(str(i), None, SIDE, SIDE) for i in range(count))


def classification(rng: np.random.Generator) -> tuple[object, SpaceConfig]:
    data = load("digits", limit=120)
    return data, SpaceConfig("mobile", data.imgsz, data.channels, 10, 0.5, 1)


def detection(rng: np.random.Generator) -> tuple[object, SpaceConfig]:
    def part(count: int) -> DetectionPart:
        corners = rng.uniform(0, SIDE / 2, (count, 2, 2)).astype(np.float32)
        boxes = [np.concatenate([c, c + rng.uniform(6, SIDE / 2, (2, 2))], 1).astype(np.float32) for c in corners]
        labels = [rng.integers(0, 3, 2) for _ in range(count)]
        return DetectionPart(images(count, rng), frames(count), tuple(boxes), tuple(labels),
                             (np.zeros(2, np.bool_),) * count)

    return DetectionData("made", part(48), part(9), ("a", "b", "c"), (0, 1, 2), (SIDE, SIDE), "made"), SpaceConfig(
        "mobile", SIDE, 3, 3, 0.5, 1, head="fcos")


def segmentation(rng: np.random.Generator) -> tuple[object, SpaceConfig]:
    def part(count: int) -> SegmentationPart:
        masks = rng.integers(0, 3, (count, SIDE, SIDE), np.uint8)
        masks[rng.random(masks.shape) < 0.3] = 255
        return SegmentationPart(images(count, rng), masks, frames(count))

    colours = np.eye(3, dtype=np.uint8)
    data = SegmentationData("made", part(48), part(9), ("a", "b", "c"), colours, (SIDE, SIDE), "made")
    return data, SpaceConfig("mobile", SIDE, 3, 3, 0.5, 1, head="lraspp")


TASKS = {"classify": classification, "detect": detection, "segment": segmentation}
CASES = ("classify", "classify-shared", "detect", "segment")


def main(case: str, accelerator: Accelerator, out: Path) -> None:
    torch.manual_seed(0)
    task, _, shared = case.partition("-")
    data, config = TASKS[task](np.random.default_rng(0))
    space = build(config)
    workload = Workload.over(find(task), data, space, accelerator)
    mean, std = data.mean.tolist(), data.std.tolist()
    net = Supernet(space, mean, std) if shared else Network(space.smallest(), mean, std)
    teacher = None if shared else Teacher(Network(space.largest(), mean, std))
    workload.prepare(net)
    net = accelerator.alike(net).train()
    config = TrainConfig(epochs=9, batch=BATCH, lr=1e-3, optimizer="sgd")
    optimizer, paths, losses = optimizer_of(net, config), np.random.default_rng(1), []
    for epoch in range(9):
        for batch in workload.epoch(BATCH, np.random.default_rng((7, epoch))):
            if len(losses) == STEPS:
                break
            run = net.subnet(space.sample(paths)) if isinstance(net, Supernet) else net
            losses.append(train_step(run, optimizer, *batch, workload, config, teacher))
    score = workload.score(net.subnet(space.largest()) if isinstance(net, Supernet) else net)
    if accelerator.leads:
        save_tensors(out, dict(net.state_dict()), {"losses": losses, "score": score, "world": accelerator.world})


if __name__ == "__main__":
    torch.set_num_threads(1)
    found = Accelerator.find("cpu")
    for each in CASES:
        main(each, found, Path(sys.argv[1]) / each)

"""Paths that every run walks often, before and after they were mended: times in the same minutes, results equal.

    python benchmarks/hot_paths.py                                          from a checkout with its history
    python benchmarks/hot_paths.py --rounds 20 --write benchmarks/hot_paths.md

Two processes, one with the sources of an older commit (`--before`), one with those of this checkout, are asked in turn
for one path after the other, so that a slow moment of the machine falls on both. Each answers with the wall time of
the path and a hash of what came out, which must be the same. Torch has one thread.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
BEFORE = "410ed94"
SEED = 0
Walk = Callable[[], Iterable[Any]]  # gives arrays and numbers


def augmentation() -> Walk:
    """One batch of 16 images of 640 px for a detector: mirror, scale, shift, colours."""
    detection = importlib.import_module("hwnas.data.detection")
    rng = np.random.default_rng(SEED)
    frames = tuple(detection.Frame(str(i), None, 640, 640) for i in range(16))
    part = detection.DetectionPart(
        rng.integers(0, 256, (16, 640, 640, 3), dtype=np.uint8), frames, tuple(boxes_in(rng, 8, 640) for _ in frames),
        tuple(rng.integers(0, 3, 8) for _ in frames), tuple(np.zeros(8, bool) for _ in frames))

    def run() -> Iterable[Any]:
        for images, boxes, labels, crowd in detection.epoch_detection(part, 16, np.random.default_rng(SEED)):
            yield from (images, *boxes, *labels, *crowd)

    return run


def matching() -> Walk:
    """Loss and gradient of an SSD head, 32 images of 320 px with 20 boxes each."""
    torch = importlib.import_module("torch")
    head = layout().over("ssdlite", (320, 320), (16, 32, 64), classes=3)
    rng, loss = np.random.default_rng(SEED), importlib.import_module("hwnas.train.detect.loss").DetectionLoss(head)
    maps = [torch.from_numpy(rng.normal(size=(32, head.channels, *sides)).astype(np.float32)).requires_grad_()
            for sides in head.maps]
    truth = ([torch.from_numpy(boxes_in(rng, 20, 320)) for _ in range(32)],
             [torch.from_numpy(rng.integers(0, 3, 20)) for _ in range(32)], [torch.zeros(20)] * 32)

    def run() -> Iterable[Any]:
        value = loss(maps, *truth)
        return [value.detach().numpy(), *(g.numpy() for g in torch.autograd.grad(value, maps))]

    return run


def average_precision() -> Walk:
    """mAP of one more network on 100 images with 20 boxes of 3 classes; the truth is known."""
    tasks, module = importlib.import_module("hwnas.tasks"), importlib.import_module("hwnas.tasks.coco_map")
    rng = np.random.default_rng(SEED)
    boxes = [boxes_in(rng, 20, 320) for _ in range(100)]
    labels, crowd = [rng.integers(0, 3, 20) for _ in boxes], [np.zeros(20, bool) for _ in boxes]
    found = [tasks.Detections(np.concatenate([own + rng.normal(0, 4, own.shape), boxes_in(rng, 80, 320)]).astype("f4"),
                              np.sort(rng.random(100).astype(np.float32))[::-1], rng.integers(0, 3, 100))
             for own in boxes]
    truth = module.CocoTruth(boxes, labels, crowd, 3) if hasattr(module, "CocoTruth") else None

    def run() -> Iterable[Any]:
        result = truth.score(found) if truth else tasks.coco_map(found, boxes, labels, crowd, 3)
        return [result.per_class, result.per_class50, result.precision]

    return run


def suppression() -> Walk:
    """Detections of an image from 2,100 boxes and 80 classes before anything was learnt."""
    tasks, rng = importlib.import_module("hwnas.tasks"), np.random.default_rng(SEED)
    boxes = boxes_in(rng, 2100, 320)[None]
    scores = (0.5 + 0.01 * rng.normal(size=(1, 2100, 80))).astype(np.float32)

    def run() -> Iterable[Any]:
        (found,) = tasks.detections(boxes, scores)
        return [found.boxes, found.scores, found.labels]

    return run


def within() -> Walk:
    """Whether 50 architectures of the space `mobile` are within budgets of latency and FLOPs."""
    space_room, target = importlib.import_module("hwnas.space"), importlib.import_module("hwnas.target")
    pipeline, search = importlib.import_module("hwnas.pipeline"), importlib.import_module("hwnas.search")
    space = space_room.build(space_room.SpaceConfig("mobile", 32, classes=10))
    latency = importlib.import_module("hwnas.latency.estimate").estimate(space, target.load("jetson"))
    law = search.create("random", space.sizes, seed=SEED, evaluations=1).distribution()
    picker = pipeline.Picker(space, law, latency, 50.0, confidence=0.9)
    rng = np.random.default_rng(SEED)
    choices = [tuple(int(rng.integers(n)) for n in space.sizes) for _ in range(50)]
    bounds = {"latency": 4.3e6, "flops": 13e6}  # some of them are within
    return lambda: [np.array([picker.within(choice, bounds) for choice in choices])]


PATHS = {path.__name__: path for path in (augmentation, matching, average_precision, suppression, within)}


def main() -> None:
    """Print a row a path, or answer as one of the two processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", default=BEFORE, help="commit to compare with")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--paths", nargs="*", choices=list(PATHS), default=list(PATHS))
    parser.add_argument("--write", type=Path)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        answer()
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "-C", str(ROOT), "archive", args.before, "hwnas", "targets", "latency_tables"],
                                 check=True, capture_output=True).stdout
        with tarfile.open(fileobj=BytesIO(archive)) as sources:
            sources.extractall(folder, filter="data")
        rows = compared(Path(folder), args.paths, args.rounds)
    text = page(rows, args.before, args.rounds)
    print(text)
    if args.write:
        args.write.write_text(text, encoding="utf-8")


def compared(older: Path, paths: list[str], rounds: int) -> dict[str, tuple[list[float], list[float]]]:
    """Times before and after, ms, path by path.

    Raises:
        SystemExit: a path gave another result than before.
    """
    both = [worker(older), worker(ROOT)]
    rows: dict[str, tuple[list[float], list[float]]] = {}
    try:
        for name in paths:
            times: tuple[list[float], list[float]] = ([], [])
            for _ in range(rounds + 1):  # the first warms up
                told = [ask(process, name) for process in both]
                if told[0]["hash"] != told[1]["hash"]:
                    sys.exit(f"{name}: the result is not what it was")
                for kept, one in zip(times, told, strict=True):
                    kept.append(one["ms"])
            rows[name] = (times[0][1:], times[1][1:])
    finally:
        for process in both:
            process.terminate()
    return rows


def worker(sources: Path) -> subprocess.Popen[str]:
    """A process that runs paths with these sources."""
    env = {**os.environ, "PYTHONPATH": str(sources), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen([sys.executable, __file__, "--worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            text=True, env=env, cwd=sources)


def ask(process: subprocess.Popen[str], name: str) -> dict[str, Any]:
    """Time and hash of one walk of a path."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(name + "\n")
    process.stdin.flush()
    found: dict[str, Any] = json.loads(process.stdout.readline())
    return found


def answer() -> None:
    """Walk the paths that standard input names."""
    ready: dict[str, Walk] = {}
    for line in sys.stdin:
        name = line.strip()
        run = ready.setdefault(name, PATHS[name]()) if name not in ready else ready[name]
        begin = time.perf_counter()
        found = list(run())
        ms = (time.perf_counter() - begin) * 1e3
        digest = hashlib.sha256()
        for value in found:
            array = np.ascontiguousarray(value)
            digest.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
        print(json.dumps({"ms": ms, "hash": digest.hexdigest()}), flush=True)


def page(rows: dict[str, tuple[list[float], list[float]]], before: str, rounds: int) -> str:
    """The table with what was measured and how."""
    lines = [
        "# Hot paths", "", f"    python benchmarks/hot_paths.py --rounds {rounds} --write benchmarks/hot_paths.md", "",
        f"Before is commit {before}. Medians of {rounds} rounds in two processes asked in turn; the ratio is the",
        "median of the ratios of the rounds, in brackets its quartiles. Results are equal to the last bit. "
        f"{os.cpu_count()} cores;", "torch has one thread.", "",
        "| path | what | before, ms | after, ms | before / after |", "| --- | --- | --- | --- | --- |",
    ]
    for name, (old, new) in rows.items():
        ratios = np.array(old) / np.array(new)
        low, middle, high = np.percentile(ratios, [25, 50, 75])
        what, ratio = str(PATHS[name].__doc__).rstrip("."), f"{middle:.1f} ({low:.1f} to {high:.1f})"
        lines.append(f"| {name} | {what} | {median(old):.2f} | {median(new):.2f} | {ratio} |")
    return "\n".join(lines) + "\n"


def boxes_in(rng: np.random.Generator, count: int, side: int) -> np.ndarray:
    """Random boxes (count, 4) of an image of `side` px."""
    corner = rng.uniform(0, side - 20, (count, 2))
    return np.concatenate([corner, np.minimum(corner + rng.uniform(8, side / 3, (count, 2)), side)], 1).astype("f4")


def layout() -> Any:
    """What a detector's maps mean, under the name that it has in these sources."""
    tasks = importlib.import_module("hwnas.tasks")
    return tasks.DetectionHeadLayout if hasattr(tasks, "DetectionHeadLayout") else tasks.DetectionHead


if __name__ == "__main__":
    main()

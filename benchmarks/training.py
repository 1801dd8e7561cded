"""How fast training is: beside a bare loop of torch, by two processes beside one, and by how threads wait.

    python benchmarks/training.py                     # everything, about 10 minutes on 2 quiet cores
    python benchmarks/training.py --only bare         # or: processes, beside, waiting

bare        images a second of `fit`'s step, batches made and augmented by hwnas, over those of a loop of a dozen lines
            on the same network with batches that were made before; blocks of steps in turns, in one process
processes   one process with all threads beside as many processes with one each, the same batch in all
beside      the reference and the shared weights one after the other with all threads, and at the same time in two
            processes with half of the threads each: seconds of a step of both
waiting     a step of the default job by how threads of OpenMP wait for one another, idle and beside a process per core
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
SIZES = ((16, 64), (32, 128), (96, 64))  # pixels, images a batch


def workload(imgsz: int, batch: int) -> tuple[Any, Any, Any]:
    """A workload over made photographs, its space and the accelerator of this process."""
    import numpy as np

    from hwnas.data import load
    from hwnas.space import SpaceConfig, build
    from hwnas.tasks import find
    from hwnas.train import Accelerator, Workload

    if imgsz == 16:
        data = load("digits")
    else:
        rng, count = np.random.default_rng(0), 8 * batch
        images = rng.integers(0, 256, (count, imgsz, imgsz, 3), np.uint8)
        labels = rng.integers(0, 10, count)
        data = made(images, labels)
    space = build(SpaceConfig("mobile", imgsz, data.channels, 10))
    accelerator = Accelerator.find("cpu")
    return Workload.over(find("classify"), data, space, accelerator), space, accelerator


def made(images: Any, labels: Any) -> Any:
    """A data set of arrays, by way of the file that hwnas reads."""
    import tempfile
    from pathlib import Path

    import numpy as np

    from hwnas.data import load

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "made.npz"
        np.savez(file, images=images, labels=labels)
        return load(str(file))


def ours(net: Any, task: Any, batch: int, paths: Any = None) -> Callable[[], None]:
    """One step as `fit` and a search take it, from making the batch to moving the weights."""
    import numpy as np

    from hwnas.train import TrainConfig
    from hwnas.train.loop import optimizer_of, train_step

    config = TrainConfig(batch=batch, lr=0.01)
    optimizer, rng = optimizer_of(net, config), np.random.default_rng(0)

    def batches() -> Any:
        while True:
            yield from task.epoch(batch, rng)

    source = batches()

    def step() -> None:
        run = net if paths is None else net.subnet(paths())
        train_step(run, optimizer, *next(source), task, config)

    return step


def bare(net: Any, task: Any, batch: int, paths: Any = None) -> Callable[[], None]:
    """The same network, optimiser and loss in a loop of torch, on tensors that are there."""
    import itertools

    import numpy as np
    import torch
    from torch.nn import functional

    decayed, plain = [p for p in net.parameters() if p.ndim > 1], [p for p in net.parameters() if p.ndim <= 1]
    optimizer = torch.optim.SGD([{"params": decayed, "weight_decay": 5e-4}, {"params": plain, "weight_decay": 0.0}],
                                lr=0.01, momentum=0.9, nesterov=True)
    there = [(torch.from_numpy(np.ascontiguousarray(x)).permute(0, 3, 1, 2).float().div_(255), torch.as_tensor(y))
             for x, y in itertools.islice(task.epoch(batch, np.random.default_rng(0)), 4)]
    source = itertools.cycle(there)

    def step() -> None:
        images, labels = next(source)
        run = net if paths is None else net.subnet(paths())
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(run(images), labels, label_smoothing=0.1).backward()
        torch.nn.utils.clip_grad_norm_([p for p in net.parameters() if p.grad is not None], 5.0)
        optimizer.step()

    return step


def networks(task: Any, space: Any, shared: bool) -> tuple[Any, Any]:
    """A network in training, and where its paths come from where it has some."""
    import numpy as np
    import torch

    from hwnas.nets import Network, Supernet

    torch.manual_seed(0)
    mean, std = task.data.mean.tolist(), task.data.std.tolist()
    if not shared:
        return Network(space.reference, mean, std).to(memory_format=torch.channels_last).train(), None
    rng = np.random.default_rng(1)
    net = Supernet(space, mean, std).to(memory_format=torch.channels_last).train()
    kept = [space.sample(rng) for _ in range(64)]
    return net, lambda: kept[int(rng.integers(64))]


def timed(step: Callable[[], None], steps: int) -> float:
    began = time.perf_counter()
    for _ in range(steps):
        step()
    return time.perf_counter() - began


def part_bare() -> None:
    import torch

    torch.set_num_threads(CORES)
    print("| what | px | batch | bare, images/s | hwnas, images/s | ratio (7 turns) |\n|---|---|---|---|---|---|")
    for imgsz, batch in SIZES:
        task, space, _ = workload(imgsz, batch)
        for shared in (False, True):
            steps = {"bare": bare, "hwnas": ours}
            found = {name: make(*_given(task, space, shared, batch)) for name, make in steps.items()}
            seconds: dict[str, list[float]] = {name: [] for name in found}
            for step in found.values():
                timed(step, 3)
            each = 12 if imgsz == 16 else 4
            for _ in range(7):
                for name, step in found.items():
                    seconds[name].append(timed(step, each))
            ratios = [b / h for b, h in zip(seconds["bare"], seconds["hwnas"], strict=True)]
            speed = {name: each * batch / statistics.median(s) for name, s in seconds.items()}
            print(f"| {'shared weights' if shared else 'reference'} | {imgsz} | {batch} | {speed['bare']:.0f} "
                  f"| {speed['hwnas']:.0f} | {statistics.median(ratios):.3f} ({min(ratios):.2f}-{max(ratios):.2f}) |",
                  flush=True)


def _given(task: Any, space: Any, shared: bool, batch: int) -> tuple[Any, Any, int, Any]:
    net, paths = networks(task, space, shared)
    return net, task, batch, paths


def part_step(imgsz: int, batch: int, shared: bool, threads: int, seconds: float) -> None:
    """Prints the median seconds of a step; of rank 0.

    Args:
        seconds: how long steps are taken; 0 for a number of them.
    """
    import torch

    torch.set_num_threads(threads)
    task, space, accelerator = workload(imgsz, batch)
    net, paths = networks(task, space, shared)
    accelerator.alike(net)
    step = ours(net, task, batch, paths)
    timed(step, 3)
    found, end = [], time.monotonic() + seconds
    while time.monotonic() < end or (not seconds and len(found) < (30 if imgsz == 16 else 10)):
        found.append(timed(step, 1))
    if accelerator.leads:
        print(statistics.median(found))


def asked(*words: object, processes: int = 1, **environment: str) -> float:
    """`part_step` in processes of its own; seconds."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1", f"--nproc-per-node={processes}"]
    command = [sys.executable, *(launch if processes > 1 else []), __file__, "--step", *map(str, words)]
    given = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS")}
    given |= {"GLOO_SOCKET_IFNAME": "lo"} if processes > 1 else {}
    told = subprocess.run(command, env=given | environment, check=True, capture_output=True, text=True).stdout
    return float(told.split()[-1])


def part_processes() -> None:
    print(f"| what | px | batch | one process, {CORES} threads, ms | {CORES} processes, 1 thread, ms "
          "| throughput of several (turns) |\n|---|---|---|---|---|---|")
    for imgsz, batch in SIZES:
        for shared in (0, 1):
            one, several = [], []
            for _ in range(3):
                one.append(asked(imgsz, batch, shared, CORES))
                several.append(asked(imgsz, batch, shared, 1, processes=CORES, OMP_NUM_THREADS="1"))
            ratios = [a / b for a, b in zip(one, several, strict=True)]
            print(f"| {'shared weights' if shared else 'reference'} | {imgsz} | {batch} "
                  f"| {statistics.median(one) * 1e3:.1f} | {statistics.median(several) * 1e3:.1f} "
                  f"| {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) |", flush=True)


BESIDE_SECONDS = 20.0


def part_beside() -> None:
    share = max(1, CORES // 2)
    print(f"| px | batch | multiply-accumulates of the reference | one after the other, {CORES} threads, ms "
          f"| side by side, {share} each, ms | of today's time (turns) |\n|---|---|---|---|---|---|")
    for imgsz, batch in (*SIZES, (16, 256), (32, 64)):
        flops = batch * workload(imgsz, batch)[1].reference.flops
        one, both = [], []
        for _ in range(3):
            one.append(sum(asked(imgsz, batch, shared, CORES, OMP_WAIT_POLICY="PASSIVE") for shared in (0, 1)))
            both.append(_at_once(imgsz, batch, share))
        ratios = [b / a for a, b in zip(one, both, strict=True)]
        print(f"| {imgsz} | {batch} | {flops / 1e6:,.0f} M | {statistics.median(one) * 1e3:.0f} "
              f"| {statistics.median(both) * 1e3:.0f} "
              f"| {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) |", flush=True)


def _at_once(imgsz: int, batch: int, threads: int) -> float:
    """Seconds of a step of each, where both are taken at the same time for as long; the slower counts."""
    words = [[str(word) for word in (imgsz, batch, shared, threads)] for shared in (0, 1)]
    given = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    both = [subprocess.Popen([sys.executable, __file__, "--seconds", str(BESIDE_SECONDS), "--step", *each], env=given,
                             stdout=subprocess.PIPE, text=True) for each in words]
    return max(float(process.communicate()[0].split()[-1]) for process in both)


WAYS = {"as libgomp waits": {}, "passive": {"OMP_WAIT_POLICY": "PASSIVE"}, "1000 spins": {"GOMP_SPINCOUNT": "1000"},
        "10000 spins": {"GOMP_SPINCOUNT": "10000"}, "one thread": {}}


def part_waiting() -> None:
    print("| threads wait | idle, ms | beside a process per core, ms |\n|---|---|---|")
    rows: dict[str, list[list[float]]] = {name: [[], []] for name in WAYS}
    for loaded in (0, 1):
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(CORES * loaded)]
        try:
            for _ in range(3):
                for name, environment in WAYS.items():
                    threads = 1 if name == "one thread" else CORES
                    rows[name][loaded].append(asked(16, 64, 1, threads, **environment))
        finally:
            for process in busy:
                process.kill()
    for name, (idle, beside) in rows.items():
        print(f"| {name} | {statistics.median(idle) * 1e3:.0f} | {statistics.median(beside) * 1e3:.0f} |", flush=True)


PARTS = {"bare": part_bare, "processes": part_processes, "beside": part_beside, "waiting": part_waiting}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(PARTS))
    parser.add_argument("--step", nargs=4, type=int, metavar=("PX", "BATCH", "SHARED", "THREADS"),
                        help="a step in this process: what the others start")
    parser.add_argument("--seconds", type=float, default=0.0, help="for how long it takes steps")
    args = parser.parse_args()
    if args.step:
        imgsz, batch, shared, threads = args.step
        part_step(imgsz, batch, bool(shared), threads, args.seconds)
        return
    for name, part in PARTS.items():
        if args.only in (None, name):
            print(f"\n## {name}\n")
            part()


if __name__ == "__main__":
    main()

"""The judge: CIFAR-10, the compressed networks against thinner, random and reference networks.

    python benchmarks/cifar10.py --data ../shared/data/cifar10 --out /tmp/cifar --epochs 15

Trains on train_10k.parquet and judges on 10,000 images of train.parquet that are not in it. Every network gets the
same number of epochs, the same batches and (all but the reference) the same teacher. The compressed and the random
networks start from the weights of the same supernet; the thinner networks have no counterpart in it and start from
scratch. Every finished part is kept in --out, so a run that was cut off goes on.

With --precision auto every budget is answered twice from one search: in fp32, and in whichever precision measures
within it at the best accuracy (auto-50%, auto-25%); the reference itself stands beside them in every precision.
Percentages are of the fp32 reference's latency throughout.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np

from hwnas import pipeline
from hwnas.latency import LatencyModel
from hwnas.space import Architecture, Space, SpaceConfig, build
from hwnas.target import Target, load

BUDGETS = ("50%", "25%")
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def judge_split(folder: Path, out: Path, images: int) -> Path:
    """`images` training and as many judging images as one .npz."""
    import pyarrow.parquet as pq
    from PIL import Image

    path = out / "cifar10.npz"
    if path.exists():
        return path
    small = pq.read_table(folder / "train_10k.parquet")
    large = pq.read_table(folder / "train.parquet")
    used = set(small["path"].to_pylist())
    keep = [i for i, p in enumerate(large["path"].to_pylist()) if p not in used][:images]

    def decode(table: Any) -> tuple[np.ndarray, np.ndarray]:
        images = [np.asarray(Image.open(io.BytesIO(b)).convert("RGB")) for b in table["jpeg"].to_pylist()]
        return np.stack(images), table["label"].to_numpy().astype(np.int64)

    (x, y), (xv, yv) = decode(small.slice(0, images)), decode(large.take(keep))
    np.savez(path, x_train=x, y_train=y, x_val=xv, y_val=yv, classes=np.array(CLASSES))
    return path


Runs = dict[str, pipeline.RunFolder]


def compress(npz: Path, out: Path, args: argparse.Namespace) -> Runs:
    """One run per budget, and per budget one of --precision auto if that is asked; all from the search of the first."""
    began = time.time()

    def hook(stage: str, event: str, seconds: float) -> None:
        print(f"[{time.time() - began:7.0f} s] {stage} {event} {seconds:.0f} s", flush=True)

    auto = args.precision == "auto"
    first = out / ("run-auto-50" if auto else "run-50")
    options = {
        "data": str(npz), "budgets": {"latency": BUDGETS[0]}, "epochs": args.epochs, "warmup": args.warmup,
        "epochs_per_evaluation": args.epochs_per_evaluation, "cycles": 2, "settle": 80, "top": 12, "seed": args.seed,
        "tables": str(args.tables or out / "tables"), "torch_threads": args.torch_threads,
        "precision": "auto" if auto else None, "runtime": args.runtime, "recipe": args.recipe,
    }
    names = list(BUDGETS) + [f"auto-{budget}" for budget in BUDGETS if auto]
    done = pipeline.resume(first, until="export", hook=hook) if first.exists() else pipeline.compress(
        first, until="export", hook=hook, **options)
    runs = {}
    for name in names:
        path = out / f"run-{name.rstrip('%')}"
        if path == first:
            runs[name] = done
        elif path.exists():
            runs[name] = pipeline.resume(path, until="export", hook=hook)
        else:
            precision = "fp32" if auto and name in BUDGETS else None
            runs[name] = pipeline.retarget(first, path, {"latency": name.removeprefix("auto-")}, precision=precision,
                                           until="export", hook=hook)
    return runs


def thinner(space: Space, wanted: float, target: Target) -> list[SpaceConfig]:
    """The widest network below and the narrowest above `wanted` of the reference's latency.

    Latency is a staircase in the width, so no width multiplier hits a given latency: the accuracy of the thinner
    network at `wanted` is read off between the two.
    """
    from hwnas.profile import network_model
    from hwnas.runtime import compare, runtime_for

    runtime = runtime_for(target)
    widths: dict[str, Architecture] = {}
    for mult in np.arange(0.2, 1.02, 0.02):
        arch = build(SpaceConfig(**{**vars(space.config), "width_mult": round(float(mult), 2)})).largest()
        widths.setdefault(arch.space.fingerprint, arch)
    times = compare({k: runtime.load(network_model(a)) for k, a in widths.items()}, sweeps=30)
    full = times[list(widths)[-1]].median_ms
    ratios = {k: times[k].median_ms / full for k in widths}
    ordered = sorted(widths, key=lambda k: ratios[k])  # on a space of few widths one side may be empty
    below = max((k for k in widths if ratios[k] <= wanted), key=lambda k: ratios[k], default=ordered[0])
    above = min((k for k in widths if ratios[k] > wanted), key=lambda k: ratios[k], default=ordered[-1])
    return [widths[below].space.config, widths[above].space.config]


def random_within(space: Space, model: LatencyModel, budget_ms: float, count: int, seed: int) -> list[Architecture]:
    """Uniformly drawn architectures whose predicted latency is within the budget."""
    rng, found = np.random.default_rng(seed), []
    while len(found) < count:
        arch = space.sample(rng)
        if model.predict(arch).latency_ms <= budget_ms:
            found.append(arch)
    return found


def plan(runs: Runs, out: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    """The rivals to train."""
    path = out / "plan.json"
    if path.exists():
        return list(json.loads(path.read_text()))
    solver = pipeline.ArchitectureSolver.of_run(runs[BUDGETS[0]])
    reference, target = solver.space.largest(), load("local", runtime=args.runtime)
    jobs = []
    for number, (budget, run) in enumerate((b, runs[b]) for b in BUDGETS):
        ratio = run.result("export")["ratio"]
        for side, config in zip(("below", "above"), thinner(solver.space, ratio, target), strict=True):
            arch = build(config).largest()
            jobs.append({"name": f"thin-{side}-{budget}", "arch": arch.to_json(), "init": "scratch"})
        limit = solver.latency.predict(reference).latency_ms * float(budget.rstrip("%")) / 100
        for i, arch in enumerate(random_within(solver.space, solver.latency, limit, args.random, 100 + number)):
            jobs.append({"name": f"random{i + 1}-{budget}", "arch": arch.to_json(), "init": "supernet"})
    path.write_text(json.dumps(jobs))
    return jobs


def teacher_memory(run: pipeline.RunFolder, out: Path) -> None:
    """The teacher's logits for every step of every epoch: the same batches for all rivals, so computed once."""
    from hwnas.train import Teacher
    from hwnas.train.accelerator import to_pixels
    from hwnas.train.checkpoint import save_tensors

    path = out / "teacher.safetensors"
    if path.exists():
        return
    context = pipeline.load_context(run)
    config, teacher = context.training, Teacher(context.reference, remember=True)
    for index in range(config.epochs):
        rng = np.random.default_rng((run.state.config.seed, index))
        for step, (images, _) in enumerate(context.workload.epoch(config.batch, rng)):
            teacher.outputs(to_pixels(images), index, step)
    save_tensors(path, {f"{e}.{s}": t for (e, s), t in (teacher.cache or {}).items()}, {})


def train_rival(job: dict[str, Any], out: Path, first: Path) -> None:
    """One rival with one thread (a process of its own)."""
    import torch

    from hwnas.nets import Network
    from hwnas.train import Teacher, fit
    from hwnas.train.checkpoint import load_tensors

    torch.set_num_threads(1)
    context = pipeline.load_context(first)
    arch = Architecture.from_json(job["arch"])
    teacher = Teacher(context.reference, remember=True)
    teacher.cache = {tuple(map(int, k.split("."))): v for k, v in load_tensors(out / "teacher.safetensors")[0].items()}
    torch.manual_seed(context.config.seed)
    if job["init"] == "supernet":
        net = context.searched.evaluator.network(arch)
    else:
        data = context.dataset
        net = Network(arch, data.mean.tolist(), data.std.tolist())
        net = net.to(memory_format=torch.channels_last)
    began = time.time()
    history = fit(net, context.workload, context.training, seed=context.config.seed, teacher=teacher,
                  checkpoint=out / f"{job['name']}.checkpoint")
    result = {"accuracy": history.score, "seconds": time.time() - began, "flops": arch.flops, "params": arch.params}
    (out / f"{job['name']}.json").write_text(json.dumps(result))


def train_rivals(jobs: list[dict[str, Any]], out: Path, first: Path, at_once: int) -> None:
    """Processes with one thread each: two make more images a second than one with two threads."""
    waiting = [j for j in jobs if not (out / f"{j['name']}.json").exists()]
    running: list[subprocess.Popen[bytes]] = []
    while waiting or running:
        while waiting and len(running) < at_once:
            job = waiting.pop(0)
            command = [sys.executable, __file__, "--out", str(out), "--job", json.dumps(job), "--first", str(first)]
            running.append(subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}))
            print(f"[rivals] {job['name']} starts, {len(waiting)} waiting", flush=True)
        time.sleep(1)
        for process in [p for p in running if p.poll() is not None]:
            running.remove(process)
            if process.returncode:
                raise SystemExit(f"a rival failed with exit code {process.returncode}")


def named(budget: str) -> str:
    """The row of a run: compressed-50%, auto-50%."""
    return budget if budget.startswith("auto-") else f"compressed-{budget}"


def measure_all(runs: Runs, jobs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Every network in the precision that it ships in, all in one interleaved run."""
    from hwnas.profile import network_model

    targets = {}
    for run in runs.values():
        targets |= pipeline.load_context(run).targets
    reference = pipeline.ArchitectureSolver.of_run(runs[BUDGETS[0]]).space.largest()
    archs = {"reference": (reference, "fp32")}
    archs |= {f"reference-{p}": (reference, p) for p in targets if p != "fp32"}
    for budget, run in runs.items():
        arch = Architecture.from_json(json.loads((run.path / "architecture.json").read_text()))
        archs[named(budget)] = (arch, run.result("export")["precision"])
    archs |= {job["name"]: (Architecture.from_json(job["arch"]), "fp32") for job in jobs}
    models = {k: pipeline.TimedModel(network_model(a), targets[p]) for k, (a, p) in archs.items()}
    times = pipeline.time_models(models, sweeps=60)
    return {
        k: {**times[k].to_json(), "flops": a.flops, "params": a.params, "precision": p}
        for k, (a, p) in archs.items()
    }


def accuracies(runs: Runs, jobs: list[dict[str, Any]], out: Path) -> dict[str, float]:
    """Row -> accuracy in percent on the judging images, in the precision of the row."""
    exports = {budget: run.result("export") for budget, run in runs.items()}
    found = {"reference": exports[BUDGETS[0]]["reference"]["accuracy"]}
    for export in exports.values():
        found |= {f"reference-{p}": v["accuracy"] for p, v in export["references"].items()}
    found |= {named(budget): export["verdict"]["accuracy"] for budget, export in exports.items()}
    return found | {j["name"]: json.loads((out / f"{j['name']}.json").read_text())["accuracy"] for j in jobs}


def table(runs: Runs, jobs: list[dict[str, Any]], out: Path) -> str:
    """The result as markdown."""
    measured = measure_all(runs, jobs)
    base = measured["reference"]["median_ms"]
    lines = ["| network | precision | accuracy % | latency ms (p10-p90) | of the reference | MMACs | params k | from |",
             "|---|---|---|---|---|---|---|---|"]
    start = {j["name"]: j["init"] for j in jobs} | {k: "scratch, no teacher" for k in measured if "reference" in k}
    for name, value in accuracies(runs, jobs, out).items():
        m = measured[name]
        lines.append(
            f"| {name} | {m['precision']} | {value:.2f} | {m['median_ms']:.3f} ({m['p10_ms']:.3f}-{m['p90_ms']:.3f}) "
            f"| {m['median_ms'] / base:.3f} | {m['flops'] / 1e6:.2f} | {m['params'] / 1e3:.0f} "
            f"| {start.get(name, 'supernet')} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "cifar10")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--warmup", type=int, default=12)
    parser.add_argument("--epochs-per-evaluation", type=float, default=0.5)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--random", type=int, default=2, help="random rivals a budget; 0: no rivals but the thinner")
    parser.add_argument("--precision", choices=("fp32", "auto"), default="fp32")
    parser.add_argument("--runtime", help="of target local, e.g. openvino")
    parser.add_argument("--recipe", default="small", help="of every network that is trained alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tables", type=Path, help="folder of measured tables, for seeds to share; default: in --out")
    parser.add_argument("--torch-threads", type=int, help="of training; default: all")
    parser.add_argument("--jobs", type=int, default=2, help="rivals that are trained at a time, a thread each")
    parser.add_argument("--rivals", choices=("all", "none"), default="all",
                        help="none: only the reference and the compressed networks, to compare recipes")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument("--first", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        train_rival(json.loads(args.job), args.out, args.first)
        return
    began = time.time()
    args.out.mkdir(parents=True, exist_ok=True)
    runs = compress(judge_split(args.data, args.out, args.images), args.out, args)
    jobs = []
    if args.rivals == "all":
        teacher_memory(runs[BUDGETS[0]], args.out)
        jobs = plan(runs, args.out, args)
        train_rivals(jobs, args.out, runs[BUDGETS[0]].path, args.jobs)
    result = table(runs, jobs, args.out)
    (args.out / "result.md").write_text(result + "\n")
    print(result)
    print(f"{(time.time() - began) / 60:.0f} minutes in this call")


if __name__ == "__main__":
    main()

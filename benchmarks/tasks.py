"""A detector on BCCD and a segmenter on CamVid: reference, compressed, uniformly thinner and heavy, one recipe.

    python benchmarks/tasks.py --task detect --data ../shared/data/bccd --out DIR
    python benchmarks/tasks.py --task segment --data ../shared/data/camvid --out DIR
    python benchmarks/tasks.py --task detect --data ../shared/data/bccd --out OTHER --sizes 256,192    sizes to choose
    python benchmarks/tasks.py --out DIR --write benchmarks/tasks.md          trains nothing
    python benchmarks/tasks.py --task detect --data ../shared/data/bccd --out DIR --smoke     minutes, says nothing

Everything resumes: DIR holds a run folder a task, a checkpoint of every other network, and one JSON a task. The thinner
network is the reference with fewer channels everywhere, as many as the latency of the compressed one allows; it is
trained like the compressed one, with the reference as teacher. The heavy one is a ResNet-18 with plain convolutions;
`taught` is the compressed one, fine-tuned a second time from the same shared weights with the heavy one as teacher, and
`twentieth` the answer of the same search within a 20th of the heavy one's FLOPs, taught by it too.
All latencies are of one interleaved run at the end.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tasks_heavy import heavy_network, multiply_accumulates
from tasks_page import page

from hwnas.documents import read_json
from hwnas.export.onnx_export import onnx_graph, output_names
from hwnas.files import write_json
from hwnas.nets import Network
from hwnas.pipeline import (
    RunFolder,
    TimedModel,
    compress,
    load_context,
    load_network,
    pick,
    resume,
    time_models,
)
from hwnas.profile import network_model
from hwnas.space import Space, build, make_divisible
from hwnas.space.heads import describe_head
from hwnas.train import Teacher, Workload, fit
from hwnas.train.checkpoint import load_tensors, save_tensors
from hwnas.train.evaluate import outputs_of

Context = Any  # what `load_context` gives
SIZES = {"detect": (320, 320), "segment": (224, 320)}
SWEEPS = 60
TAUGHT = ("taught", "twentieth")
FEWER = 20  # FLOPs of the heavy network over those of `twentieth`, at least
SMOKE: dict[str, Any] = {"epochs": 1, "warmup": 1, "cycles": 1, "settle": 4, "top": 2, "finalists": 1, "limit": 24}
# CamVid's masks come without names; these are the well-known order of this version (README of the data).
CAMVID = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
          "ignore")


def main() -> None:
    """Train what the folder lacks, or write the page."""
    args = _arguments()
    if args.write:
        args.write.write_text(page({p.stem: read_json(p) for p in sorted(args.out.glob("*.json"))}), encoding="utf-8")
        return
    began = time.monotonic()
    run = _run(args)
    context = load_context(run)
    found = {"compressed": _shipped(context), **_others(context, args)}
    _time(context, found, args.out / args.task)
    write_json(args.out / f"{args.task}.json", {
        "task": args.task, "data": run.result("data")["summary"], "space": run.result("data")["space"],
        "device": run.lane().device, "epochs": run.state.config.train.epochs, "rows": found,
        "heavy_epochs": _heavy_epochs(context, args), "variant": run.result("generate")["variant"],
        "budget": run.state.config.budgets["latency"], "seconds": time.monotonic() - began,
        "run_seconds": sum(s.seconds for s in run.state.stages.values()), "versions": run.state.versions,
        "date": time.strftime("%Y-%m-%d"),
    })


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=list(SIZES), default="detect")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--space", default="mobile")
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--heavy-epochs", type=int, help="default: --epochs; 0 leaves the heavy network out")
    parser.add_argument("--taught", nargs="+", choices=TAUGHT, default=[], help="what learns from the heavy one")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--torch-threads", type=int, help="default: all; 1 lets both tasks train side by side")
    parser.add_argument("--latency", default="40%")
    parser.add_argument("--sizes", help="heights that a detector may take as well, e.g. 256,192")
    parser.add_argument("--smoke", action="store_true", help="a minute or two, to see that it runs")
    return parser.parse_args()


def _run(args: argparse.Namespace) -> RunFolder:
    folder = args.out / args.task
    if (folder / "run.json").exists():
        return resume(folder)
    height, width = SIZES[args.task]
    options: dict[str, Any] = {
        "task": args.task, "data": str(_named(args) if args.task == "segment" else args.data), "space": args.space,
        "depth": args.depth, "imgsz": height, "width": width, "epochs": args.epochs, "warmup": 20,
        "batch_size": args.batch_size, "torch_threads": args.torch_threads, "sizes": args.sizes,
        "epochs_per_evaluation": 0.5, "settle": 60, "trial_epochs": 5,
    }
    return compress(folder, budgets={"latency": args.latency}, **(options | (SMOKE if args.smoke else {})))


def _named(args: argparse.Namespace) -> Path:
    """The data with names for its classes: links to its folders and a classes.txt beside them."""
    folder: Path = args.out / "camvid"
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "trainannot", "val", "valannot"):
        if not (folder / part).exists():
            (folder / part).symlink_to((args.data / part).resolve())
    (folder / "classes.txt").write_text("".join(f"{i} {name}\n" for i, name in enumerate(CAMVID)))
    return folder


def _shipped(context: Context) -> dict[str, Any]:
    chosen = context.architecture
    net = load_network(context.run)
    return _row(context.workload_of(chosen.space), net, chosen.flops, chosen.params)


def _others(context: Context, args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    largest = context.space.largest()
    rows = {"reference": _row(context.workload, context.reference, largest.flops, largest.params)}
    thin = _thinner(context)
    torch.manual_seed(context.config.seed)
    net = Network(thin.largest(), context.dataset.mean.tolist(), context.dataset.std.tolist())
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    context.workload.prepare(net)
    _trained(context, context.workload, net, "thinner", context.config.train.epochs, Teacher(context.reference))
    rows["thinner"] = _row(context.workload, net, thin.largest().flops, thin.largest().params)
    rows["thinner"]["width_mult"] = thin.config.width_mult
    thin_model = network_model(thin.largest(), batch=context.target.batch)
    (args.out / args.task / "thinner.onnx").write_bytes(thin_model)
    if epochs := _heavy_epochs(context, args):
        heavy = _heavy(context, epochs)
        rows["heavy"] = _row(context.workload, heavy, *multiply_accumulates(heavy, context.space.input_shape))
        for name in args.taught:
            rows[name] = _taught(context, heavy, name, rows["heavy"]["flops"])
    return rows


def _heavy_epochs(context: Context, args: argparse.Namespace) -> int:
    return context.config.train.epochs if args.heavy_epochs is None else args.heavy_epochs


def _heavy(context: Context, epochs: int) -> torch.nn.Module:
    torch.manual_seed(context.config.seed)
    heavy = heavy_network(context.space, context.dataset.mean.tolist(), context.dataset.std.tolist())
    context.workload.prepare(heavy)
    _trained(context, context.workload, heavy, "heavy", epochs, None)
    model = onnx_graph(heavy, context.space.input_shape, output_names(context.space.largest()),
                       {"classes": list(context.dataset.classes)})
    (context.run.path / "heavy.onnx").write_bytes(model)
    return heavy


def _taught(context: Context, heavy: torch.nn.Module, name: str, flops: int) -> dict[str, Any]:
    """The compressed network, or the answer within a 20th of the heavy one's FLOPs, with the heavy one as teacher."""
    arch = context.architecture
    if name == "twentieth":
        arch = pick(context.run.path, {"flops": f"{flops / FEWER / 1e6:.3f}M"})[0].architecture
    net = context.searched.evaluator.network(arch)
    workload = context.workload_of(arch.space)
    _trained(context, workload, net, name, context.config.train.epochs, Teacher(heavy))
    (context.run.path / f"{name}.onnx").write_bytes(network_model(arch))
    return _row(workload, net, arch.flops, arch.params)


def _thinner(context: Context) -> Space:
    """The reference with fewer channels: the widest that is not slower than the compressed network."""
    config = context.space.config
    spaces = {w: build(replace(config, width_mult=w, head_width=_head_width(context, w)))
              for w in (i / 20 for i in range(4, 20))}
    kept = context.run.path / "thinner.json"
    if kept.exists():
        return spaces[read_json(kept)["width_mult"]]
    models = {str(w): TimedModel(network_model(s.largest()), context.target) for w, s in spaces.items()}
    models["compressed"] = TimedModel(network_model(context.architecture), context.target)
    found = time_models(models, sweeps=SWEEPS)
    limit = found["compressed"].median_ms
    width = max(w for w in spaces if found[str(w)].median_ms <= limit or w == min(spaces))
    write_json(kept, {"width_mult": width})
    return spaces[width]


def _head_width(context: Context, factor: float) -> int:
    """Channels of the head, thinner by the same factor."""
    config = context.space.config
    return make_divisible((config.head_width or describe_head(config.head).width) * factor)


def _trained(context: Context, workload: Workload, net: torch.nn.Module, name: str, epochs: int,
             teacher: Teacher | None) -> None:
    """Train a network as the reference was, or read it where that was done."""
    path = context.run.path / f"{name}.safetensors"
    if path.exists():
        net.load_state_dict(load_tensors(path)[0])
        return
    fit(net, workload, replace(context.training, epochs=epochs), seed=context.config.seed, teacher=teacher,
        checkpoint=context.run.path / f"{name}.checkpoint")
    save_tensors(path, dict(net.state_dict()), {"name": name})


def _row(workload: Workload, net: torch.nn.Module, flops: int, params: int) -> dict[str, Any]:
    found = workload.metric.details(outputs_of(net.eval(), workload.val_images))  # type: ignore[attr-defined]
    return {"flops": flops, "params": params, **found.to_json()}


def _time(context: Context, rows: dict[str, dict[str, Any]], folder: Path) -> None:
    """Latencies of all networks in one interleaved run, in the precision of the run."""
    models = {
        "reference": network_model(context.space.largest()), "compressed": network_model(context.architecture),
        "thinner": (folder / "thinner.onnx").read_bytes(),
    }
    for name in (row for row in rows if row not in models):
        models[name] = (folder / f"{name}.onnx").read_bytes()
    found = time_models({name: TimedModel(model, context.target) for name, model in models.items()}, sweeps=SWEEPS)
    for name, measured in found.items():
        rows[name]["latency"] = measured.to_json()


if __name__ == "__main__":
    main()

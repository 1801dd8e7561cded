"""A detector on BCCD and a segmenter on CamVid: reference, compressed, uniformly thinner and heavy, one recipe.

    python benchmarks/tasks.py --task detect --data ../shared/data/bccd --out DIR
    python benchmarks/tasks.py --task segment --data ../shared/data/camvid --out DIR
    python benchmarks/tasks.py --task detect --data ../shared/data/bccd --out OTHER --sizes 256,192    sizes to choose
    python benchmarks/tasks.py --task segment --data ../shared/data/camvid --out NEW --rows heavy scaled-20 searched-20
    python benchmarks/tasks.py --out DIR --write benchmarks/tasks.md          trains nothing
    python benchmarks/tasks.py --task detect --data ../shared/data/bccd --out DIR --smoke     minutes, says nothing

Everything resumes: DIR holds a run folder a task, a checkpoint of every other network, and one JSON a task; a folder
has the options it began with, and may be asked for other rows later. What the rows are stands in `tasks_networks`.
Rows of heavy and scaled networks alone need neither reference nor search: the run then stops after its data.
All latencies are of one interleaved run at the end.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from tasks_networks import Networks
from tasks_page import page

from hwnas.documents import read_json
from hwnas.files import write_json
from hwnas.pipeline import RunFolder, compress, load_context, resume
from hwnas.runtime import Fingerprint, runtime_for

SIZES = {"detect": (320, 320), "segment": (224, 320)}
ROWS = ("compressed", "reference", "thinner", "heavy")
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
    context.take_threads()
    networks = Networks(context, args.heavy_epochs, args.light_epochs, args.attention, args.heavy_bf16)
    found = {}
    for name in args.rows:
        found[name] = networks.row(name)
        print(f"{name}: {found[name]}", flush=True)
    networks.times(found)
    config = run.state.config
    write_json(args.out / f"{args.task}.json", {
        "task": args.task, "data": run.result("data")["summary"], "space": run.result("data")["space"],
        "device": Fingerprint.of(runtime_for(networks.target)).to_json(), "epochs": config.train.epochs,
        "rows": found, "heavy_epochs": args.heavy_epochs or config.train.epochs, "heavy_bf16": args.heavy_bf16,
        "light_epochs": args.light_epochs or config.train.epochs, "attention": args.attention,
        "recipe": context.recipe.name, "init": config.train.init, "seed": config.seed,
        "variant": run.result("generate")["variant"] if "generate" in run.state.stages else None,
        "budget": config.budgets["latency"], "seconds": time.monotonic() - began,
        "run_seconds": sum(s.seconds for s in run.state.stages.values()), "versions": run.state.versions,
        "date": time.strftime("%Y-%m-%d"),
    })


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=list(SIZES), default="detect")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), help="see tasks_networks; e.g. heavy searched-20")
    parser.add_argument("--space", default="mobile")
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--width-mult", type=float, default=1.0, help="of the reference; above 1: a wider one")
    parser.add_argument("--head", help="of all but the heavy one, e.g. fpn")
    parser.add_argument("--head-width", type=int, help="its channels")
    parser.add_argument("--recipe", help="of reference, result and all that is trained beside them")
    parser.add_argument("--init", type=Path, help="a run whose weights reference and search start from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--heavy-epochs", type=int, help="default: --epochs")
    parser.add_argument("--light-epochs", type=int, help="of what learns from the heavy one; default: --epochs")
    parser.add_argument("--heavy-bf16", action="store_true", help="it trains and teaches in bf16; judged in fp32")
    parser.add_argument("--attention", type=float, default=0.0, help="of the heavy one's maps, by its students")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--torch-threads", type=int, help="default: all; 1 lets both tasks train side by side")
    parser.add_argument("--latency", default="40%")
    parser.add_argument("--sizes", help="heights that a detector may take as well, e.g. 256,192")
    parser.add_argument("--smoke", action="store_true", help="a minute or two, to see that it runs")
    return parser.parse_args()


def _run(args: argparse.Namespace) -> RunFolder:
    """As far as the rows need it."""
    kinds = {name.partition("-")[0] for name in args.rows}
    until = "data" if kinds <= {"heavy", "scaled"} else "search" if kinds <= {"heavy", "scaled", "searched"} else None
    folder = args.out / args.task
    if (folder / "run.json").exists():
        return resume(folder, until=until)
    height, width = SIZES[args.task]
    options: dict[str, Any] = {
        "task": args.task, "data": str(_named(args) if args.task == "segment" else args.data), "space": args.space,
        "depth": args.depth, "width_mult": args.width_mult, "imgsz": height, "width": width, "epochs": args.epochs,
        "head": args.head, "head_width": args.head_width,
        "warmup": 20, "batch_size": args.batch_size, "torch_threads": args.torch_threads, "sizes": args.sizes,
        "epochs_per_evaluation": 0.5, "settle": 60, "trial_epochs": 5, "recipe": args.recipe, "seed": args.seed,
        "init": str(args.init) if args.init else None,
    }
    return compress(folder, until=until, budgets={"latency": "90%" if args.smoke else args.latency},
                    **(options | (SMOKE if args.smoke else {})))


def _named(args: argparse.Namespace) -> Path:
    """The data with names for its classes: links to its folders and a classes.txt beside them."""
    folder: Path = args.out / "camvid"
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "trainannot", "val", "valannot"):
        if not (folder / part).exists():
            (folder / part).symlink_to((args.data / part).resolve())
    (folder / "classes.txt").write_text("".join(f"{i} {name}\n" for i, name in enumerate(CAMVID)))
    return folder


if __name__ == "__main__":
    main()

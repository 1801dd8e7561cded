"""What other tools make of the network that `own_subjects.py` trained, beside runs of `own_network.py`, in one table.

    pip install torch-pruning==1.6.0 nvidia-modelopt==0.47.0 torchprofile==0.0.4      # rivals, no part of hwnas
    python own_rivals.py --subject /tmp/own/subjects --runs /tmp/own/resnet20/run-50 --ratios 0.50 --out /tmp/own/rivals

| rival | what it does |
|---|---|
| thin | the same form, thinner everywhere, from scratch |
| torch-pruning | groups of channels of least magnitude go (DepGraph, `MetaPruner`), widths in steps of 8 |
| fastnas | Model Optimizer's search over widths under a bound on FLOPs, judged by accuracy on 1,000 training images |
| static int8 | ONNX Runtime's `quantize_static`, per channel, 256 images |

Every rival that trains has --epochs epochs over the same 40,000 images, with the same teacher beside the labels, at its
best of two rates. Each is made at the largest size whose latency, measured beside the network as given, is within the
ratio. What is there already is kept. At the end all are judged on the 10,000 images that nothing has seen, and timed in
one interleaved run.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from own_subjects import MEAN, STD, accuracy, left, normed, resnet20, trained
from safetensors.torch import load_file
from torch import nn

from hwnas.runtime import compare, runtime_for
from hwnas.runtime.pinning import pinned
from hwnas.target import load

SWEEPS, WITHIN = 20, 1.01
PEAKS = (0.02, 0.1)  # of the learning rate, for networks that were trained before
Data = dict[str, np.ndarray]


class Making:
    """Makes rivals, each once.

    Args:
        data: images.
        teacher: the network as given.
        out: where they are kept.
        epochs: of their training.
    """

    def __init__(self, data: Data, teacher: nn.Module, given: bytes, out: Path, epochs: int) -> None:
        self._data, self._teacher, self._given, self._out, self._epochs = data, teacher, given, out, epochs
        self._runtime = runtime_for(load("local", runtime="onnxruntime"))

    def ratio(self, net: nn.Module) -> float:
        """Its latency over that of the network as given, both timed now."""
        path = self._out / "timed.onnx"
        left(copy.deepcopy(net), path)
        times = compare({"given": self._runtime.load(self._given), "it": self._runtime.load(path.read_bytes())},
                        sweeps=8)
        path.unlink()
        return times["it"].median_ms / times["given"].median_ms

    def largest(self, wanted: float, sizes: Sequence[float], at: Callable[[float], nn.Module]) -> nn.Module:
        """The largest of some sizes, rising, that is within a ratio."""
        return at(largest(wanted, sizes, lambda size: self.ratio(at(size))))

    def kept(self, name: str, made: Callable[[], nn.Module], peaks: Sequence[float]) -> Path:
        """The file of a rival: made, trained at every peak for a quarter of an epoch, then at the better one."""
        path = self._out / f"{name}.onnx"
        if path.exists():
            return path
        began = time.time()
        net, peak = made(), peaks[0]
        if len(peaks) > 1:
            small = {k: v[: len(v) // 4] if k.endswith("_train") else v[:2000] for k, v in self._data.items()}
            found = {p: accuracy(trained(copy.deepcopy(net), small, 1, 0, teacher=self._teacher, peak=p),
                                 self._data["x_train"][-2000:], self._data["y_train"][-2000:]) for p in peaks}
            peak = max(found, key=lambda p: found[p])
        left(trained(net, self._data, self._epochs, 0, teacher=self._teacher, peak=peak), path)
        path.with_suffix(".json").write_text(json.dumps({"seconds": time.time() - began, "peak": peak}))
        return path


def largest(wanted: float, sizes: Sequence[float], ratio: Callable[[float], float]) -> float:
    """The largest of some sizes, rising, whose latency is within a ratio; by halving."""
    low, high = 0, len(sizes) - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if ratio(sizes[middle]) <= wanted * WITHIN else (low, middle - 1)
    print(f"size {sizes[low]}", flush=True)
    return sizes[low]


def thin(making: Making, wanted: float) -> nn.Module:
    """Thinner everywhere."""
    return making.largest(wanted, np.arange(0.2, 1.01, 0.05).round(2).tolist(), lambda share: resnet20(
        tuple(max(4, round(share * width / 4) * 4) for width in (16, 32, 64))))  # type: ignore[arg-type]


def pruned(making: Making, start: nn.Module, wanted: float) -> nn.Module:
    """By Torch-Pruning."""
    import torch_pruning as tp

    def at(kept: float) -> nn.Module:
        net = copy.deepcopy(start).eval()
        example = torch.zeros(1, 3, 32, 32)
        tp.pruner.MetaPruner(net, example, importance=tp.importance.GroupMagnitudeImportance(p=2),
                             pruning_ratio=1 - kept, ignored_layers=[net[-1]], global_pruning=True,
                             max_pruning_ratio=0.9, round_to=8).step()
        return net

    return making.largest(wanted, np.arange(0.1, 1.0, 0.05).round(2).tolist(), at)


def searched(making: Making, start: nn.Module, data: Data, wanted: float, folder: Path) -> nn.Module:
    """By Model Optimizer's FastNAS; the bound on FLOPs falls until the latency is within the ratio."""
    import modelopt.torch.prune as mtp

    widths = {name: {"*": {divisor: 8}} for name, divisor in (
        ("nn.Conv2d", "channel_divisor"), ("nn.BatchNorm2d", "feature_divisor"), ("nn.Linear", "feature_divisor"))}
    batches = [(normed(data["x_train"][i : i + 128]), torch.from_numpy(data["y_train"][i : i + 128]))
               for i in range(0, 2560, 128)]

    def score(net: nn.Module) -> float:
        return accuracy(net, data["x_train"][-1000:], data["y_train"][-1000:])

    share = wanted
    while True:
        net = copy.deepcopy(start)
        found, _ = mtp.prune(net, [("fastnas", widths)], {"flops": f"{100 * share:.0f}%"}, torch.zeros(1, 3, 32, 32), {
            "data_loader": batches, "score_func": score, "checkpoint": str(folder / f"fastnas-{share:.2f}.pth"),
            "collect_func": lambda batch: (batch[0],)})
        got = making.ratio(found)
        print(f"fastnas at {share:.2f} of the FLOPs: {got:.3f} of the latency", flush=True)
        if got <= wanted * WITHIN or share < 0.1:
            return found
        share = round(share * max(0.7, wanted / got) - 0.01, 2)


def static_int8(given: Path, inputs: Iterable[np.ndarray], path: Path) -> Path:
    """By ONNX Runtime's own tool.

    Args:
        inputs: to calibrate with, one image each.
    """
    if path.exists():
        return path
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    name = onnx.load(given).graph.input[0].name
    rows = iter(inputs)

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, np.ndarray] | None:
            row = next(rows, None)
            return None if row is None else {name: row}

    quantize_static(str(given), str(path), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
    return path


def table(files: dict[str, Path], data: Data) -> list[str]:
    """All in one interleaved run, and judged."""
    runtime = runtime_for(load("local", runtime="onnxruntime", precision="int8"))
    sessions = {name: runtime.load(path.read_bytes()) for name, path in files.items()}
    with pinned(load("local", runtime="onnxruntime").cores):
        times = compare(sessions, sweeps=SWEEPS)
    base = times["as given"].median_ms
    lines = ["| network | ms (p10-p90) | of given | accuracy % |", "|---|---|---|---|"]
    scale = (data["x_val"].astype(np.float32) - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    rows = np.ascontiguousarray(scale.transpose(0, 3, 1, 2))
    for name, session in sessions.items():
        import onnx

        asked = onnx.load(files[name]).graph.input[0].name
        found = [session.run({asked: rows[i : i + 1]})[0].argmax() for i in range(len(rows))]
        right = 100 * float((np.array(found) == data["y_val"]).mean())
        lines.append(f"| {name} | {times[name].median_ms:.4f} ({times[name].p10_ms:.4f}-{times[name].p90_ms:.4f}) | "
                     f"{times[name].median_ms / base:.3f} | {right:.2f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subject", type=Path, required=True, help="what own_subjects.py left")
    parser.add_argument("--runs", type=Path, nargs="*", default=[], help="run folders of own_network.py")
    parser.add_argument("--ratios", type=float, nargs="+", default=[0.5], help="of the latency, for the rivals")
    parser.add_argument("--rivals", nargs="*", default=["thin", "torch-pruning", "fastnas"])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with np.load(args.subject / "cifar10.npz") as held:
        data = {name: held[name] for name in held.files}
    start = resnet20()
    start.load_state_dict(load_file(args.subject / "resnet20.safetensors"))
    given = args.subject / "resnet20.onnx"
    making = Making(data, copy.deepcopy(start).eval(), given.read_bytes(), args.out, args.epochs)
    calibrated = (normed(data["x_train"][i : i + 1]).numpy() for i in range(256))
    files = {"as given": given,
             "static int8 (ONNX Runtime)": static_int8(given, calibrated, args.out / "static-int8.onnx")}
    for ratio in args.ratios:
        makers: dict[str, Callable[[], nn.Module]] = {
            "thin": lambda r=ratio: thin(making, r), "torch-pruning": lambda r=ratio: pruned(making, start, r),
            "fastnas": lambda r=ratio: searched(making, start, data, r, args.out)}
        for name in args.rivals:
            files[f"{name} at {ratio}"] = making.kept(f"{name}-{ratio}", makers[name],
                                                      (0.2,) if name == "thin" else PEAKS)
    for run in args.runs:
        files[f"hwnas, {run.name}"] = run / "model.onnx"
    lines = table(files, data)
    (args.out / "table.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()

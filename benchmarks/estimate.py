"""How good estimates are before and after a few networks were measured; prints the rows of estimate.md.

    python benchmarks/estimate.py [--data ../shared/data] [--draws 40] [--devices NAME ...] [--out FILE.json]

The data are 1,999 cells of NAS-Bench-201 on real devices, measured by others with other runtimes than ours; what each
runtime did with the edges that are `none` is a rule below.

Glossary
    run      the ops that the device executed, each with its term (`hwnas.latency.estimate.model`)
    items    the distinct (op, term) of all runs; counts has a row per network and a column per item
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import kendalltau

from hwnas.latency.estimate import estimate
from hwnas.latency.estimate.adapt import adapt_runs
from hwnas.latency.estimate.design import choose_runs
from hwnas.latency.estimate.model import EstimatedModel
from hwnas.latency.estimate.rules import COMPILED, Rule, Run, run_of
from hwnas.space import SpaceConfig, build
from hwnas.space.nasbench201 import order
from hwnas.target import Hardware, Target, load

Floats = NDArray[np.float64]
SIZES = (5, 10, 20)
CANDIDATES = 200  # drawn at random, of which 20 are chosen by design


@dataclass(frozen=True)
class Device:
    """A column of the data.

    Args:
        column: its name there.
        target: whose figures the estimate is made of.
        rule: what the runtime executed of a network (`hwnas.latency.estimate.rules`).
        role: 'judged', 'tuned' (constants or rules were chosen on it) or 'other'.
    """

    column: str
    target: Target
    rule: Rule
    role: str


def _other(name: str, processor: Any, launch: Any, peak: float, bandwidth: float, lanes: int, cores: int = 1) -> Target:
    hardware = Hardware(
        processor=processor, launch=launch, peak_tops={"fp32": peak}, bandwidth_gbs=bandwidth, lanes=lanes, cores=cores,
        sources=dict.fromkeys(("peak_tops", "bandwidth_gbs", "lanes"), "recalled"),
    )
    return Target(name=name, hardware=hardware, threads=cores)


DEVICES = {
    "Jetson TX2": Device("rice_edgegpu", load("jetson-tx2", precision="fp32"), "zeros", "judged"),
    "Jetson Nano": Device("eagle_jetson", load("jetson-nano", precision="fp32"), "compiled", "judged"),
    "Raspberry Pi 4": Device("rice_raspi4", load("raspberry-pi-4", threads=1), "zeros", "judged"),
    "Jetson Nano, fp16": Device("eagle_jetson_16", load("jetson-nano", precision="fp16"), "compiled", "other"),
    "Pixel 3 CPU": Device("rice_pixel3", _other("pixel3", "cpu", "arm-cpu", 0.0448, 29.8, 8), "zeros", "tuned"),
    "Cortex-A76": Device("true_a76", _other("a76", "cpu", "arm-cpu", 0.045, 34.1, 8), "compiled", "tuned"),
    "Snapdragon 855 CPU": Device("eagle_cpu_855", _other("sd855", "cpu", "arm-cpu", 0.045, 34.1, 8), "compiled",
                                 "other"),
    "Snapdragon 855 GPU": Device("eagle_gpu_855", _other("adreno", "gpu", "integrated-gpu", 0.9, 34.1, 384), "compiled",
                                 "other"),
    "Adreno 640": Device("true_640", _other("adreno640", "gpu", "integrated-gpu", 0.9, 34.1, 384), "compiled", "other"),
    "Adreno 630": Device("true_630", _other("adreno630", "gpu", "integrated-gpu", 0.73, 29.8, 256), "compiled",
                         "other"),
    "desktop GTX": Device("eagle_gtx", _other("gtx", "gpu", "discrete-gpu", 11.3, 484, 3584), "compiled", "other"),
    "Snapdragon 855 DSP": Device("eagle_dsp_855", _other("dsp", "npu", "npu", 7.0, 34.1, 4096), "compiled", "other"),
    "Myriad VPU": Device("true_vpu", _other("vpu", "npu", "npu", 1.0, 12.8, 512), "compiled", "other"),
    "Edge TPU": Device("eagle_tpu", _other("tpu", "npu", "npu", 4.0, 12.8, 4096), "compiled", "other"),
    "Eyeriss (simulated)": Device("rice_eyeriss", _other("eyeriss", "npu", "npu", 0.067, 1.6, 168), "eager", "other"),
    "FPGA (simulated)": Device("rice_fpga", _other("fpga", "npu", "npu", 0.18, 12.8, 900), "eager", "other"),
}


@dataclass(frozen=True)
class Cells:
    """The networks of the data as a device executed them.

    Args:
        runs: one for each network.
    """

    runs: tuple[Run, ...]

    @cached_property
    def items(self) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(item for run in self.runs for item in run))

    @cached_property
    def counts(self) -> Floats:
        column = {item: i for i, item in enumerate(self.items)}
        found = np.zeros((len(self.runs), len(self.items)))
        for row, run in zip(found, self.runs, strict=True):
            for item in run:
                row[column[item]] += 1
        return found

    def latencies(self, model: EstimatedModel) -> Floats:
        """`model.run_ms` of every network, shape (n,)."""
        costs = np.array([model.op_cost_ms(op) + model.term_ms(op, term) for op, term in self.items])
        return np.maximum(model.calibration.b_ms + self.counts @ costs, 0.0)


def main() -> None:
    """Print one row a device."""
    args = _arguments()
    data = pd.read_parquet(args.data / "nb201_latency" / "nb201_latency_oneproxy.parquet")
    space = build(SpaceConfig("nasbench201", 32, 3, 10))
    archs = [space.architecture(order()[i]) for i in data["index"]]
    rules: tuple[Rule, ...] = ("compiled", "zeros", "eager")
    cells = {rule: Cells(tuple(run_of(arch, rule) for arch in archs)) for rule in rules}
    flops = np.array([arch.flops for arch in archs], dtype=float)
    choices = np.array([arch.choice for arch in archs])
    reports = {}
    for name in args.devices or DEVICES:
        device = DEVICES[name]
        y = data[device.column].to_numpy(dtype=float)
        model = estimate(space, device.target, COMPILED)
        reports[name] = _report(device, model, cells[device.rule], y, flops, choices, args)
        print(_row(name, device, reports[name]), flush=True)
    if args.out:
        args.out.write_text(json.dumps(reports, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--devices", nargs="*")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def _report(
    device: Device, model: EstimatedModel, cells: Cells, y: Floats, flops: Floats, choices: NDArray[np.int64],
    args: argparse.Namespace,
) -> dict[str, Any]:
    nothing = cells.latencies(model)
    report: dict[str, Any] = {
        "flops_tau": float(kendalltau(flops, y).statistic), "tau": float(kendalltau(nothing, y).statistic),
        "measured_over_estimated": math.exp(float(np.median(np.log(y / nothing)))),
        "in_band": float(100 * (np.abs(np.log(y / nothing)) <= model.calibration.log_spread).mean()),
    }
    rng = np.random.default_rng(args.seed)
    drawn = [rng.permutation(len(y))[:max(SIZES)] for _ in range(args.draws)]
    for size in SIZES:
        rows = [_adapted(device, model, cells, y, picked[:size]) for picked in drawn]
        report[f"after_{size}"] = _mean(rows)
    report["chosen_20"] = _mean([_chosen(device, model, cells, y, rng) for _ in range(args.draws // 2)])
    report["ridge_20"] = _mean([_ridge(choices, y, picked[:20]) for picked in drawn])
    return report


def _adapted(device: Device, model: EstimatedModel, cells: Cells, y: Floats, picked: NDArray[np.int64]) -> Floats:
    """(tau, mean error, coverage) on the networks that were not picked."""
    adapted = adapt_runs(model, device.target, {device.rule: [cells.runs[i] for i in picked]}, y[picked].tolist())
    rest = np.setdiff1d(np.arange(len(y)), picked)
    predicted = cells.latencies(adapted)[rest]
    inside = np.abs(np.log(y[rest] / predicted)) <= adapted.calibration.log_spread
    return np.array([*_quality(predicted, y[rest]), 100 * inside.mean()])


def _chosen(device: Device, model: EstimatedModel, cells: Cells, y: Floats, rng: np.random.Generator) -> Floats:
    """The same with 20 networks that a design chose among random ones."""
    candidates = rng.permutation(len(y))[:CANDIDATES]
    picked = choose_runs(device.target, {device.rule: [cells.runs[i] for i in candidates]}, max(SIZES))
    return _adapted(device, model, cells, y, candidates[picked])


def _ridge(choices: NDArray[np.int64], y: Floats, picked: NDArray[np.int64]) -> Floats:
    """The plain rival: ridge regression on how often each op stands in the cell."""
    counts = np.stack([(choices == op).sum(axis=1) for op in range(5)], axis=1).astype(float)
    counts -= counts[picked].mean(axis=0)
    centre, x, rest = y[picked].mean(), counts[picked], np.setdiff1d(np.arange(len(y)), picked)
    weights = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ (y[picked] - centre))
    return np.array([*_quality(centre + counts[rest] @ weights, y[rest]), math.nan])


def _quality(predicted: Floats, y: Floats) -> tuple[float, float]:
    return float(kendalltau(predicted, y).statistic), float(100 * np.abs(predicted / y - 1).mean())


def _mean(rows: Sequence[Floats]) -> dict[str, list[float]]:
    both = np.array(rows)
    error = both.std(axis=0, ddof=1) / math.sqrt(len(both)) if len(both) > 1 else np.zeros(both.shape[1])
    return {name: [float(m), float(e)] for name, m, e in zip(("tau", "mape", "coverage"), both.mean(axis=0), error,
                                                           strict=True)}


def _row(name: str, device: Device, report: dict[str, Any]) -> str:
    cells = [name, device.role, f"{report['flops_tau']:.2f}", f"**{report['tau']:.3f}**",
             f"{report['measured_over_estimated']:.2f}"]
    for key in (*(f"after_{size}" for size in SIZES), "chosen_20", "ridge_20"):
        (tau, tau_error), (mape, mape_error) = report[key]["tau"], report[key]["mape"]
        cells.append(f"{tau:.3f} ± {tau_error:.3f}, {mape:.1f} ± {mape_error:.1f} %")
    cells.append(f"{report['after_20']['coverage'][0]:.0f} %")
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()

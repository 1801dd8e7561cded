"""How well devices are known that hwnas never saw, after 20 measured networks; prints the rows of unknown_devices.md.

    python benchmarks/unknown_devices.py [--data ../shared/data] [--draws 6] [--devices NAME ...] [--out FILE.json]
    python benchmarks/unknown_devices.py --before     # what is said before anything is measured, alone; a minute

Networks of NAS-Bench-201 and FBNet that others timed on real devices. Every device is judged alone, and nothing is said
of how it executes networks: 20 of them must tell. Beside it, with the same networks: a line in FLOPs, a ridge on how
often each op stands in the network, and the rule that holds told beforehand.

Glossary
    cells   the networks that all devices are asked about: some to draw from, the rest to judge
    items   the distinct (op, term) of all runs under a rule; counts has a row per network and a column per item
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
from numpy.typing import NDArray
from scipy.stats import kendalltau

from hwnas.latency.estimate import estimate
from hwnas.latency.estimate.adapt import adapt_runs
from hwnas.latency.estimate.design import choose_runs
from hwnas.latency.estimate.model import EstimatedModel
from hwnas.latency.estimate.rules import COMPILED, Rule, Run, rules_of, run_of
from hwnas.space import Architecture, Space, SpaceConfig, build
from hwnas.space.nasbench201 import order
from hwnas.target import Hardware, Target, load

Floats = NDArray[np.float64]
NETWORKS, POOL, JUDGED = 20, 200, 400


@dataclass(frozen=True)
class Device:
    """A column of a file.

    Args:
        file, column: where its latencies are.
        target: whose figures the estimate is made of; others' than ours are recalled, not looked up.
        rule: how its networks were executed, as far as is known; not told but in the last column.
        role: 'tuned' where it was looked at while rules or strengths were chosen.
    """

    file: str
    column: str
    target: Target
    rule: Rule
    role: str = "tuned"


def _of(processor: Any, launch: Any, peak: float, bandwidth: float, lanes: int, cores: int = 1,
        batch: int = 1) -> Target:
    hardware = Hardware(
        processor=processor, launch=launch, peak_tops={"fp32": peak}, bandwidth_gbs=bandwidth, lanes=lanes, cores=cores,
        sources=dict.fromkeys(("peak_tops", "bandwidth_gbs", "lanes"), "recalled"),
    )
    return Target(name="other", hardware=hardware, threads=cores, batch=batch)


def _gpu(peak: float, bandwidth: float, lanes: int, batch: int = 1) -> Target:
    return _of("gpu", "discrete-gpu", peak, bandwidth, lanes, batch=batch)


ONE, ALL = "nb201_latency/nb201_latency_oneproxy.parquet", "nb201_latency/nb201_latency_all_cells.parquet"
MORE, CHAIN = "more_devices/nb201.parquet", "more_devices/fbnet.parquet"
PIXEL2, SD855 = _of("cpu", "arm-cpu", 0.15, 29.8, 8, 4), _of("cpu", "arm-cpu", 0.045, 34.1, 8)
ADRENO = _of("gpu", "integrated-gpu", 0.9, 34.1, 384)
DEVICES = {
    "GTX 1080 Ti": Device(MORE, "1080ti_1", _gpu(11.3, 484, 3584), "eager"),
    "GTX 1080 Ti, batch 256": Device(MORE, "1080ti_256", _gpu(11.3, 484, 3584, 256), "eager"),
    "Titan RTX": Device(MORE, "titan_rtx_1", _gpu(16.3, 672, 4608), "eager"),
    "Xeon Silver 4114": Device(MORE, "silver_4114", _of("cpu", "cpu", 0.7, 115, 16, 10), "eager"),
    "Pixel 2": Device(MORE, "pixel2", PIXEL2, "eager"),
    "Raspberry Pi 5, ONNX Runtime": Device(MORE, "pi5_onnx", _of("cpu", "arm-cpu", 0.038, 17, 8), "shared"),
    "RTX 2080 Ti": Device(ALL, "2080ti_1", _gpu(13.4, 616, 4352), "eager"),
    "Xeon Gold 6226": Device(ALL, "gold_6226", _of("cpu", "cpu", 2.07, 140, 32, 12), "eager"),
    "Raspberry Pi 4, all cells": Device(ALL, "raspi4", load("raspberry-pi-4", threads=1), "zeros"),
    "Jetson TX2": Device(ONE, "rice_edgegpu", load("jetson-tx2", precision="fp32"), "zeros"),
    "Jetson Nano": Device(ONE, "eagle_jetson", load("jetson-nano", precision="fp32"), "compiled"),
    "Jetson Nano, fp16": Device(ONE, "eagle_jetson_16", load("jetson-nano", precision="fp16"), "compiled"),
    "Raspberry Pi 4": Device(ONE, "rice_raspi4", load("raspberry-pi-4", threads=1), "zeros"),
    "Pixel 3 CPU": Device(ONE, "rice_pixel3", _of("cpu", "arm-cpu", 0.0448, 29.8, 8), "zeros"),
    "Cortex-A76": Device(ONE, "true_a76", SD855, "compiled"),
    "Snapdragon 855 CPU": Device(ONE, "eagle_cpu_855", SD855, "compiled"),
    "Snapdragon 855 GPU": Device(ONE, "eagle_gpu_855", ADRENO, "compiled"),
    "Adreno 640": Device(ONE, "true_640", ADRENO, "compiled"),
    "Adreno 630": Device(ONE, "true_630", _of("gpu", "integrated-gpu", 0.73, 29.8, 256), "compiled"),
    "desktop GTX": Device(ONE, "eagle_gtx", _gpu(11.3, 484, 3584), "compiled"),
    "Snapdragon 855 DSP": Device(ONE, "eagle_dsp_855", _of("npu", "npu", 7.0, 34.1, 4096), "compiled"),
    "Myriad VPU": Device(ONE, "true_vpu", _of("npu", "npu", 1.0, 12.8, 512), "compiled"),
    "Edge TPU": Device(ONE, "eagle_tpu", _of("npu", "npu", 4.0, 12.8, 4096), "compiled"),
    "Eyeriss (simulated)": Device(ONE, "rice_eyeriss", _of("npu", "npu", 0.067, 1.6, 168), "eager"),
    "FPGA (simulated)": Device(ONE, "rice_fpga", _of("npu", "npu", 0.18, 12.8, 900), "eager"),
    "FBNet, GTX 1080 Ti": Device(CHAIN, "1080ti_1", _gpu(11.3, 484, 3584), "compiled"),
    "FBNet, Titan X, batch 32": Device(CHAIN, "titanx_32", _gpu(6.7, 336, 3072, 32), "compiled"),
    "FBNet, Xeon Gold 6240": Device(CHAIN, "gold_6240", _of("cpu", "cpu", 2.99, 140, 32, 18), "compiled"),
    "FBNet, Raspberry Pi 4": Device(CHAIN, "raspi4", load("raspberry-pi-4", threads=4), "compiled"),
    "FBNet, Pixel 2": Device(CHAIN, "pixel2", PIXEL2, "compiled"),
}


@dataclass(frozen=True)
class Cells:
    """Networks of one space, and what each rule has run of them."""

    space: Space
    archs: tuple[Architecture, ...]

    @cached_property
    def runs(self) -> dict[Rule, list[Run]]:
        return {rule: [run_of(arch, rule) for arch in self.archs] for rule in rules_of(self.space)}

    @cached_property
    def items(self) -> dict[Rule, tuple[tuple[Any, ...], Floats]]:
        found = {}
        for rule, runs in self.runs.items():
            column = {item: i for i, item in enumerate(dict.fromkeys(item for run in runs for item in run))}
            counts = np.zeros((len(runs), len(column)))
            for row, run in zip(counts, runs, strict=True):
                np.add.at(row, [column[item] for item in run], 1)
            found[rule] = (tuple(column), counts)
        return found

    @cached_property
    def flops(self) -> Floats:
        return np.array([arch.flops for arch in self.archs], dtype=float)

    @cached_property
    def ops(self) -> Floats:
        """How often each candidate is taken, shape (n, ops)."""
        choices = np.array([arch.choice for arch in self.archs])
        return np.stack([(choices == op).sum(axis=1) for op in range(max(self.space.sizes))], axis=1).astype(float)

    def latencies(self, model: EstimatedModel) -> Floats:
        """Of every network, ms, shape (n,)."""
        if model.ways:
            return np.sum([self.latencies(way) for way in model.ways], axis=0)
        items, counts = self.items[model.rule]
        costs = np.array([model.op_cost_ms(op) + model.term_ms(op, term) for op, term in items])
        return np.maximum(model.calibration.b_ms + counts @ costs, 1e-9)

    def of(self, rows: Sequence[int], rules: Sequence[Rule]) -> dict[Rule, list[Run]]:
        return {rule: [self.runs[rule][i] for i in rows] for rule in rules}


def main() -> None:
    """Print one row a device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--devices", nargs="*")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--before", action="store_true")
    args = parser.parse_args()
    files: dict[str, tuple[Cells, Mapping[str, Floats]]] = {}
    reports = {}
    for name in args.devices or DEVICES:
        device = DEVICES[name]
        if device.file not in files:
            files[device.file] = _read(args.data / device.file)
        cells, columns = files[device.file]
        if args.before:
            reports[name] = _before(device, cells, columns[device.column])
            print(_row_before(name, reports[name]), flush=True)
        else:
            reports[name] = _report(device, cells, columns, args.draws)
            print(_row(name, device, reports[name]), flush=True)
        if args.out:
            args.out.write_text(json.dumps(reports, indent=1) + "\n")


def _read(path: Path) -> tuple[Cells, dict[str, Floats]]:
    """Connected networks in a fixed random order, and the latencies of all devices."""
    data = parquet.read_table(path)
    rng = np.random.default_rng(0)
    chain = "choice" in data.column_names
    space = build(SpaceConfig("fbnet", 32, 3, 100) if chain else SpaceConfig("nasbench201", 32, 3, 10))
    choices = data["choice"].to_pylist() if chain else [order()[i] for i in data["index"].to_pylist()]
    rows, archs = [], []
    for row in rng.permutation(len(choices)):
        arch = space.architecture(choices[row])
        if arch.connected:
            rows.append(row)
            archs.append(arch)
        if len(rows) == POOL + JUDGED:
            break
    columns = [name for name in data.column_names if name not in ("index", "choice")]
    return Cells(space, tuple(archs)), {name: data[name].to_numpy()[rows].astype(float) for name in columns}


def _report(device: Device, cells: Cells, columns: Mapping[str, Floats], draws: int) -> dict[str, Any]:
    y, model = columns[device.column], estimate(cells.space, device.target)
    rest, rng = np.arange(POOL, POOL + JUDGED), np.random.default_rng(1)
    rows: dict[str, list[Floats]] = {}
    rules: Counter[str] = Counter()
    every = rules_of(cells.space)

    def judge(name: str, predicted: Floats, log_spread: float = np.nan) -> None:
        q, t = predicted[rest], y[rest]
        inside = 100 * (np.abs(np.log(t / np.maximum(q, 1e-9))) <= log_spread).mean()
        rows.setdefault(name, []).append(np.array([kendalltau(q, t).statistic, 100 * np.abs(q / t - 1).mean(), inside]))

    def adapted(picked: Sequence[int], allowed: Sequence[Rule]) -> EstimatedModel:
        return adapt_runs(model, device.target, cells.of(picked, allowed), y[picked].tolist())

    for _ in range(draws):
        pool = rng.permutation(POOL)
        picked = pool[:NETWORKS].tolist()
        found = adapted(picked, every)
        rules[found.rule] += 1
        judge("random", cells.latencies(found), found.calibration.log_spread)
        told = adapted(picked, (device.rule,))
        judge("told", cells.latencies(told), told.calibration.log_spread)
        judge("line", _least_squares(np.stack([np.ones_like(y), cells.flops / cells.flops.mean()], axis=1), y, picked))
        judge("ridge", _ridge(cells.ops, y, picked))
        pool = np.sort(pool[:POOL // 2])
        chosen = pool[choose_runs(device.target, cells.of(pool.tolist(), every), NETWORKS)].tolist()
        found = adapted(chosen, every)
        judge("chosen", cells.latencies(found), found.calibration.log_spread)
    means = {name: np.nanmean(values, axis=0).tolist() for name, values in rows.items()}
    return {**means, "rules": dict(rules)}


def _before(device: Device, cells: Cells, y: Floats) -> dict[str, Any]:
    """Of all networks: tau of FLOPs and of three estimates, two of which were told a rule; where the third is."""
    space, target = cells.space, device.target
    told: dict[str, str | None] = {"compiled": COMPILED, "rule": device.rule, "estimate": None}
    models = {name: estimate(space, target, rule) for name, rule in told.items()}
    said = {name: cells.latencies(model) for name, model in models.items()}
    ratio = np.log(y / said["estimate"])
    return {
        **{name: float(kendalltau(q, y).statistic) for name, q in {**said, "flops": cells.flops}.items()},
        "error_of_the_difference": _error_of_difference(said["estimate"], cells.flops, y),
        "measured_over_estimated": float(np.exp(np.median(ratio))),
        "in_band": float(100 * (np.abs(ratio) <= models["estimate"].calibration.log_spread).mean()),
    }


def _error_of_difference(first: Floats, second: Floats, y: Floats) -> float:
    """Standard error of tau(first) - tau(second) over which networks were measured: 50 bootstraps."""
    rng, found = np.random.default_rng(0), []
    for _ in range(50):
        i = rng.integers(len(y), size=len(y))
        found.append(kendalltau(first[i], y[i]).statistic - kendalltau(second[i], y[i]).statistic)
    return float(np.std(found))


def _row_before(name: str, report: Mapping[str, Any]) -> str:
    difference = report["estimate"] - report["flops"]
    cells = [name, f"{report['flops']:.3f}", f"{report['compiled']:.3f}", f"{report['rule']:.3f}",
             f"**{report['estimate']:.3f}**", f"{difference:+.3f} ± {report['error_of_the_difference']:.3f}",
             f"{report['measured_over_estimated']:.2f}", f"{report['in_band']:.0f} %"]
    return "| " + " | ".join(cells) + " |"


def _least_squares(x: Floats, y: Floats, picked: Sequence[int]) -> Floats:
    """Least squares of relative errors."""
    found: Floats = x @ np.linalg.lstsq(x[picked] / y[picked, None], np.ones(len(picked)), rcond=None)[0]
    return found


def _ridge(x: Floats, y: Floats, picked: Sequence[int]) -> Floats:
    centred = x - x[picked].mean(axis=0)
    known, centre = centred[picked], y[picked].mean()
    weights = np.linalg.solve(known.T @ known + np.eye(x.shape[1]), known.T @ (y[picked] - centre))
    found: Floats = centre + centred @ weights
    return found


def _row(name: str, device: Device, report: Mapping[str, Any]) -> str:
    def both(key: str) -> str:
        tau, error, _ = report[key]
        return f"{tau:.3f}, {error:.1f} %"

    rules = ", ".join(f"{rule} {n}" for rule, n in report["rules"].items())
    cells = [name, device.role, both("line"), both("ridge"), f"**{both('random')}**", f"{report['random'][2]:.0f} %",
             both("chosen"), rules, both("told")]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()

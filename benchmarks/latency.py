"""How well tables predict networks they have not seen; fills a folder of results, one JSON per setting.

    python benchmarks/latency.py --out DIR [--runtime onnxruntime ...] [--precision fp32 ...] [--space mobile ...]
    python benchmarks/latency.py --out DIR --write benchmarks/latency.md      measures nothing

A setting that DIR has already is not measured again, so the work can be spread over quiet hours; delete its file to
have it anew. In one setting everything is measured in one run: the table as `hwnas profile` makes it, the blocks alone
for the rivals, and the held-out networks in groups, each tied to the table by calibration networks timed once more.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import latency_rivals as rivals
import numpy as np

from hwnas.files import write_json
from hwnas.latency import LatencyModel, errors
from hwnas.profile import ProfileResult, measure, measure_networks
from hwnas.profile.calibration_networks import depth_range, random_network
from hwnas.runtime import Fingerprint, runtime_for
from hwnas.space import Architecture, Space, SpaceConfig, build
from hwnas.target import Target, load

SPACES = {
    "mobile": SpaceConfig("mobile", 128, 3, 10), "ofa": SpaceConfig("ofa", 224, 3, 1000),
    "nasbench201": SpaceConfig("nasbench201", 32, 3, 10),
}
TIES = 12
AGAIN = 8  # calibration networks that every group loads and times anew, to see what a load does
ROWS = {
    "table": "**calibrated table**", "plain": "plain sum, blocks in context", "isolated": "plain sum, isolated blocks",
    "flops": "linear in FLOPs", "forest_isolated": "nn-Meter's forest, isolated blocks",
    "forest": "nn-Meter's forest, blocks in context",
}


def main() -> None:
    """Measure what the folder lacks; write the tables if asked to."""
    args = _arguments()
    if args.write:
        _write(args.out, args.write)
        return
    args.out.mkdir(parents=True, exist_ok=True)
    for space in args.space:
        for runtime in args.runtime:
            for precision in args.precision:
                path = args.out / f"{space}-{runtime}-{precision}.json"
                if not path.exists():
                    result = _setting(space, load("local", runtime=runtime, precision=precision), args)
                    write_json(path, result)
                    print(f"{path.stem}: " + _line(result), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of results")
    parser.add_argument("--write", type=Path, help="the Markdown file to write; nothing is measured")
    parser.add_argument("--space", nargs="*", default=list(SPACES), choices=list(SPACES))
    parser.add_argument("--runtime", nargs="*", default=["onnxruntime", "openvino"])
    parser.add_argument("--precision", nargs="*", default=["fp32", "int8"])
    parser.add_argument("--networks", type=int, default=200, help="held out")
    parser.add_argument("--group", type=int, default=40, help="held-out networks that are loaded together")
    parser.add_argument("--seconds", type=float, default=60.0, help="of timing: the table, and each group, at most")
    parser.add_argument("--imgsz", type=int, help="another input size, to try things")
    parser.add_argument("--depth", type=int, help="another depth, to try things")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _setting(name: str, target: Target, args: argparse.Namespace) -> dict[str, Any]:
    config = SPACES[name]
    space = build(SpaceConfig(name, args.imgsz or config.imgsz, 3, config.classes, depth=args.depth))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.jsonl"
        begin = time.perf_counter()
        table = measure(space, target, path, seed=args.seed, max_seconds=args.seconds)
        seconds = time.perf_counter() - begin
        networks = held_out(space, table.networks, args.networks, args.seed + 1000)
        ties = _ties(table)
        groups = [networks[i : i + args.group] for i in range(0, len(networks), args.group)]
        again = [arch for arch in table.networks if arch not in ties][:AGAIN]
        rounds = np.array([
            _padded(
                measure_networks(
                    again + group, target, path, known_ms=ties, seed=args.seed + 1 + i, max_seconds=args.seconds
                ), AGAIN + args.group,
            ) for i, group in enumerate(groups)
        ])
        measured = rounds[:, len(again):].ravel()[: len(networks)]
        known = dict(zip(table.networks, table.networks_ms, strict=True))
        loads = np.log(rounds[:, : len(again)] / np.array([known[arch] for arch in again]))
        alone = measure(
            space, target, Path(folder) / "alone.jsonl", seed=args.seed, calibration_networks=0, held_out=0,
            max_seconds=args.seconds, isolated=True,
        )
    return _evaluated(table, alone, networks, measured) | {
        "reloaded_log_ratios": np.round(loads, 5).tolist(),
        "setting": [name, str(space.config.imgsz), target.runtime, target.precision],
        "signatures": len(space.signatures), "table_seconds": round(seconds, 1),
        "total_seconds": round(time.perf_counter() - begin, 1),
        "device": Fingerprint.of(runtime_for(target)).to_json(), "report": table.report,
    }


def _padded(array: np.ndarray, length: int) -> np.ndarray:
    return np.concatenate([array, np.full(length - len(array), np.nan)])


def held_out(space: Space, taken: Sequence[Architecture], count: int, seed: int) -> list[Architecture]:
    """Random networks of even depths, none of them in the calibration."""
    rng, seen = np.random.default_rng(seed), set(taken)
    low, high = depth_range(space)
    found: list[Architecture] = []
    for _ in range(50 * count):
        arch = random_network(space, int(rng.integers(low, high + 1)), rng)
        if arch not in seen and len(found) < count:
            seen.add(arch)
            found.append(arch)
    return found


def _ties(table: ProfileResult) -> dict[Architecture, float]:
    """Some of the calibration networks, evenly over the order of their times."""
    order = np.argsort(table.networks_ms)
    picked = order[np.linspace(0, len(order) - 1, min(TIES, len(order))).round().astype(int)]
    return {table.networks[i]: float(table.networks_ms[i]) for i in dict.fromkeys(picked.tolist())}


def _evaluated(
    table: ProfileResult, alone: ProfileResult, networks: list[Architecture], measured: np.ndarray
) -> dict[str, Any]:
    model, isolated = table.model, LatencyModel("local", "measured", alone.isolated_ms)
    predictions = [model.predict(arch) for arch in networks]
    by_row = {
        "table": np.array([p.latency_ms for p in predictions]),
        "plain": model.sums(networks)[0],
        "isolated": isolated.sums(networks)[0],
        "flops": rivals.linear_on_flops(table.networks, table.networks_ms, networks),
        "forest_isolated": rivals.forest(alone.isolated_ms, networks),
        "forest": rivals.forest(model.entries_ms, networks),
    }
    covered = [p.low_ms <= ms <= p.high_ms for p, ms in zip(predictions, measured.tolist(), strict=True)]
    return {
        "networks": len(networks), "coverage": round(100 * float(np.mean(covered)), 1),
        "rows": {name: errors(predicted, measured).to_json() for name, predicted in by_row.items()},
        "measured_ms": [round(ms, 6) for ms in measured.tolist()],
        "predicted_ms": {name: [round(ms, 6) for ms in p.tolist()] for name, p in by_row.items()},
    }


def _line(result: dict[str, Any]) -> str:
    e = result["rows"]["table"]
    return (f"MAPE {e['mape']:.2f} %, within 5 % {e['within_5']:.0f} %, within 10 % {e['within_10']:.0f} %, tau "
            f"{e['kendall_tau']:.3f}, interval holds {result['coverage']:.0f} %, table {result['table_seconds']:.0f} s"
            f"{', NOISY' if result['report']['noisy'] else ''}")


def _write(folder: Path, path: Path) -> None:
    results = [json.loads(p.read_text()) for p in sorted(folder.glob("*.json"))]
    if not results:
        raise SystemExit(f"{folder} holds no results: run `python benchmarks/latency.py --out {folder}` first")
    device = results[0]["device"]
    text = [
        "# How well latency tables predict networks they have not seen", "",
        "    python benchmarks/latency.py --out DIR",
        "    python benchmarks/latency.py --out DIR --write benchmarks/latency.md", "",
        f"Device: {device['cpu']} ({', '.join(device['flags'])}), {device['cores']} cores; batch 1, one thread, "
        "processor time.",
        "Held-out networks are random, of evenly drawn depths, and used for neither table nor calibration; the rivals "
        "predict the same", "networks from the same run.", "",
    ]
    text += ["| setting | MAPE % | <= 5 % | <= 10 % | Kendall tau | 90 % interval holds | table, s |",
             "| --- | --- | --- | --- | --- | --- | --- |", *map(_row, results), ""]
    for result in results:
        text += _section(result)
    path.write_text("\n".join(text), encoding="utf-8")
    print(f"wrote {path}")


def _row(result: dict[str, Any]) -> str:
    e, (name, imgsz, runtime, precision) = result["rows"]["table"], result["setting"]
    cells = [f"{name} {imgsz} px, {runtime} {precision}", f"{e['mape']:.2f}", f"{e['within_5']:.0f}",
             f"{e['within_10']:.0f}", f"{e['kendall_tau']:.3f}", f"{result['coverage']:.0f} %",
             f"{result['table_seconds']:.0f}"]
    return f"| {' | '.join(cells)} |"


def _section(result: dict[str, Any]) -> list[str]:
    name, imgsz, runtime, precision = result["setting"]
    report = result["report"]
    campaign = report["campaigns"][0]
    spread = report["calibration"]["log_spread"]
    rows = [
        f"| {ROWS[row]} | {e['mape']:.2f} | {e['bias']:+.2f} | {e['within_5']:.0f} | {e['within_10']:.0f} "
        f"| {e['kendall_tau']:.3f} |" for row, e in result["rows"].items()
    ]
    noisy = f" Noisy: {'; '.join(report['warnings'])}." if report["noisy"] else ""
    return [
        f"## {name} {imgsz} px, {runtime} {result['device']['runtime_version']} {precision}", "",
        f"{result['signatures']} signatures, {result['networks']} held-out networks of "
        f"{min(result['measured_ms']):.2f} to {max(result['measured_ms']):.2f} ms.", "",
        "| prediction | MAPE % | bias % | <= 5 % | <= 10 % | Kendall tau |", "| --- | --- | --- | --- | --- | --- |",
        *rows, "",
        f"The 90 % interval (+-{100 * spread:.1f} %) held {result['coverage']:.0f} % of them. Table and calibration "
        f"took {result['table_seconds']:.0f} s, the setting {result['total_seconds']:.0f} s.",
        f"Median of an entry known to +-{100 * campaign['entries_within']:.1f} %, label noise "
        f"{100 * campaign['label_noise']:.1f} %, {campaign['sweeps']} sweeps.{noisy}", "",
    ]


if __name__ == "__main__":
    main()

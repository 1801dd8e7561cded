"""Measure the tables that ship, on this machine's CPU, into latency_tables/; goes on where it was cut off.

    python benchmarks/ship_tables.py [--space mobile ...] [--runtime onnxruntime ...] [--precision fp32 ...] [--errors]

One table a runtime and precision holds all spaces. What a table has already is not measured again, so a second call
does nothing but write latency_tables/ERRORS.md, which is made of the calibrations in the tables; --errors does only
that. The machine has to be left alone meanwhile.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from typing import Any

from hwnas.latency import Table, table_file, table_path
from hwnas.profile import measure
from hwnas.runtime import Fingerprint, runtime_for
from hwnas.space import Space, SpaceConfig, build
from hwnas.target import Target, load

ROOT = Path(__file__).resolve().parents[1]
SPACES = (
    SpaceConfig("mobile", 32, classes=10), SpaceConfig("mobile", 128, classes=10),
    SpaceConfig("nasbench201", 32, classes=10), SpaceConfig("proxyless", 224), SpaceConfig("ofa", 224),
    SpaceConfig("fbnet", 224),
)
RUNTIMES = ("onnxruntime", "openvino")
PRECISIONS = ("fp32", "int8")
COLUMNS = ("table", "space", "entries", "networks", "mean error", "bias", "within 5 %", "within 10 %", "Kendall tau",
           "90 % interval", "in it", "device", "runtime")


def main() -> None:
    """Fill every table that was asked for, one space after the other, then write the errors."""
    args = _arguments()
    if not args.errors:
        for target in _targets(args):
            for space in map(build, SPACES):
                if space.config.name in args.space:
                    _fill(target, space, args)
    for table in args.out.rglob("*.jsonl"):
        table_file.write_whole(table, Table.read(table).to_lines())  # what was known after fewer sweeps is left out
    path = args.out / "ERRORS.md"
    path.write_text(_report(args.out), encoding="utf-8")
    print(f"wrote {path}")
    for lock in args.out.rglob(".*.lock"):
        lock.unlink()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default=None, help="default: x86-avx512 or x86-avx2, as this CPU is")
    parser.add_argument("--space", nargs="*", default=sorted({config.name for config in SPACES}))
    parser.add_argument("--runtime", nargs="*", default=list(RUNTIMES))
    parser.add_argument("--precision", nargs="*", default=list(PRECISIONS))
    parser.add_argument("--held-out", type=int, default=100, help="networks that check each calibration")
    parser.add_argument("--max-seconds", type=float, default=120.0, help="of timing, a space")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "latency_tables")
    parser.add_argument("--errors", action="store_true", help="measure nothing, write ERRORS.md anew")
    return parser.parse_args()


def _targets(args: argparse.Namespace) -> list[Target]:
    """One a runtime and precision, with the name that this CPU's instruction sets have."""
    pairs = [(runtime, precision) for runtime in args.runtime for precision in args.precision]
    flags = Fingerprint.of(runtime_for(load("local", runtime=pairs[0][0]))).flags
    name = args.target or ("x86-avx512" if "avx512f" in flags else "x86-avx2")
    return [load(name, runtime=runtime, precision=precision) for runtime, precision in pairs]


def _fill(target: Target, space: Space, args: argparse.Namespace) -> None:
    label = f"{target} {space.config.name} {space.config.imgsz} px"
    begin = time.perf_counter()
    found = measure(space, target, table_path(args.out, target), seed=args.seed, held_out=args.held_out,
                    max_seconds=args.max_seconds)
    noise = " NOISY" if found.report.get("noisy") else ""
    print(f"{label}: {found.report['measured']} blocks in {time.perf_counter() - begin:.0f} s{noise}", flush=True)
    for warning in found.report.get("warnings", []):
        print(f"{label}: {warning}", file=sys.stderr, flush=True)


def _report(folder: Path) -> str:
    rows = [row for path in sorted(folder.rglob("*.jsonl")) for row in _rows(path, folder)]
    lines: list[tuple[str, ...]] = [COLUMNS, ("---",) * len(COLUMNS), *rows]
    table = "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
    return ("# Errors of the tables that ship\n\nOn random networks that were held out while each calibration was "
            "checked; the interval holds 90 % of\nnetworks. Made by `python benchmarks/ship_tables.py` from the "
            f"calibrations in the tables.\n\n{table}\n")


def _rows(path: Path, folder: Path) -> list[tuple[str, ...]]:
    """One a space that the table is calibrated for."""
    table = Table.read(path)
    rows: list[tuple[str, ...]] = []
    for space in map(build, SPACES):
        record: dict[str, Any] = table.calibration_records.get(space.fingerprint, {})
        if e := record.get("held_out"):
            name = f"{space.config.name} {space.config.imgsz} px, {space.config.classes} classes"
            reach = 100 * math.expm1(record["log_spread"])
            rows.append((str(path.relative_to(folder)), name, str(len(space.signatures)), str(e["networks"]),
                         f"{e['mape']:.2f} %", f"{e['bias']:+.2f} %", f"{e['within_5']:.0f} %",
                         f"{e['within_10']:.0f} %", f"{e['kendall_tau']:.3f}", f"+-{reach:.1f} %",
                         f"{e['coverage']:.0f} %" if "coverage" in e else "", str(table.device.get("cpu")),
                         f"{table.device.get('runtime')} {table.device.get('runtime_version')}"))
    return rows


if __name__ == "__main__":
    main()

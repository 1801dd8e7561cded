"""How well a table predicts networks it has not seen; prints the rows of latency_model.md.

    python benchmarks/latency_model.py [--space mobile] [--imgsz 32] [--networks 100] [--seeds 1] [--out FILE.json]

Table, calibration networks and held-out networks are timed in the same sweeps; the seconds that the held-out
networks took are counted apart.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from hwnas.profile import measure
from hwnas.runtime import Fingerprint, runtime_for
from hwnas.space import SpaceConfig, build
from hwnas.target import load

ROWS = {
    "calibrated table": "held_out",
    "plain sum, blocks in context": "held_out_plain_sum",
    "plain sum, isolated blocks": "held_out_isolated_sum",
}


def main() -> None:
    """Measure into a fresh table per seed and print what came out."""
    args = _arguments()
    space, target = build(SpaceConfig(args.space, args.imgsz, 3, 10)), load("local", threads=args.threads)
    device = Fingerprint.of(runtime_for(target))
    print(f"{device.cpu} ({', '.join(device.flags)}), {device.runtime} {device.runtime_version}, {target.key}")
    reports = []
    for seed in range(args.seeds):
        with tempfile.TemporaryDirectory() as folder:
            result = measure(
                space, target, Path(folder) / "table.jsonl", seed=seed, held_out=args.networks,
                max_seconds=args.seconds, isolated=True,
            )
        reports.append(result.report)
        _print(result.report)
    if args.out:
        args.out.write_text(json.dumps({"device": device.to_json(), "reports": reports}, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="mobile")
    parser.add_argument("--imgsz", type=int, default=32)
    parser.add_argument("--networks", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def _print(report: dict[str, Any]) -> None:
    calibration, (campaign, *_) = report["calibration"], report["campaigns"]
    print(f"\n{report['space']}: {report['measured']} signatures, {report['networks']} calibration networks")
    print("| prediction | MAPE % | bias % | <= 5 % | <= 10 % | tau |\n| --- | --- | --- | --- | --- | --- |")
    for name, key in ROWS.items():
        e = report[key]
        print(f"| {name} | {e['mape']:.2f} | {e['bias']:+.2f} | {e['within_5']:.0f} | {e['within_10']:.0f} "
              f"| {e['kendall_tau']:.3f} |")
    table_seconds = report["seconds"] - report["seconds_held_out"]
    print(f"{calibration['form']}: a {calibration['a']:.3f}, b {calibration['b_ms']:+.4f} ms, "
          f"c {calibration['c_ms_per_mb']:.4f} ms/MB, 90 % within {calibration['log_spread']:.3f} (log)")
    c = campaign
    print(f"table and calibration {table_seconds:.1f} s, held-out networks {report['seconds_held_out']:.1f} s; "
          f"other work kept {c['conditions']['others'] or 0:.1f} cores busy")
    print(f"noise (sd of log ratio): labels odd/even {c['label_noise']:.3f}, table odd/even {c['noise_odd_even']:.3f}, "
          f"halves {c['noise_halves']:.3f}; median of an entry known to +-{100 * c['entries_within']:.1f} %; "
          f"{c['sweeps']} sweeps, {c['sweeps_rejected']} rejected; speed p10..p90 {c['speed_p10']:.2f}.."
          f"{c['speed_p90']:.2f}; first run / steady {c['first_run_over_steady']:.2f}")


if __name__ == "__main__":
    main()

"""The same table twice, the second time with another process that keeps one core busy; prints how entries differ.

    python benchmarks/latency_noise.py [--space mobile] [--imgsz 32] [--runtime onnxruntime] [--busy 1]

The second table is measured with `again` over a copy of the first, so the reference kernel ties their speeds; what
comes without that is printed beside it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from hwnas.profile import ProfileResult, measure
from hwnas.space import SpaceConfig, build
from hwnas.target import load


def main() -> None:
    """Measure quiet, busy, and quiet again."""
    args = _arguments()
    space = build(SpaceConfig(args.space, args.imgsz, 3, 10))
    target = load("local", runtime=args.runtime, precision=args.precision)
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder) / "first.jsonl"
        results = {"quiet": measure(space, target, first, seed=args.seed)}
        for name, processes in (("busy", args.busy), ("quiet again", 0)):
            path = Path(folder) / f"{name}.jsonl"
            shutil.copy(first, path)
            others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
            try:
                results[name] = measure(space, target, path, seed=args.seed + 1, again=True)
            finally:
                for other in others:
                    other.kill()
                    other.wait()
    for name, result in results.items():
        _print(name, result, results["quiet"])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="mobile")
    parser.add_argument("--imgsz", type=int, default=32)
    parser.add_argument("--runtime", default="onnxruntime")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--busy", type=int, default=1, help="processes that keep a core busy")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _print(name: str, result: ProfileResult, first: ProfileResult) -> None:
    pairs = [(ms, first.model.entries_ms[s]) for s, ms in result.model.entries_ms.items() if ms > 0]
    ratios = np.array([now / before for now, before in pairs if before > 0])
    tie = result.report["campaigns"][0]["tie_to_table"]
    tied, untied = (100 * float(np.median(np.abs(r - 1))) for r in (ratios, ratios / tie))
    most = 100 * float(np.percentile(np.abs(ratios - 1), 90))
    print(f"{name}: entries differ by {tied:.1f} % in the median, {most:.1f} % in nine of ten "
          f"({untied:.1f} % in the median without the reference kernel); noisy: {result.report['noisy']}")
    for warning in result.report["warnings"]:
        print(f"    {warning}")


if __name__ == "__main__":
    main()

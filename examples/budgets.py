"""One search, many budgets: a compress, then other networks from the same search in milliseconds.

    python examples/budgets.py [RUN]

Without an argument it first makes a small run on the digits (about a minute).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import hwnas


def main() -> None:
    if len(sys.argv) > 1:
        run = hwnas.load(sys.argv[1])
    else:
        out = Path(tempfile.mkdtemp()) / "run"
        run = hwnas.compress(out, data="digits", limit=400, epochs=1, warmup=2, cycles=1, settle=20,
                             budgets={"latency": "60%"})
    for latency in ("80%", "60%", "40%"):
        best = hwnas.pick(run.path, {"latency": latency})[0]
        print(f"{latency:>4} of the reference's latency: {best.predicted_score:.2f} % predicted, "
              f"~{best.costs['latency'] / 1e6:.3f} ms, {best.costs['flops'] / 1e6:.2f} MMACs, "
              f"{best.architecture.choice}")


if __name__ == "__main__":
    main()

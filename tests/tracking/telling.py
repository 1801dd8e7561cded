"""A process that tells a tracker of points: `python telling.py RUN TRACKER FIRST SLOW`, slowly from SLOW on."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from hwnas.tracking.record import Tracking
from hwnas.tracking.registry import makers
from hwnas.tracking.tracker import TrackedRun

POINTS = 30


def value(step: int) -> float:
    return 0.5 + step / 64  # of few bits: as exact in a float32 as anywhere


def telling(run: Path, *names: str) -> Tracking:
    """Trackers of a run in a folder that exists."""
    return Tracking(run, makers(names), lambda number: TrackedRun(run.name, number, run / "tracking",
                                                                  {"epochs": 3, "budgets": {"flops": "60%"}}))


def tell(tracking: Tracking, first: int, last: int) -> None:
    for step in range(first, last):
        tracking.metrics("search/train", step, {"score": value(step), "architecture": f'{{"choice": [{step}]}}'})
        tracking.metrics("search/weights", step, {"loss": value(2 * step), "lr": 0.25})


if __name__ == "__main__":
    run, name, first, slow = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    with telling(run, name) as tracking:
        for step in range(first, POINTS):
            tell(tracking, step, step + 1)
            print(step, flush=True)
            time.sleep(0.0 if step < slow else 1.0)

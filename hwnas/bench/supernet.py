"""Signals of architectures that nobody has trained alone, judged by the truth of a benchmark. Needs torch.

    DIR/signals.jsonl    a line a signal: its name, what it depends on, the seconds it took, and what it says of every
                         architecture; a signal that is there is not computed again
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.bench.benchmark import FloatArray, TabularBenchmark
from hwnas.bench.ranks import Cells, Ranking, ranking
from hwnas.errors import RunError, UnknownName, UsageError
from hwnas.files import append_line, read_lines

if TYPE_CHECKING:
    from hwnas.search.signals import Signals

FILE = "signals.jsonl"


@dataclass(frozen=True)
class Judged:
    """A signal and how it orders.

    Args:
        seconds: that it took; what it trains is counted at the first signal of the same weights.
    """

    name: str
    ranking: Ranking
    seconds: float


def judged(benchmark: TabularBenchmark, signals: Signals, names: Sequence[str], cells: int,
           out: Path | None = None) -> list[Judged]:
    """Judge signals on some architectures of a benchmark, drawn by the seed of the signals.

    Args:
        names: of signals; two with a plus between them are one that says the mean of their places.
        cells: how many architectures.
        out: where what is found is kept.

    Raises:
        UnknownName: no such signal.
        UsageError: the space of the signals is not that of the benchmark, or too few architectures.
        RunError: `out` holds signals of something else.
    """
    from hwnas.search.signals import NAMES

    parts = list(dict.fromkeys(part for name in names for part in name.split("+")))
    for part in parts:
        if part not in NAMES:
            raise UnknownName("signal", part, NAMES)
    space = signals.setting.space
    if tuple(space.sizes) != benchmark.choices:
        raise UsageError(f"{benchmark.name} has choices of {list(benchmark.choices)} ops, the space {space.name} of "
                         f"{list(space.sizes)}: take the space of the benchmark")
    total = math.prod(benchmark.choices)
    if not 2 <= cells <= total:
        raise UsageError(f"2 to {total} architectures can be ordered, not {cells}")
    drawn = np.random.default_rng(signals.setting.seed).choice(total, cells, replace=False)
    chosen = [tuple(int(k) for k in np.unravel_index(i, benchmark.choices)) for i in sorted(drawn.tolist())]
    kept = _Kept(out, _identity(benchmark, signals, chosen))
    for part in parts:
        if part not in kept.values:
            began = time.monotonic()
            kept.keep(part, signals(part, chosen), time.monotonic() - began)
        signals.know(part, chosen, kept.values[part])
    costs = [[op.flops for op in choice.ops] for choice in space.choices]
    return [Judged(name, ranking(chosen, signals(name, chosen), benchmark.truths, costs),
                   sum(kept.seconds[part] for part in name.split("+"))) for name in names]


def _identity(benchmark: TabularBenchmark, signals: Signals, cells: Cells) -> str:
    """Differs where signals do."""
    setting = signals.setting
    told = [benchmark.identity, setting.space.fingerprint, setting.task.data.fingerprint, setting.seed, signals.epochs,
            setting.config.described(), cells]
    return hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()[:16]


class _Kept:
    """What was computed before."""

    def __init__(self, folder: Path | None, identity: str) -> None:
        self._path, self._identity = None if folder is None else folder / FILE, identity
        self.values: dict[str, FloatArray] = {}
        self.seconds: dict[str, float] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        if self._path is not None and self._path.exists():
            for line in read_lines(self._path):
                self._take(line)

    def _take(self, line: Any) -> None:
        try:
            if line["identity"] != self._identity:
                raise RunError(f"{self._path} holds signals of other images, epochs, seeds or architectures: choose "
                               "another folder")
            self.values[line["signal"]] = np.array([-np.inf if v is None else v for v in line["values"]], dtype=float)
            self.seconds[line["signal"]] = float(line["seconds"])
        except (KeyError, TypeError, ValueError) as err:
            raise RunError(f"{self._path} has a line that is no signal ({err}): delete it to start again") from err

    def keep(self, name: str, values: FloatArray, seconds: float) -> None:
        self.values[name], self.seconds[name] = values, seconds
        if self._path is not None:
            said = [float(v) if math.isfinite(v) else None for v in values]
            append_line(self._path, {"signal": name, "identity": self._identity, "seconds": seconds, "values": said})

"""Budgets as people write them: `8ms`, `50%`, `300M`, `2M`, `64MB`. A percentage is of the reference network.

| name    | unit inside      | accepted                                        |
|---------|------------------|-------------------------------------------------|
| latency | nanoseconds      | us, ms, s, %                                    |
| flops   | multiply-accumulates | k, M, G, plain number, %                    |
| params  | parameters       | k, M, plain number, %                           |
| memory  | bytes of activations alive at once | B, KB, MB, KiB, MiB, GB, GiB, %  |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hwnas.documents import brief
from hwnas.errors import UsageError

_COUNT = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
UNITS: dict[str, dict[str, float]] = {
    "latency": {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9},
    "flops": _COUNT,
    "params": _COUNT,
    "memory": {"B": 1.0, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30},
}
_EXAMPLE = {"latency": "8ms or 50%", "flops": "300M or 60%", "params": "2M or 50%", "memory": "64MB or 50%"}
MOST, LONGEST = 1e12, 64  # of the number, and characters of the text
_TEXT = re.compile(r"^\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z%]*)\s*$")


@dataclass(frozen=True)
class Budget:
    """An upper bound on one cost.

    Args:
        name: a key of `UNITS`.
        value: in the unit inside, or a fraction of the reference network if `relative`.
        relative: whether `value` is a fraction.
        text: as the user wrote it.
    """

    name: str
    value: float
    relative: bool
    text: str

    def absolute(self, reference: float) -> float:
        """The bound in the unit inside, given the cost of the reference network."""
        return self.value * reference if self.relative else self.value


def parse(name: str, text: str) -> Budget:
    """Read one budget.

    Raises:
        UsageError: unknown name, no number, a wrong unit, or a value that is not above zero.
    """
    if name not in UNITS:
        raise UsageError(f"unknown budget {name!r}; known: {', '.join(UNITS)}")
    found = _TEXT.match(str(text)) if len(str(text)) <= LONGEST else None
    units = UNITS[name]
    if found is None or (found[2] != "%" and found[2] not in units):
        known = ", ".join(unit or "a plain number" for unit in (*units, "%"))
        raise UsageError(f"--{name} {brief(text)}: a number and a unit are needed ({known}), e.g. --{name} "
                         f"{_EXAMPLE[name]}")
    number = float(found[1])
    if not number > 0:
        raise UsageError(f"--{name} {text!r}: a budget must be above zero")
    if not number <= MOST:
        raise UsageError(f"--{name} {brief(text)}: a budget is at most {MOST:.0e} of its unit")
    if found[2] == "%":
        return Budget(name, number / 100, True, str(text))
    return Budget(name, number * units[found[2]], False, str(text))


def parse_all(texts: Mapping[str, str | None]) -> dict[str, Budget]:
    """Read the budgets that are given; None is left out."""
    return {name: parse(name, text) for name, text in texts.items() if text is not None}


def show(name: str, value: float) -> str:
    """A cost in the unit people read."""
    if name == "latency":
        return f"{value / 1e6:.3f} ms"
    if name == "memory":
        return f"{value / 1e6:.2f} MB"
    return f"{value / 1e6:.2f} M" if value >= 1e5 else f"{value:.0f}"

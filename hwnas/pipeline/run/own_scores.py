"""scores.jsonl, the losses of options of a user's own network: names of its lines, and which hold on another target.

| line                     | what was replaced                         |
|--------------------------|-------------------------------------------|
| `u03 thin-0.5/int8`      | one unit, by its option                   |
| `uniform int8`           | nothing; every unit in a precision        |
| `pair u03 KEY u04 KEY`   | two neighbours                            |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hwnas.files import append_line, read_lines

FILE = "scores.jsonl"
UNIFORM, PAIR = "uniform ", "pair "
FLOATS = "/float"  # what the key of an option in floats ends with


def scores_in(folder: Path) -> dict[str, dict[str, Any]]:
    """Name of a line -> line; nothing where no option was scored yet."""
    path = folder / FILE
    return {str(line["what"]): line for line in read_lines(path)} if path.is_file() else {}


def add_scores(folder: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Add lines to the file of a run."""
    for line in lines:
        append_line(folder / FILE, dict(line))


def holding(lines: Mapping[str, Mapping[str, Any]], before: Mapping[str, Any], now: Mapping[str, Any]
            ) -> list[Mapping[str, Any]]:
    """Those losses that are the same on another target: where the same runtime computes the same numbers, all of them.

    Another runtime has another form of int8 and kernels of its own, so that what is lowered is scored anew; float32 is
    the same but for the last digits.

    Args:
        before, now: both targets, as `hwnas.pipeline.run.results.described` gives them; precision is that of floats.
    """
    if before["precision"] != now["precision"]:
        return []
    if before["runtime"] == now["runtime"]:
        return list(lines.values())
    return [line for name, line in lines.items() if now["precision"] == "fp32" and _of_floats(name)]


def _of_floats(name: str) -> bool:
    keys = name.removeprefix(PAIR).split(" ")[1::2]
    return not name.startswith(UNIFORM) and all(key.endswith(FLOATS) for key in keys)

"""What goes to standard output: tables for people, aligned text for pipes, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any


def say(text: str = "") -> None:
    """A line on standard output."""
    print(text)


def say_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=1, default=str))


def say_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Aligned `name  value` lines."""
    pairs = [(name, str(value)) for name, value in facts]
    width = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        print(f"{name:<{width}}  {value}")


def say_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table: drawn on a terminal, aligned text in a pipe. Columns of numbers are aligned right."""
    cells = [[str(cell) for cell in row] for row in rows]
    right = [bool(cells) and all(row[i][:1] in "0123456789+-" for row in cells) for i in range(len(columns))]
    if sys.stdout.isatty():
        _drawn(columns, cells, right)
    else:
        _aligned(columns, cells, right)


def _drawn(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column, number in zip(columns, right, strict=True):
        table.add_column(Text(column), justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


def _aligned(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
    lines = [list(columns), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        padded = [f"{cell:>{width}}" if number else f"{cell:<{width}}"
                  for cell, width, number in zip(line, widths, right, strict=True)]
        print("  ".join(padded).rstrip())

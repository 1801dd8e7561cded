"""What goes to standard output and standard error: the one place where the command line prints.

Whatever is printed for people passes `hwnas.documents.printable`: a class may be called `\\x1b[2J`, a folder `a\\nb`.
JSON escapes by itself. Tables for people, aligned text for pipes, JSON for programs.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from hwnas.documents import printable


def say(*lines: object) -> None:
    """Lines on standard output; an empty one without any."""
    for line in lines or ("",):
        print(printable(line))


def note(*lines: object) -> None:
    """Lines on standard error, at once."""
    for line in lines:
        print(printable(line), file=sys.stderr, flush=True)


def say_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=1, default=str))


def say_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Aligned `name  value` lines."""
    pairs = [(printable(name), printable(value)) for name, value in facts]
    width = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        print(f"{name:<{width}}  {value}")


def say_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table: drawn on a terminal, aligned text in a pipe. Columns of numbers are aligned right.

    Where a terminal is too narrow for whole words, every row becomes a block of `name  value` lines.
    """
    columns = [printable(column) for column in columns]
    cells = [[printable(cell) for cell in row] for row in rows]
    right = [bool(cells) and all(row[i][:1] in "0123456789+-" for row in cells) for i in range(len(columns))]
    if not sys.stdout.isatty():
        _aligned(columns, cells, right)
    elif (widths := column_widths(columns, cells, shutil.get_terminal_size().columns)) is not None:
        _drawn(columns, cells, right, widths)
    else:
        _stacked(columns, cells)


FRAME = 2  # between two columns
LONG = 24  # a longer word, a path or a signature, may be cut
PROSE = 12  # least of a column with cells of more than twice as many characters


def column_widths(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """How wide the columns of a table are on a terminal; None where words would be cut, or prose become a thread."""
    texts = [[column, *(row[i] for row in rows)] for i, column in enumerate(columns)]
    widths = [_least(column) for column in texts]
    wanted = [max(map(len, column)) - least for column, least in zip(texts, widths, strict=True)]
    spare = width - sum(widths) - FRAME * (len(widths) - 1)
    if spare < 0:
        return None
    for done, i in enumerate(sorted(range(len(widths)), key=wanted.__getitem__)):
        more = min(wanted[i], spare // (len(widths) - done))
        widths[i], spare = widths[i] + more, spare - more
    return widths


def _least(texts: Sequence[str]) -> int:
    words = [len(word) for text in texts for word in text.split()]
    prose = PROSE if any(len(text) > 2 * PROSE for text in texts) else 1
    return max(prose, *(min(word, LONG) for word in words), 1)


def _drawn(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool], widths: Sequence[int]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for column, number, width in zip(columns, right, widths, strict=True):
        table.add_column(Text(column), justify="right" if number else "left", overflow="fold", width=width)
    for row in rows:
        table.add_row(*map(Text, row))
    width, height = shutil.get_terminal_size()  # of a dumb terminal rich takes only both
    Console(width=width, height=height).print(table)


def _stacked(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    width = max(map(len, columns), default=0)
    for row in rows:
        print()
        for column, cell in zip(columns, row, strict=True):
            if cell:
                print(f"{column:<{width}}  {cell}")
    print()


def _aligned(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
    lines = [list(columns), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        padded = [f"{cell:>{width}}" if number else f"{cell:<{width}}"
                  for cell, width, number in zip(line, widths, right, strict=True)]
        print("  ".join(padded).rstrip())

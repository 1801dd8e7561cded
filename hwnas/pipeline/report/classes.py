"""The figures of every class, and what is taken for what, as tables of the report page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hwnas.tasks import Column

Facts = dict[str, Any]
WHOLE = 20  # classes up to which the matrix is drawn; above, its most confused pairs
SHORT = 30  # classes up to which all stand on the page; above, the worst do and the others are folded away
WORST = 12


def class_table(details: Mapping[str, Any], columns: Sequence[Column]) -> Facts:
    """`heads` of the columns, their `digits`, `rows` that stand on the page and the `rest`: each name, count, values,
    whether the result finds nothing of the class.

    Args:
        columns: the second one orders the rows.
    """
    unit = details["compressed"]["unit"]
    never = set(details["compressed"]["standing"]["never"])
    rows = [{"name": name, "count": details["compressed"]["per_class"][i]["count"], "never": name in never,
             "values": [details[c.network]["per_class"][i][c.key] for c in columns]}
            for i, name in enumerate(details["classes"])]
    heads, digits = [unit, *map(_head, columns)], [c.digits for c in columns]
    if len(rows) <= SHORT:
        return {"heads": heads, "digits": digits, "rows": rows, "rest": []}
    sign = 1.0 if columns[1].better == "more" else -1.0
    rows.sort(key=lambda row: (row["values"][1] is None, sign * (row["values"][1] or 0.0)))  # the worst first
    return {"heads": heads, "digits": digits, "rows": rows[:WORST], "rest": rows[WORST:]}


def _head(column: Column) -> str:
    return column.title if column.better == "more" else f"{column.title} (less is better)"


def confusion_table(details: Mapping[str, Any]) -> Facts | None:
    """`matrix`, rows of (class, [(count, share of the row in 0..1)]), or the most confused `pairs`; None of a detector.

    Args:
        details: of a run; the matrix is that of the result.
    """
    found = details["compressed"]
    if found["confusion"] is None and not found["confused"]:
        return None
    if found["confusion"] is None or len(details["classes"]) > WHOLE:
        return {"matrix": None, "pairs": found["confused"]}
    rows = [(name, [(n, n / (sum(row) or 1)) for n in row])
            for name, row in zip(details["classes"], found["confusion"], strict=True)]
    return {"matrix": rows, "pairs": []}

"""The figures of every class, and what is taken for what, as tables of the report page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Facts = dict[str, Any]
WHOLE = 20  # classes up to which the matrix is drawn; above, its most confused pairs
SHORT = 30  # classes up to which all stand on the page; above, the worst do and the others are folded away
WORST = 12


def class_table(details: Facts, columns: Sequence[Sequence[Any]]) -> Facts:
    """`heads` of the columns, their `digits`, `rows` that stand on the page and the `rest`: each name, count, values,
    whether the result finds nothing of the class.

    Args:
        columns: network, key of the figure, title and digits of each; the second one orders the rows.
    """
    unit = details["compressed"]["unit"]
    never = set(details["compressed"]["standing"]["never"])
    rows = [{"name": name, "count": details["compressed"]["per_class"][i]["count"], "never": name in never,
             "values": [details[who]["per_class"][i][key] for who, key, *_ in columns]}
            for i, name in enumerate(details["classes"])]
    heads, digits = [unit, *(title for _, _, title, _ in columns)], [digits for *_, digits in columns]
    if len(rows) <= SHORT:
        return {"heads": heads, "digits": digits, "rows": rows, "rest": []}
    rows.sort(key=lambda row: (row["values"][1] is None, row["values"][1] or 0.0))
    return {"heads": heads, "digits": digits, "rows": rows[:WORST], "rest": rows[WORST:]}


def confusion_table(details: Facts) -> Facts | None:
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

"""A run and the answers of a search as an interpreter and a notebook show them: short, with what counts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from hwnas.documents import printable
from hwnas.errors import HwnasError
from hwnas.pipeline.config.budget import show

if TYPE_CHECKING:
    from hwnas.pipeline.run.folder import RunFolder
    from hwnas.pipeline.selection.architecture_solver import Answer

COSTS = ("latency", "flops", "params", "memory")
Rows = list[tuple[str, str]]


def run_text(run: RunFolder) -> str:
    """A line with the path, and one a fact."""
    return "\n".join([f"<RunFolder {printable(run.path)}>", *(f"  {name:<10} {printable(value)}"
                                                             for name, value in run_rows(run))])


def run_html(run: RunFolder) -> str:
    """The same as a table, with a link to the report."""
    rows = [(name, escape(printable(value))) for name, value in run_rows(run)]
    if (report := run.path / "report.html").is_file():
        where = escape(os.path.relpath(report), quote=True)
        rows = [(name, f'<a href="{where}" target="_blank">{escape(str(report))}</a>' if name == "report" else value)
                for name, value in rows]
    body = "".join(f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">{value}</td></tr>'
                   for name, value in rows)
    return f"<table><caption>run {escape(printable(run.path))}</caption>{body}</table>"


def run_rows(run: RunFolder) -> Rows:
    """What was asked and reached; of an unfinished run how far it is. Never raises."""
    if "export" not in run.state.stages:
        return _unfinished(run)
    from hwnas.pipeline.report.summary import summary

    try:
        return _finished(summary(run))
    except (HwnasError, KeyError, TypeError, ValueError, AttributeError) as err:
        return [("state", f"cannot be told: {err}")]


def _finished(facts: Mapping[str, Any]) -> Rows:
    from hwnas.pipeline.display.score_lines import score

    old, new = facts["reference"], facts["compressed"]
    rows = [(facts["metric"], f"{score(new)}, reference {old['accuracy']:.2f} %"),
            ("latency", _latency(old, new, facts))]
    rows += [("budget", _budget(budget)) for budget in facts["budgets"]]
    if facts["no_success"]:
        rows.append(("verdict", f"{facts['no_success']}: not a model to ship, whatever it costs"))
    rows += [("warning", warning) for warning in facts["warnings"]]
    return [*rows, ("model", facts["model"]), ("report", facts["report"])]


def _latency(old: Mapping[str, Any], new: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    if new["measured_ms"] is None:
        how = "estimated" if facts["latency_source"] == "estimated" else "predicted"
        return f"{new['predicted_ms']:.3f} ms {how}, reference {old['predicted_ms']:.3f} ms"
    return (f"{new['measured_ms']['median_ms']:.3f} ms measured, reference {old['measured_ms']['median_ms']:.3f} ms "
            "beside it")


def _budget(budget: Mapping[str, Any]) -> str:
    name, value = budget["name"], budget["achieved"]
    reached = f"{value:.3f} ms" if name == "latency" else show(name, value)
    word = {True: "met", False: "NOT met", None: f"{budget['kind']}, not measured on the device"}[budget["met"]]
    return f"{name} {budget['told']}: {reached}, {word}"


def _unfinished(run: RunFolder) -> Rows:
    done = ", ".join(run.state.stages) or "nothing yet"
    return [("done", done), ("asked", ", ".join(f"{n} {text}" for n, text in run.state.config.budgets.items())),
            ("go on with", f"hwnas.resume({str(run.path)!r})")]


def answer_text(answer: Answer) -> str:
    """One line."""
    costs = ", ".join(f"{name} {show(name, answer.costs[name])}" for name in COSTS if name in answer.costs)
    return (f"<Answer: accuracy {answer.predicted_accuracy:.2f} % predicted, {costs}, choice "
            f"{answer.architecture.choice}>")


def answers_text(answers: Sequence[Answer]) -> str:
    """A table, best first."""
    rows = [["#", "accuracy", *COSTS, "choice"], *_cells(answers)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
                     for row in rows)


def answers_html(answers: Sequence[Answer]) -> str:
    """The same for a notebook."""
    head = "".join(f"<th>{escape(name)}</th>" for name in ("#", "accuracy", *COSTS, "choice"))
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in _cells(answers))
    return f"<table><caption>predicted, best first</caption><tr>{head}</tr>{body}</table>"


def _cells(answers: Sequence[Answer]) -> list[list[str]]:
    return [[str(i), f"{a.predicted_accuracy:.2f} %", *(show(name, a.costs[name]) for name in COSTS),
             " ".join(map(str, a.architecture.choice))] for i, a in enumerate(answers, 1)]

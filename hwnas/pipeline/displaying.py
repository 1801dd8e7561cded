"""A run and the answers of a search as an interpreter and a notebook show them: short, with what counts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from hwnas.documents import printable
from hwnas.errors import HwnasError
from hwnas.pipeline.budget import show

if TYPE_CHECKING:
    from hwnas.pipeline.picking import Answer
    from hwnas.pipeline.run import RunFolder

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
    """What was asked and reached; of an unfinished run how far it is. Reads run.json alone and never raises."""
    try:
        return _finished(run) if "export" in run.state.stages else _unfinished(run)
    except (HwnasError, KeyError, TypeError, ValueError, AttributeError) as err:
        return [("state", f"cannot be read ({err}): it was made by another version of hwnas")]


def _finished(run: RunFolder) -> Rows:
    from hwnas.pipeline.cautions import no_success, warnings_of
    from hwnas.pipeline.score_lines import score

    export, generate = run.result("export"), run.result("generate")
    verdict, metric = export["verdict"], export["verdict"].get("metric", "accuracy")
    rows = [(metric, f"{score(verdict)}, reference {export['reference']['accuracy']:.2f} %"),
            ("latency", _latency(export, generate))]
    rows += [("budget", f"{name} {text}{_met(name, generate)}") for name, text in run.state.config.budgets.items()]
    if failed := no_success({"compressed": verdict}):
        rows.append(("verdict", f"{failed}: not a model to ship, whatever it costs"))
    rows += [("warning", warning) for warning in warnings_of(run)]
    rows.append(("model", str(run.path / "model.onnx")))
    return [*rows, ("report", str(run.path / "report.html"))] if "report" in run.state.stages else rows


def _met(name: str, generate: dict[str, Any]) -> str:
    """Of a budget that is counted; that of the latency is told with it."""
    if name == "latency":
        return ""
    bound, reached = generate["bounds"][name], generate["predicted"][name]
    return f" = {show(name, bound)}: {show(name, reached)}, {'met' if reached <= bound else 'NOT met'}"


def _latency(export: dict[str, Any], generate: dict[str, Any]) -> str:
    timed, limit = export["verdict"]["latency"], export["budget_ms"]
    within = f", budget {limit:.3f} ms" if limit is not None else ""
    if timed is None:
        how = "estimated" if generate.get("latency_source") == "estimated" else "predicted"
        return f"{generate['predicted']['latency'] / 1e6:.3f} ms {how}, not measured on the device{within}"
    met = "" if limit is None else " met" if timed["median_ms"] <= limit else " NOT met"
    return (f"{timed['median_ms']:.3f} ms measured, reference {export['reference']['latency']['median_ms']:.3f} ms"
            f"{within}{met}")


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

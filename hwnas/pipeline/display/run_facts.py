"""A run as an interpreter and a notebook show it: short, with what counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hwnas.errors import HwnasError
from hwnas.pipeline.config.budget import called, per_second, show
from hwnas.pipeline.display.fact_table import Facts
from hwnas.pipeline.display.score_lines import score
from hwnas.pipeline.run.cautions import warnings_of
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.own_results import ShipResult
from hwnas.runtime.promise import MEASURED

if TYPE_CHECKING:
    from hwnas.pipeline.report.budget_rows import BudgetRow, Overview
    from hwnas.pipeline.report.reached import Reached
    from hwnas.pipeline.report.summary import Summary


def run_facts(run: RunFolder) -> Facts:
    """What was asked and reached; of an unfinished run how far it is. Never raises."""
    return _told(lambda: _facts(run))


def _facts(run: RunFolder) -> Facts:
    if "report" in run.state.stages and run.branches:
        from hwnas.pipeline.report.overview import overview

        return _several(overview(run))
    if run.model_stage not in run.state.stages:
        return _unfinished(run)
    if found := run.found_if_done(ShipResult):
        return _own(run, found)
    from hwnas.pipeline.report.summary import summary

    return _finished(summary(run))


def _own(run: RunFolder, found: ShipResult) -> Facts:
    """Of a run on a user's own network."""
    given, model = found.rows[0], found.rows[-1]
    scores = [(word, f"{model.scores[word]:.2f} %") for word in ("agreement", "accuracy") if word in model.scores]
    rows = [*scores, ("loss", f"{model.scores['loss']:.4f}"),
            ("latency", f"{model.latency.median_ms:.3f} ms measured, budget {found.limit_ms:.3f} ms, as given "
                        f"{given.latency.median_ms:.3f} ms beside it")]
    return [*rows, *(("warning", warning) for warning in warnings_of(run)), ("model", str(run.path / "model.onnx")),
            ("report", str(run.path / "report.html"))]


def _told(facts: Callable[[], Facts]) -> Facts:
    try:
        return facts()
    except (HwnasError, KeyError, TypeError, ValueError, AttributeError) as err:
        return [("state", f"cannot be told: {err}")]


def _several(found: Overview) -> Facts:
    rows = [(row.name, _line(row, found.metric, found.base)) for row in found.networks]
    return [*rows, ("report", str(found.report))]


def _line(row: BudgetRow, metric: str, base: str) -> str:
    """One of several budgets: what became of it, or why it has no network."""
    if row.made is None:
        return f"not made: {row.why}"
    share = "" if row.share is None else f", {100 * row.share:.1f} % of {base}"
    return (f"{metric} {row.made.score:.2f} %, {row.latency_ms:.3f} ms {row.kind}{share}, {row.result}; "
            f"{row.made.model}")


def _finished(found: Summary) -> Facts:
    rows = [(found.metric, f"{score(found.compressed)}, reference {found.reference.score:.2f} %"),
            ("latency", _latency(found))]
    rows += [("budget", _budget(budget)) for budget in found.budgets]
    if found.no_success:
        rows.append(("verdict", f"{found.no_success}: not a model to ship, whatever it costs"))
    rows += [("warning", warning) for warning in found.warnings]
    return [*rows, ("model", str(found.model)), ("report", str(found.report))]


def _latency(found: Summary) -> str:
    old, new = found.reference, found.compressed
    if new.measured is None or old.measured is None:
        how = "estimated" if found.latency_source == "estimated" else "predicted"
        return f"{new.predicted_ms:.3f} ms {how}, reference {old.predicted_ms:.3f} ms"
    return f"{new.measured.median_ms:.3f} ms measured, reference {old.measured.median_ms:.3f} ms beside it"


def _budget(budget: Reached) -> str:
    units = {"ms": f"{budget.value:.3f} ms", "mJ": f"{budget.value:.3f} mJ", "images/s": per_second(budget.value)}
    reached = units.get(budget.unit) or show(budget.name, budget.value)
    open_ = "open, the machine was busy" if budget.kind == MEASURED else f"{budget.kind}, not measured on the device"
    word = {True: "met", False: "NOT met", None: open_}[budget.met]
    return f"{called(budget.name)} {budget.told}: {reached}, {word}"


def _unfinished(run: RunFolder) -> Facts:
    done = ", ".join(run.state.stages) or "nothing yet"
    return [("done", done), ("asked", ", ".join(f"{called(n)} {text}" for n, text in run.state.config.budgets.items())),
            ("go on with", f"hwnas.resume({str(run.path)!r})")]

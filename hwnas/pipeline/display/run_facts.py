"""A run as an interpreter and a notebook show it: short, with what counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwnas.errors import HwnasError
from hwnas.pipeline.config.budget import show
from hwnas.pipeline.display.fact_table import Facts
from hwnas.pipeline.display.score_lines import score
from hwnas.pipeline.run.folder import RunFolder


def run_facts(run: RunFolder) -> Facts:
    """What was asked and reached; of an unfinished run how far it is. Never raises."""
    if "export" not in run.state.stages:
        return _unfinished(run)
    from hwnas.pipeline.report.summary import summary

    try:
        return _finished(summary(run))
    except (HwnasError, KeyError, TypeError, ValueError, AttributeError) as err:
        return [("state", f"cannot be told: {err}")]


def _finished(facts: Mapping[str, Any]) -> Facts:
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


def _unfinished(run: RunFolder) -> Facts:
    done = ", ".join(run.state.stages) or "nothing yet"
    return [("done", done), ("asked", ", ".join(f"{n} {text}" for n, text in run.state.config.budgets.items())),
            ("go on with", f"hwnas.resume({str(run.path)!r})")]

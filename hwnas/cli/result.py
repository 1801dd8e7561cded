"""The end of a run as people read it: two networks side by side, the budgets, what was made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hwnas.cli.console import say, say_facts, say_table
from hwnas.cli.watch import duration

Facts = Mapping[str, Any]


def count(value: float) -> str:
    """1,234 / 12.3 k / 4.56 M / 1.23 G."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if value >= size:
            return f"{value / (1e3 if unit == ' k' else size):.4g}{unit}"
    return f"{value:,.0f}"


def size(value: float) -> str:
    """Bytes for people, in powers of ten."""
    if value >= 1e9:
        return f"{value / 1e9:.1f} GB"
    return f"{value / 1e6:.2f} MB" if value >= 1e6 else f"{value / 1e3:.1f} kB"


def _spread(network: Facts) -> str:
    timed = network["measured_ms"]
    return f"{timed['median_ms']:.3f} ({timed['p10_ms']:.3f}-{timed['p90_ms']:.3f})"


def _predicted(network: Facts) -> str:
    return f"{network['predicted_ms']:.3f} ({network['predicted_low_ms']:.3f}-{network['predicted_high_ms']:.3f})"


_ROWS: tuple[tuple[str, Callable[[Facts], str], str], ...] = (
    ("accuracy, %", lambda n: f"{n['accuracy']:.2f}", "accuracy"),
    ("predicted, ms (90 %)", _predicted, "predicted_ms"),
    ("measured, ms (p10-p90)", _spread, ""),
    ("FLOPs", lambda n: count(n["flops"]), "flops"),
    ("parameters", lambda n: count(n["params"]), "params"),
    ("activations", lambda n: size(n["memory_bytes"]), "memory_bytes"),
    ("file", lambda n: size(n["size_bytes"]), "size_bytes"),
)


def _compared(key: str, facts: Facts) -> str:
    reference, compressed = facts["reference"], facts["compressed"]
    if key == "accuracy":
        return f"{compressed[key] - reference[key]:+.2f}"
    ratio = facts["ratio"] if not key else compressed[key] / reference[key]
    return f"{100 * ratio:.1f} %"


def _amount(name: str, value: float) -> str:
    if name == "latency":
        return f"{value:.3f} ms measured"
    return size(value) if name == "memory" else count(value)


def say_result(facts: Facts) -> None:
    """Print `hwnas.pipeline.summary.summary`."""
    say()
    rows = [(title, show(facts["reference"]), show(facts["compressed"]), _compared(key, facts))
            for title, show, key in _ROWS]
    say_table(("", "reference", "compressed", "ratio"), rows)
    target = facts["target"]
    say(f"accuracy on {facts['compressed']['images']:,} images and latency through {target['runtime']} on "
        f"{target['name']} ({target['precision']}, batch {target['batch']}, threads {target['threads']})")
    for budget in facts["budgets"]:
        verdict = "met" if budget["met"] else "NOT met"
        limit = _amount(budget["name"], budget["limit"]).removesuffix(" measured")
        say(f"budget {budget['name']} {budget['asked']} = {limit}: {_amount(budget['name'], budget['achieved'])}, "
            f"{verdict}")
    say_facts([("model", facts["model"]), ("report", facts["report"]), ("run folder", facts["run"]),
               ("time", duration(facts["seconds"]))])

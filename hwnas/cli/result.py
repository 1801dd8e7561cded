"""The end of a run as people read it: two networks side by side, the budgets, what was made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hwnas.cli.console import say, say_facts, say_table
from hwnas.pipeline.display.score_lines import standing_rows
from hwnas.pipeline.display.watch import duration

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
    if timed is None:
        return "not on the device"
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
    return "" if ratio is None else f"{100 * ratio:.1f} %"


def _amount(name: str, value: float) -> str:
    if name == "latency":
        return f"{value:.3f} ms"
    return size(value) if name == "memory" else count(value)


def _word(facts: Facts) -> str:
    """How a latency came about that was not measured on the device: a measured table predicts, figures estimate."""
    return "estimated" if facts["latency_source"] == "estimated" else "predicted"


def _say_budget(budget: Facts, facts: Facts) -> None:
    name, kind, met = budget["name"], budget["kind"], budget["met"]
    asked, achieved = f"budget {name} {budget['asked']} = {budget['told']}", _amount(name, budget["achieved"])
    if met is None:
        low, high = (facts["compressed"][f"predicted_{end}_ms"] for end in ("low", "high"))
        say(f"{asked}: {achieved} {kind} ({low:.3f}-{high:.3f}), not measured on the device")
        return
    verdict = "met" if met else "NOT met"
    raw = facts["compressed"]["measured_ms"]
    if budget["moved"] or (kind == "measured" and budget["achieved"] != raw["median_ms"]):
        say(f"{asked}: {verdict}: {budget['judged']}")
        return
    beside = f" measured, {100 * facts['ratio']:.1f} % of the reference beside it" if kind == "measured" else ""
    say(f"{asked}: {achieved}{beside}, {verdict}")


def _say_precisions(facts: Facts) -> None:
    if not facts["precisions"]:
        return
    say("", "in every precision; percentages of a budget are of the fp32 reference")
    base = facts["precisions"][0]["measured_ms"]
    rows = [(f"{row['name']}, {row['precision']}", f"{row['accuracy']:.2f}", _spread(row),
             f"{100 * row['measured_ms']['median_ms'] / base['median_ms']:.1f} %" if base else "",
             "ships" if row["ships"] else "") for row in facts["precisions"]]
    say_table(("", f"{facts['metric']}, %", "measured, ms (p10-p90)", "of fp32 reference", ""), rows)
    if facts["loss"]:
        say(f"{facts['target']['precision']} against fp32 of the same network: {0 - facts['loss']['drop']:+.2f} points "
            f"(standard error {facts['loss']['error']:.2f})")


def _say_kinds(facts: Facts) -> None:
    """What competed, where several precisions or variants did."""
    if facts["variant"]["told"]:
        say(f"of the reference's channels and pixels: {facts['variant']['told']}")
    if facts["finalists"]:
        tried = (f"{f['kind']} {f['trial']:.2f} %" + (f" at {f['measured_ms']:.3f} ms" if f["measured_ms"] else "")
                 for f in facts["finalists"])
        say(f"best finalists, after a short trial: {', '.join(tried)}")
    for kind, why in facts["out"].items():
        say(f"{kind} was out: {why}")


def say_result(facts: Facts) -> None:
    """Print `hwnas.pipeline.report.summary.summary`."""
    say()
    titles = {"predicted_ms": f"{_word(facts)}, ms (90 %)", "accuracy": f"{facts['metric']}, %"}
    rows = [(titles.get(key, title), show(facts["reference"]), show(facts["compressed"]), _compared(key, facts))
            for title, show, key in _ROWS]
    rows[1:1] = standing_rows(facts["reference"], facts["compressed"])
    say_table(("", "reference", "compressed", "ratio"), rows)
    target = facts["target"]
    served = f"through {target['runtime']} on {target['name']}"
    through = served if facts["here"] else "through a runtime of this machine"
    both = "and latency " if facts["here"] else ""
    say(f"{facts['metric']} on {facts['compressed']['images']:,} images {both}{through} "
        f"({target['precision']}, batch {target['batch']}, threads {target['threads']})")
    if facts["difference"]:
        say(f"against the reference: {facts['difference']['told']}")
    _say_precisions(facts)
    _say_kinds(facts)
    for budget in facts["budgets"]:
        _say_budget(budget, facts)
    for warning in facts["warnings"]:
        say(f"warning: {warning}")
    if facts["next"]:
        say(f"the networks were not measured on the device; latencies are {facts['origin']}. Next: {facts['next']}")
    say_facts([("model", facts["model"]), ("report", facts["report"]), ("run folder", facts["run"]),
               ("time", duration(facts["seconds"]))])
    if facts["no_success"]:
        say(f"verdict: {facts['no_success']}: not a model to ship, whatever it costs")

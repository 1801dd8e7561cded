"""The end of a run on a user's own network as people read it: networks side by side, and what became of every unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.cli.console import say, say_facts, say_json, say_table
from hwnas.cli.result import size

if TYPE_CHECKING:
    from hwnas.pipeline import RunFolder

NAMES = {"network": "as given", "uniform-int8": "uniform int8", "model": "compressed"}


def say_own_result(run: RunFolder, json: bool) -> None:
    """Print it."""
    from hwnas.documents import read_json
    from hwnas.pipeline.display.watch import duration
    from hwnas.pipeline.run.cautions import warnings_of
    from hwnas.pipeline.run.own_results import PlanResult, ReadResult, ShipResult, UnitsResult
    from hwnas.surgery.plan import AS_IT_IS

    if json:
        say_json(read_json(run.path / "report.json"))
        return
    found, plan, units = run.found(ShipResult), run.found(PlanResult), run.found(UnitsResult)
    base = found.rows[0].latency.median_ms
    words = [word for word in ("agreement", "accuracy") if word in found.rows[0].scores]
    say()
    say_table(("", "measured, ms (p10-p90)", "of given", "loss", *(f"{word}, %" for word in words), "file"), [
        (NAMES.get(row.name, row.name),
         f"{row.latency.median_ms:.3f} ({row.latency.p10_ms:.3f}-{row.latency.p90_ms:.3f})",
         f"{100 * row.latency.median_ms / base:.1f} %", f"{row.scores['loss']:.4f} +- {row.scores['loss_se']:.4f}",
         *(f"{row.scores[word]:.2f} +- {row.scores[f'{word}_se']:.2f}" for word in words), size(row.size_bytes))
        for row in found.rows])
    say("", "loss and agreement are against the network as given")
    say_table(("unit", "becomes", "work", "as given, ms", "now, ms", "what it is"), [
        (unit.name, (key := plan.chosen.get(unit.name, "")) or unit.frozen or "as it is", f"{unit.share:.1f} %",
         f"{unit.alone_ms[AS_IT_IS.key]:.3f}", f"{unit.alone_ms.get(key or AS_IT_IS.key, 0.0):.3f}", unit.label)
        for unit in units.units])
    say("times of units are of each alone, floats in and out")
    say(f"budget latency {run.found(ReadResult).budgets['latency']} = {found.limit_ms:.3f} ms: the result takes "
        f"{found.rows[-1].latency.median_ms:.3f} ms")
    for warning in warnings_of(run):
        say(f"warning: {warning}")
    source = f"none: {found.no_source}" if found.no_source else run.path / "model.py"
    say_facts([("model", run.path / "model.onnx"), ("as torch source", source),
               ("report", run.path / "report.html"), ("run folder", run.path),
               ("time", duration(sum(stage.seconds for stage in run.state.stages.values())))])

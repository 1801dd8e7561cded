"""The end of a run as people read it: two networks side by side, the budgets, what was made."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hwnas.cli.console import say, say_facts, say_table
from hwnas.pipeline.config.budget import per_second
from hwnas.pipeline.display.score_lines import standing_rows
from hwnas.pipeline.display.watch import duration

if TYPE_CHECKING:
    from hwnas.pipeline.report.budget_rows import BudgetRow, Overview
    from hwnas.pipeline.report.reached import Reached
    from hwnas.pipeline.report.summary import NetworkSummary, PrecisionRow, Summary


SPENT = {"latency_p99": "99th percentile", "energy": "energy an image", "peak_memory": "memory of a process"}


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


def _spread(network: NetworkSummary | PrecisionRow) -> str:
    timed = network.measured
    return f"{timed.median_ms:.3f} ({timed.p10_ms:.3f}-{timed.p90_ms:.3f})" if timed else "not on the device"


def _predicted(network: NetworkSummary) -> str:
    return f"{network.predicted_ms:.3f} ({network.predicted_low_ms:.3f}-{network.predicted_high_ms:.3f})"


def _networks(found: Summary) -> list[tuple[str, str, str, str]]:
    """A row a figure: the reference, the result, how they compare."""
    old, new = found.reference, found.compressed

    def row(title: str, show: Callable[[NetworkSummary], str], ratio: float | None) -> tuple[str, str, str, str]:
        return title, show(old), show(new), "" if ratio is None else f"{100 * ratio:.1f} %"

    return [
        (f"{found.metric}, %", f"{old.score:.2f}", f"{new.score:.2f}", f"{new.score - old.score:+.2f}"),
        *standing_rows(old, new),
        row(f"{_word(found)}, ms (90 %)", _predicted, new.predicted_ms / old.predicted_ms),
        row("measured, ms (p10-p90)", _spread, found.ratio),
        row("FLOPs", lambda n: count(n.flops), new.flops / old.flops),
        row("parameters", lambda n: count(n.params), new.params / old.params),
        row("activations", lambda n: size(n.memory_bytes), new.memory_bytes / old.memory_bytes),
        *((title, _amount(name, old.spent[name]), _amount(name, new.spent[name]),
           f"{100 * new.spent[name] / old.spent[name]:.1f} %")
          for name, title in SPENT.items() if name in new.spent and old.spent.get(name)),
        row("file", lambda n: size(n.size_bytes), new.size_bytes / old.size_bytes),
    ]


def _amount(name: str, value: float) -> str:
    if name in ("latency", "latency_p99"):
        return f"{value:.3f} ms"
    if name == "throughput":
        return per_second(value)
    if name == "energy":
        return f"{value:.3f} mJ"
    return size(value) if name in ("memory", "peak_memory", "file_size") else count(value)


def _word(found: Summary) -> str:
    """How a latency came about that was not measured on the device: a measured table predicts, figures estimate."""
    return "estimated" if found.latency_source == "estimated" else "predicted"


def _say_budget(budget: Reached, found: Summary) -> None:
    new = found.compressed
    asked = f"budget {budget.name.replace('_', ' ')} {budget.asked} = {budget.told}"
    reached = _amount(budget.name, budget.value)
    if budget.name in (*SPENT, "file_size"):
        verdict = {True: "met", False: "NOT met", None: "open, the machine was busy"}[budget.met]
        say(f"{asked}: {reached} measured, {verdict}{f': {budget.sentence}' if budget.name == 'latency_p99' else ''}")
        return
    if budget.met is None:
        say(f"{asked}: {reached} {budget.kind} ({new.predicted_low_ms:.3f}-{new.predicted_high_ms:.3f}), not measured "
            "on the device")
        return
    verdict, measured = "met" if budget.met else "NOT met", budget.kind == "measured" and new.measured is not None
    if budget.moved or (measured and new.measured and budget.name == "latency"
                        and budget.value != new.measured.median_ms):
        say(f"{asked}: {verdict}: {budget.sentence}")
        return
    beside = f" measured, {100 * (found.ratio or 0.0):.1f} % of the reference beside it" if measured else ""
    say(f"{asked}: {reached}{beside}, {verdict}")


def _say_precisions(found: Summary) -> None:
    if not found.precisions:
        return
    say("", "in every precision; percentages of a budget are of the fp32 reference")
    base = found.precisions[0].measured
    rows = [(f"{row.name}, {row.precision}", f"{row.score:.2f}", _spread(row),
             f"{100 * row.measured.median_ms / base.median_ms:.1f} %" if base and row.measured else "",
             "ships" if row.ships else "") for row in found.precisions]
    say_table(("", f"{found.metric}, %", "measured, ms (p10-p90)", "of fp32 reference", ""), rows)
    if found.positions:
        say(f"mixed is {found.positions}")
    if found.loss:
        say(f"{found.target['precision']} against fp32 of the same network: {0 - found.loss['drop']:+.2f} points "
            f"(standard error {found.loss['error']:.2f})")


def _say_kinds(found: Summary) -> None:
    """What competed, where several precisions or variants did."""
    if found.variant.told:
        say(f"of the reference's channels and pixels: {found.variant.told}")
    if found.finalists:
        tried = (f"{f.kind} {f.trial:.2f} %" + (f" at {f.measured_ms:.3f} ms" if f.measured_ms else "")
                 for f in found.finalists)
        say(f"best finalists, after a short trial: {', '.join(tried)}")
    for kind, why in found.out.items():
        say(f"{kind} was out: {why}")


def say_result(found: Summary) -> None:
    """Print a summary."""
    say()
    say_table(("", "reference", "compressed", "ratio"), _networks(found))
    target = found.target
    served = f"through {target['runtime']} on {target['name']}"
    through = served if found.here else "through a runtime of this machine"
    both = "and latency " if found.here else ""
    say(f"{found.metric} on {found.compressed.images:,} images {both}{through} "
        f"({target['precision']}, batch {target['batch']}, threads {target['threads']})")
    if found.difference:
        say(f"against the reference: {found.difference.told}")
    _say_precisions(found)
    _say_kinds(found)
    for budget in found.budgets:
        _say_budget(budget, found)
    for warning in found.warnings:
        say(f"warning: {warning}")
    if found.next:
        say(f"the networks were not measured on the device; latencies are {found.origin}. Next: {found.next}")
    say_facts([("model", found.model), ("report", found.report), ("run folder", found.run),
               ("time", duration(found.seconds))])
    if found.no_success:
        say(f"verdict: {found.no_success}: not a model to ship, whatever it costs")


def say_overview(found: Overview) -> None:
    """Print what became of several budgets or targets: a table with a row for each."""
    say()
    rows = [(row.budget, row.result, *_figures(row)) for row in found.networks]
    several = found.kind == "targets"
    say_table(("target and budget" if several else "budget", "result", "latency, ms", f"of {found.base}",
               f"{found.metric}, %", "model"), rows)
    old = found.reference
    cost = f", {old['latency_ms']:.3f} ms {old['basis']}" if old else ""
    how = "on the same target, beside the network where both were measured" if several else (
        "timed in turns with the network")
    say(f"{found.base.removeprefix('the ')}: {found.metric} {found.reference_score:.2f} %{'' if several else cost}; a "
        f"share is of {found.base} {how}")
    if found.together:
        say(found.together)
    for row in found.networks:
        if row.same_as:
            say(f"{row.budget}: the same network as {row.same_as}, trained once")
        if row.made is None:
            say(f"{row.budget}: {row.why}")
        elif row.made.no_success:
            say(f"verdict: {row.budget}: {row.made.no_success}: not a model to ship, whatever it costs")
    for text, budgets in found.warnings:
        say(": ".join(["warning", *(["; ".join(budgets)] if budgets else []), text]))
    for row in found.networks if several else ():
        if row.made and row.made.next:
            say(f"{row.budget}: not measured on the device; latencies are {row.origin}. Next: {row.made.next}")
    if found.following and not several:
        say(f"the networks were not measured on the device; latencies are {found.origin}. Next: {found.following[0]}")
    seconds = f"{duration(found.search_seconds)} for all, {duration(found.network_seconds)} for the networks"
    say_facts([("report", found.report), ("run folder", found.run), ("time", seconds)])


def _figures(row: BudgetRow) -> tuple[str, str, str, str]:
    if row.made is None:
        return "", "", "", ""
    how = "" if row.kind == "measured" else f" {row.kind}"
    share = "" if row.share is None else f"{100 * row.share:.1f} %"
    return f"{row.latency_ms:.3f}{how}", share, f"{row.made.score:.2f}", str(row.made.model)

"""What `hwnas compress --dry-run` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.cli.console import say, say_facts, say_json

if TYPE_CHECKING:
    from hwnas.pipeline.plan import Plan


def say_plan(found: Plan, json: bool) -> None:
    """Print a plan."""
    from hwnas.pipeline import show

    if json:
        say_json(found.to_json())
        return
    word = {"latency": " estimated"} if found.source == "estimated" else {}
    band = f" ({show('latency', found.band[0])} to {show('latency', found.band[1])})" if found.band and word else ""
    costs = ", ".join(f"{name} {show(name, value)}{word.get(name, '')}{band if name == 'latency' else ''}"
                      if value is not None else f"{name} not measured yet" for name, value in found.reference.items())
    budgets = "; ".join(
        f"{name} {found.config.budgets[name]}"
        + (f" = {show(name, bound)}{word.get(name, '')}" if bound is not None else "")
        for name, bound in found.bounds.items()
    )
    say_facts([
        ("data", found.data), ("target", found.target), ("precision", " or ".join(found.precisions)),
        ("space", f"{found.space.name}: {len(found.space.choices)} choices, {found.space.size:,} architectures"),
        *((("variants", "; ".join(v.told or "as the reference" for v in found.variants)),)
          if len(found.variants) > 1 else ()),
        ("reference", costs), ("budgets", budgets), ("latencies", _latencies(found)), ("run folder", found.out),
        *(("warning", warning) for warning in found.warnings),
    ])
    say()
    say_facts((f"  {name}", value) for name, value in found.config.model_dump().items())
    say()
    say("Nothing was done (--dry-run).")


def _latencies(found: Plan) -> str:
    if found.source == "estimated":
        return "estimated from the target's public figures: it has no measured table of this space"
    return f"{found.source}; {found.missing} of {found.blocks} blocks to measure; table {found.table}"

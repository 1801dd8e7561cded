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
    costs = ", ".join(f"{name} {show(name, value)}" if value is not None else f"{name} not measured yet"
                      for name, value in found.reference.items())
    budgets = "; ".join(
        f"{name} {found.config.budgets[name]}" + (f" = {show(name, bound)}" if bound is not None else "")
        for name, bound in found.bounds.items()
    )
    say_facts([
        ("data", found.data), ("target", found.target),
        ("space", f"{found.space.name}: {len(found.space.choices)} choices, {found.space.size:,} architectures"),
        ("reference", costs), ("budgets", budgets),
        ("to measure", f"{found.missing} of {len(found.space.signatures)} blocks; table {found.table}"),
        ("run folder", found.out),
    ])
    say()
    say_facts((f"  {name}", value) for name, value in found.config.model_dump().items())
    say()
    say("Nothing was done (--dry-run).")

"""What `hwnas compress --dry-run` prints."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, get_args

from hwnas.cli.console import say, say_facts, say_json
from hwnas.cli.options import OPTIONS, TARGET
from hwnas.progress import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hwnas.pipeline.config.budget import Wanted
    from hwnas.pipeline.plan import Plan, PlannedTarget


ROUGH = 180.0  # seconds or minutes from which on the next unit is said


def say_plan(found: Plan, json: bool) -> None:
    """Print a plan."""
    from hwnas.pipeline.config.own_network import OWN_NETWORK

    if json:
        say_json(found.to_json())
        return
    several = len(found.devices) > 1
    devices = [(device, [asked.wanted for asked in found.config.networks if asked.target == name])
               for name, device in found.devices.items()]
    on = [] if several else _on_target(*devices[0])
    say_facts([
        *((("from", f"{found.source}: {', '.join(found.reused)} are taken over"),) if found.source else ()),
        ("data", found.data), ("recipe", found.recipe), *on[:2],
        ("space", f"{found.space.name}: {len(found.space.choices)} choices, {found.space.size:,} architectures"),
        *((("variants", "; ".join(v.told or "as the reference" for v in found.variants)),)
          if len(found.variants) > 1 else ()),
        *on[2:], ("time", _time(found)),
        *((("epochs", f"{found.epochs}, which fit into {found.config.train.time}"),)
          if found.config.train.time and found.epochs else ()),
        ("run folder", found.out),
        *(() if several else (("warning", warning) for warning in found.first.warnings)),
        *(("not possible", f"{found.told(i)}: {err}") for i, err in found.infeasible.items() if len(found.bounds) > 1),
        *((("to measure it", found.first.way_out),) if found.first.way_out and not several else ()),
    ])
    for device, wanted in devices if several else ():
        say()
        say_facts([*_on_target(device, wanted), *(("warning", warning) for warning in device.warnings),
                   *((("to measure it", device.way_out),) if device.way_out else ())])
    say()
    said = ("data", "recipe", "target", "budgets", *OWN_NETWORK)  # above, whole, or of no search
    of_one = {} if several else {name: getattr(found.first.target, name) for name in TARGET if name != "precision"}
    options = found.config.flat() | of_one
    say_facts((f"  {name.replace('_', '-')}", _words(name, value)) for name, value in options.items()
              if name not in said)
    say("", "Nothing was done (--dry-run).")


def _words(name: str, value: object) -> str:
    """The value of an option as people write it; where none was given, what is taken."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple | list):
        return ", ".join(f"{part:g}" for part in value)
    if value is None:
        default = get_args(OPTIONS[name])[1].show_default
        return default if isinstance(default, str) else {"limit": "all images"}.get(name, "none")
    return f"{value:g}" if isinstance(value, float) else str(value)


def _time(found: Plan) -> str:
    if len(found.infeasible) == len(found.bounds):
        return "none: the budgets cannot be met"
    if found.seconds is None:
        return 'unknown: torch is not installed (pip install "hwnas[train]")'
    low, high = found.seconds
    span = (f"{10 * math.floor(low / 10)} to {10 * math.ceil(high / 10)} seconds" if high < ROUGH else
            f"{math.floor(low / 60)} to {math.ceil(high / 60)} minutes" if high < 60 * ROUGH else
            f"{low / 3600:.1f} to {high / 3600:.1f} hours")
    tables = ", the timing of blocks among them" if any(d.missing for d in found.devices.values()) else ""
    if len(found.bounds) > 1:
        tables += f"; {len(found.bounds) - len(found.infeasible)} networks from one search"
    if found.side_by_side:
        tables += "; reference and search side by side"
    return f"about {span} on this machine{tables}; {plural(found.steps, 'training step')} were tried"


def _on_target(found: PlannedTarget, wanted: Sequence[Wanted]) -> list[tuple[str, object]]:
    """What is known of a target, and what the budgets of its networks come to there."""
    from hwnas.pipeline import show
    from hwnas.pipeline.config.budget import called

    word = {"latency": " estimated"} if found.source == "estimated" else {}
    band = f" ({show('latency', found.band[0])} to {show('latency', found.band[1])})" if found.band and word else ""
    costs = ", ".join(f"{called(name)} {show(name, value)}{word.get(name, '')}{band if name == 'latency' else ''}"
                      if value is not None else f"{called(name)} not measured yet"
                      for name, value in found.reference.items())
    budgets = "; ".join(f"{called(name)} {text}" for name, text in found.limits(wanted).items())
    return [("target", found.target), ("precision", " or ".join(found.precisions)), ("reference", costs),
            ("budgets", budgets), ("latencies", _latencies(found))]


def _latencies(found: PlannedTarget) -> str:
    if found.adapted:
        return "estimated: networks that were timed on the device adapted a prior, no block was measured"
    if found.source == "estimated":
        return "estimated from the target's public figures, not measured"
    return f"{found.source}; {found.missing} of {plural(found.blocks, 'block')} to measure; table {found.table}"

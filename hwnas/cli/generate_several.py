"""hwnas generate for several targets: an answer for each, or one architecture for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.cli.answering import Asks, Found, asked_about, found_by, found_json, say_found
from hwnas.cli.options import BUDGETS
from hwnas.errors import BudgetInfeasible, HwnasError, SomeBudgetsFailed, UsageError

if TYPE_CHECKING:
    from hwnas.pipeline.config.budget import Asked
    from hwnas.pipeline.run.folder import RunFolder
    from hwnas.pipeline.selection.devices_solver import DevicesSolver
    from hwnas.space import Variant


def generate_several(source: RunFolder, names: Sequence[str], given: Mapping[str, Any], asks: Asks, out: Path | None,
                     *, json: bool) -> None:
    """Answer for several targets; lists of budgets are taken side by side with them.

    Raises:
        SomeBudgetsFailed: for some targets no architecture meets the budgets; the others were answered.
        BudgetInfeasible: for all of them, or one architecture for all does not exist.
        UsageError: lists that do not fit, or flags that do not go together.
    """
    from hwnas.pipeline.config.budget import parse_lists
    from hwnas.pipeline.config.make_config import check_distinct

    networks = parse_lists({name: given[name] for name in BUDGETS if name in given}, names)
    check_distinct(dict.fromkeys(names))
    if "one_model" in given:
        _for_all(source, networks, given, asks, out, json=json)
    elif "give_up" in given:
        raise UsageError("--give-up is of one network for all targets: give --one-model as well, or leave it out")
    elif out is not None:
        raise UsageError("-o writes one architecture: name one target, or give --one-model")
    else:
        _each(source, networks, given, asks, json=json)


def _each(source: RunFolder, networks: Sequence[Asked], given: Mapping[str, Any], asks: Asks, *, json: bool) -> None:
    from hwnas.cli.console import say, say_json
    from hwnas.pipeline.config.budget import kind_of, told_of

    answers, refusals = list[dict[str, Any]](), dict[str, HwnasError]()
    for told, (name, wanted) in zip(told_of(networks), networks, strict=True):
        there, solvers = asked_about(source, {**given, "target": name})
        if not json:
            say(*([""] if answers else []), f"{told}:")
        try:
            found = found_by(source, solvers, there, wanted, asks, lambda found: None if json else say_found(found))
        except BudgetInfeasible as err:
            refusals[told] = err
            answers.append({"asked": told, "error": str(err)})
            if not json:
                say(str(err))
            continue
        answers.append({"asked": told, "error": None, **found_json(found)})
        if not json:
            say_found(found)
    if json:
        say_json({"run": str(source.path), "targets": answers})
    if len(refusals) == len(networks):
        raise next(iter(refusals.values()))
    if refusals:
        why = {told: str(err) for told, err in refusals.items()}
        raise SomeBudgetsFailed.of(why, len(networks), BudgetInfeasible.exit_code, kind_of(networks))


def _for_all(source: RunFolder, networks: Sequence[Asked], given: Mapping[str, Any], asks: Asks, out: Path | None,
             *, json: bool) -> None:
    from hwnas.cli.console import say, say_json, say_table
    from hwnas.files import write_json
    from hwnas.pipeline.config.budget import show
    from hwnas.pipeline.selection.devices_solver import for_devices
    from hwnas.target import MIXED

    if len({name for name, _ in networks}) < len(networks):
        raise UsageError("--one-model: name every target once")
    if not networks[0].wanted:
        raise UsageError("--one-model needs a budget that holds on every target, e.g. --latency 50%")
    if asks.explain or asks.front:
        raise UsageError("--explain and --front are of one target: leave out --one-model")
    of_each = {name: asked_about(source, {**given, "target": name}) for name, _ in networks}
    if any(solver.precision == MIXED for _, solvers in of_each.values() for solver in solvers.values()):
        raise UsageError("--one-model is of networks in one precision: name it, e.g. --precision fp32")
    budgets = dict(networks)
    first = networks[0].target
    solvers = for_devices({name: found for name, (_, found) in of_each.items()}, first, budgets,
                          give_up=given.get("give_up", 0.0))
    found = found_by(source, solvers, of_each[first][0], budgets[first], asks, lambda _: None)
    rows = [_device_row(name, found, solvers) for name in budgets]
    if out is not None:
        write_json(out, found.picks[0].architecture.to_json())
    if json:
        say_json({**found_json(found), "targets": rows})
        return
    say_found(found)
    say("", "the first of them on every target; room is what is left of its budget of latency, by prediction")
    say_table(("target", "latency", "room", "latencies"),
              [(row["asked"], show("latency", row["latency_ms"] * 1e6),
                "" if row["room"] is None else f"{100 * row['room']:.1f} %", row["latency_source"]) for row in rows])


def _device_row(name: str, found: Found, solvers: Mapping[Variant, DevicesSolver]) -> dict[str, Any]:
    """What the best architecture takes on one of the targets."""
    best = found.picks[0]
    own = next(s for s in solvers.values() if s.space.config == best.architecture.space.config)
    solver = own.others.get(name, own)
    latency = solver.predict(best.architecture)
    return {"asked": name, "target": solver.latency.target, "latency_source": solver.latency.source,
            "latency_ms": latency.latency_ms, "low_ms": latency.low_ms, "high_ms": latency.high_ms,
            "room": own.rooms(best.architecture.choice).get(name)}

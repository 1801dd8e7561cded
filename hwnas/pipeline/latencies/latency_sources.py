"""Where the latencies of a run come from: one lane per precision. No torch.

A lane is a target in one precision and a latency model for it. What the model is made of, in this order:

    measured on this machine    the target is this machine (it states no hardware), or its table was made here
    adapted                     a prior of elsewhere, and a few networks that were timed on the device (`adapting`)
    a table                     of the target, made elsewhere or imported; used after a warning
    estimated                   from the target's public figures, where there is no table
"""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hwnas.errors import MissingDependency, TableError, UnknownName, UsageError
from hwnas.latency import LatencyModel, Table, table_path
from hwnas.latency.complete import complete
from hwnas.latency.estimate import estimate
from hwnas.latency.estimate.rules import COMPILED
from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.exported.inference import TimedModel, fingerprint, reach, time_models
from hwnas.pipeline.latencies.adapting import adapted_here, take_another_version
from hwnas.pipeline.latencies.tables import Choice, calm_kernel_ms, choose, default_folder, own_table
from hwnas.profile import measure, network_model
from hwnas.progress import Progress, plural, silent
from hwnas.runtime import RUNTIMES, Device, Fingerprint, runtime_for
from hwnas.space import FULL, Space, Variant
from hwnas.target import MIXED, PRECISIONS, Target
from hwnas.target import load as load_target

AUTO = "auto"
WORDS = (*PRECISIONS, AUTO, MIXED)
"""What a precision may be asked for as; several are separated by commas."""
REFERENCE_SWEEPS = 20


def targets_for(name: str, precision: str | None = None, **overrides: object) -> tuple[Target, ...]:
    """The target in every precision that whole networks of a run may ship in; one, unless several compete.

    Args:
        name: of a target, or the path of its YAML.
        precision: None takes the target's own; 'auto' all that its runtime offers, fp32 first; 'mixed' those that
            nodes of one graph may have; a list such as 'fp32,int8' those, in this order behind fp32.
        overrides: of `hwnas.target.load`.

    Raises:
        UnknownName: no such target, runtime or precision.
        UsageError: the runtime does not compute in this precision on this machine.
        MissingDependency: the runtime of this machine is not installed.
    """
    precisions_asked(precision)
    if (runtime := overrides.get("runtime")) is not None and runtime not in RUNTIMES:
        raise UnknownName("runtime", str(runtime), RUNTIMES)
    names = _names(name, precision, overrides)
    if len(names) == 1 and names[0] in PRECISIONS:
        return (_reachable(load_target(name, precision=names[0], **overrides)),)
    exact = load_target(name, precision="fp32", **overrides)
    if AUTO in names:
        others = [p for p in _offered(exact) if p != "fp32"]
    elif MIXED in names:
        others = [p for p in together_on(exact) if p != "fp32"]
    else:
        others = [p for p in names if p != "fp32"]
    found = (exact.model_copy(update={"precision": p}) for p in others)
    return (exact, *(found if {AUTO, MIXED} & {*names} else map(_reachable, found)))


def _names(name: str, precision: str | None, overrides: Mapping[str, object]) -> tuple[str, ...]:
    """What was asked for, or else the target's own."""
    return precisions_asked(precision) or (load_target(name, **overrides).precision,)


def _reachable(target: Target) -> Target:
    """Raises UsageError where the runtime of this machine does not have its precision, before anything is done."""
    if target.hardware is None:
        runtime_for(target)
    return target


def together_on(target: Target) -> tuple[str, ...]:
    """Precisions that positions of one network may have on a target.

    Raises:
        UsageError: there is one alone, or the device is another machine, where nothing can be timed.
        MissingDependency: the runtime is not here.
    """
    if target.hardware is not None:
        raise UsageError(f"networks of several precisions are timed on the machine that hwnas runs on, and "
                         f"{target.name} is another: run hwnas there, or name one precision")
    runtime = runtime_for(in_fp32(target))
    if len(runtime.together) < 2:
        raise UsageError(f"{runtime.name} computes a network in one precision: choose of "
                         f"{', '.join(runtime.precisions)}, or {AUTO}")
    return runtime.together


def mixed_of(config: CompressConfig) -> tuple[tuple[str, ...], str | None]:
    """The precisions that positions of one network may have in a run; without any, why not where it was asked for."""
    asked, target = config.target, targets_of(config)[0]
    names = _names(asked.first, asked.precision, {"runtime": asked.runtime})
    if not {AUTO, MIXED} & {*names}:
        return (), None
    try:
        return together_on(in_fp32(target)), None
    except (UsageError, MissingDependency) as err:
        if MIXED in names:
            raise
        return (), str(err)


def targets_of(config: CompressConfig) -> tuple[Target, ...]:
    """The target of a run in every precision, of several the first; raises as `targets_for`."""
    asked = config.target
    return targets_for(asked.first, asked.precision, runtime=asked.runtime, batch=asked.batch, threads=asked.threads)


def precisions_asked(text: str | None) -> tuple[str, ...]:
    """Names in a list such as `fp32,int8`, each once; none for None.

    Raises:
        UnknownName: no such precision.
    """
    found = tuple(dict.fromkeys(word.strip() for word in (text or "").split(","))) if text is not None else ()
    for word in found:
        if word not in WORDS:
            raise UnknownName("precision", word, WORDS)
    return found


def in_fp32(target: Target) -> Target:
    """The same in fp32, which a budget in percent refers to whatever ships."""
    return target.model_copy(update={"precision": "fp32"})


def _offered(target: Target) -> tuple[str, ...]:
    runtime = reach(target)
    if runtime is not None:
        return runtime.precisions
    if target.hardware is None:
        runtime_for(target)  # raises: this machine has no such runtime
    return tuple(target.hardware.peak_tops) if target.hardware else ()


@dataclass(frozen=True)
class Latencies:
    """A latency model and where it is from.

    Args:
        target: of the model.
        model: predicts any network of the space.
        here: whether this machine is the device, so that networks can be timed.
        device: fingerprint of the device that was measured; empty for an estimate.
        table: the table; None for an estimate.
        report: of `hwnas.profile.measure`; its `measured` is 0 where nothing was timed.
        warnings: what a person must know before the numbers are used.
    """

    target: Target
    model: LatencyModel
    here: bool
    device: Mapping[str, Any] = field(default_factory=dict)
    table: Path | None = None
    report: Mapping[str, Any] = field(default_factory=lambda: {"measured": 0})
    warnings: tuple[str, ...] = ()


def measured(
    space: Space, target: Target, *, tables: Path | None = None, device: Device | None = None, seed: int = 0,
    again: bool = False, max_seconds: float = 60.0, wait: bool = True, progress: Progress = silent,
) -> Latencies:
    """Fill the user's table of a target with what a space lacks in it.

    Args:
        tables: folder of the user's tables; None takes their cache.
        device: where to measure; None is this machine.
        again, max_seconds, seed, wait: as in `hwnas.profile.measure`.

    Raises:
        TableError: the table is broken, of another device, or held by another process.
        MissingDependency: the runtime is not installed.
        UsageError: no device was given, and this machine cannot be the target.
    """
    if device is None:
        _may_be_here(target)
    facts = (device.fingerprint() if device else Fingerprint.of(runtime_for(target))).to_json()
    taken = None if again else take_another_version(space, target, tables=tables, device=device, seed=seed, wait=wait,
                                                    progress=progress)
    path = own_table(target, facts, tables)
    try:
        found = measure(space, target, path, device=device, seed=seed, again=again, max_seconds=max_seconds,
                        wait=wait, calm_kernel_ms=calm_kernel_ms(target, facts, tables), progress=progress)
    except TableError as err:
        if taken is not None:
            err.add_note(taken.told)
        raise
    told = [taken.told] if taken is not None else []
    if found.report.get("company"):
        told.append(f"blocks were timed on a busy machine: {found.report['company']}")
    return Latencies(target, found.model, device is None, facts, path, found.report, tuple(told))


def cannot_be_here(target: Target) -> str | None:
    """Why this machine is not the device of a target, in words; None where it may be."""
    machine = platform.machine()
    wanted = target.hardware.machines if target.hardware else ()
    if not wanted or machine.lower() in wanted:
        return None
    return f"target {target.name} is a device with a processor of type {wanted[0]}, and this machine is {machine}"


def _may_be_here(target: Target) -> None:
    """A table of this machine must not pass for one of a board."""
    if why := cannot_be_here(target):
        raise UsageError(f"{why}: name the device with --device ssh://user@host, or carry its blocks there with "
                         "`hwnas agent export`")


@dataclass(frozen=True)
class Known:
    """What is known of a target's latencies before anything is timed.

    Args:
        source: what they come from, or will: 'measured', 'imported' or 'estimated'.
        model: None until the table is full.
        found: the table; None where there is none.
        table: where it lies or will lie; None for an estimate.
        missing: blocks that must be timed on this machine first.
        here: whether this machine is the device.
        warnings: about the table.
        device: fingerprint of the device that adapted the model; empty where none did.
    """

    source: str
    model: LatencyModel | None
    found: Choice | None
    table: Path | None
    missing: int
    here: bool
    warnings: tuple[str, ...] = ()
    device: Mapping[str, Any] = field(default_factory=dict)


def known_latencies(space: Space, target: Target, tables: Path | None = None, way_out: str = "") -> Known:
    """Where the latencies of a target would come from; times nothing.

    Args:
        way_out: the command that has the target measured (`hwnas.pipeline.commands`).

    A target without hardware figures is this machine; another one is, if its table was made here.

    Raises:
        TableError: a table is broken.
        InputError: there is no table and nothing can be estimated.
    """
    machine = fingerprint(target)
    found = choose(target, machine.to_json() if machine else None, tables)
    missing = len(found.table.missing(space.signatures) if found else space.signatures)
    this_machine = target.hardware is None
    here = this_machine or (found is not None and found.mine)
    facts = machine.to_json() if machine is not None and this_machine else None
    fitted = adapted_here(space, target, facts, tables, found.table if found is not None and not missing else None)
    if fitted is not None and not fitted.useless:
        return Known(fitted.model.source, fitted.model, None, None, 0, here, (fitted.told,), fitted.device)
    without = _without_adapted(space, target, tables, found, here, way_out)
    if fitted is None:
        return without
    told = f"an adapted model of {target} is not used: {fitted.useless}"
    return replace(without, warnings=(*without.warnings, told))


def _without_adapted(space: Space, target: Target, tables: Path | None, found: Choice | None, here: bool,
                     way_out: str) -> Known:
    missing = len(found.table.missing(space.signatures) if found else space.signatures)
    if found is not None and not missing:
        return Known(found.table.source, LatencyModel.from_table(found.table, space), found, found.table.path, 0,
                     here, found.warnings)
    if here:
        return Known("measured", None, found, table_path(tables or default_folder(), target), missing, True,
                     found.warnings if found else ())
    if found is None:
        return Known("estimated", estimate(space, target, COMPILED), None, None, 0, False)
    filled = complete(found.table, space, target)
    told = _lacks(found.table, space, filled is not None, way_out)
    return Known("estimated", filled or estimate(space, target, COMPILED), found if filled else None, None, 0, False,
                 (*(found.warnings if filled else ()), told))


def _lacks(table: Table, space: Space, used: bool, way_out: str) -> str:
    """What a table that lacks blocks of a space is good for, and how it gets them."""
    missing = table.missing(space.signatures)
    use = "they are estimated at the speed of the others" if used else "too many to use the rest, so all are estimated"
    return (f"{table.path} lacks {len(missing)} of {plural(len(space.signatures), 'block')} of this space, first "
            f"{missing[0]}: {use}. To add them: {way_out or 'hwnas profile'}")


def latencies(space: Space, target: Target, *, tables: Path | None = None, seed: int = 0,
              require_measured: bool = False, way_out: str = "", progress: Progress = silent) -> Latencies:
    """The best latency model there is for a target; measures where this machine is the device.

    Args:
        tables, seed: as in `measured`.
        require_measured: whether to refuse what was not measured.
        way_out: the command that has the target measured (`hwnas.pipeline.commands`).

    Raises:
        UsageError: nothing was measured, and `require_measured` refuses the rest.
        TableError: a table is broken, or of another device and incomplete.
        MissingDependency: the runtime of this machine is not installed.
    """
    known = known_latencies(space, target, tables, way_out)
    if known.here and not (known.model is not None and known.warnings):
        return measured(space, target, tables=tables, seed=seed, progress=progress)
    taken = None
    if known.here and known.found is not None:
        taken = take_another_version(space, target, tables=tables, seed=seed, progress=progress)
        if taken is not None and taken.taken:
            found = measured(space, target, tables=tables, seed=seed, progress=progress)
            return replace(found, warnings=(taken.told, *found.warnings))
    if require_measured and known.source != "measured":
        raise UsageError(f"the latencies of {target} for space {space.name} are {known.source}, and "
                         f"--require-measured refuses that: measure with `{way_out or 'hwnas profile'}`")
    model = known.model or estimate(space, target, COMPILED)
    device = known.found.table.device if known.found else known.device
    return Latencies(target, model, known.here, device, known.table,
                     warnings=(*known.warnings, *([taken.told] if taken is not None else [])))


def tied(spaces: Mapping[Variant, Space], lanes: Mapping[Variant, Latencies],
         progress: Progress = silent) -> dict[Variant, Latencies]:
    """The latency models of several variants at one speed, that of the full one.

    They were calibrated one after the other, and a machine drifts: on a shared one two widths were 30 % apart. So the
    largest and the smallest network of each are timed in one interleaved run. Nothing is done where this machine is
    not the device.

    Args:
        spaces, lanes: variant -> space, and what is known of its latencies; the full one is among them.
    """
    here = {variant: lane for variant, lane in lanes.items() if lane.here and lane.model.source == "measured"}
    if FULL not in here or len(here) < 2:
        return dict(lanes)
    ends = {(variant, end): arch for variant in here
            for end, arch in enumerate((spaces[variant].largest(), spaces[variant].smallest()))}
    target = here[FULL].target
    found = time_models({f"{variant.key} {end}": TimedModel(network_model(arch, batch=target.batch), target)
                   for (variant, end), arch in ends.items()}, sweeps=REFERENCE_SWEEPS, progress=progress)
    slower = {variant: math.sqrt(math.prod(
        found[f"{variant.key} {end}"].median_ms / here[variant].model.predict(ends[variant, end]).latency_ms
        for end in (0, 1))) for variant in here}
    return {**lanes, **{variant: replace(lane, model=lane.model.at_speed(slower[variant] / slower[FULL]))
                        for variant, lane in here.items()}}

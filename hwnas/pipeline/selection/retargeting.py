"""A finished search asked about another device: no training, no timing, from a table or from public figures.

What the search learnt, how much every op adds to the score, holds on any device. What changes is what ops cost; a
percentage is of what the reference costs there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hwnas.errors import TableError, UsageError
from hwnas.latency import LatencyModel
from hwnas.pipeline.commands import profile_command
from hwnas.pipeline.config.compress_config import CompressConfig, default_of
from hwnas.pipeline.config.make_config import make_config
from hwnas.pipeline.latencies.latency_sources import (
    AUTO,
    Known,
    in_fp32,
    known_latencies,
    precisions_asked,
    targets_of,
)
from hwnas.pipeline.run.branches import TARGETS
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.results import ProfileResult
from hwnas.pipeline.run.spends import Spends
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.space import FULL, Space, Variant, scaled
from hwnas.target import MIXED, Target

OF_A_DEVICE = ("runtime", "precision", "batch", "threads", "device")


@dataclass(frozen=True)
class Elsewhere:
    """A search as another device sees it.

    Args:
        target: the device, in the precision that is asked about.
        solvers: variant -> solver, the full one first.
        here: whether this machine is the device.
        table: where its times are from; None where all of them are estimated.
        warnings: what must be said before the answers are used.
        way_out: what has the device measured.
    """

    target: Target
    solvers: Mapping[Variant, ArchitectureSolver]
    here: bool
    table: Path | None
    warnings: tuple[str, ...]
    way_out: str

    @property
    def reference_ms(self) -> float:
        """What a percentage of latency is of: the reference in fp32 on this device."""
        full = self.solvers[FULL]
        return full.predict(full.reference).latency_ms * full.reference_ratio


def elsewhere(run: RunFolder, overrides: Mapping[str, object], confidence: float | None = None) -> Elsewhere:
    """The search of a run for another target, or for another way of running on its own.

    Args:
        overrides: any of target, runtime, precision, batch, threads and tables, as in `CompressConfig`. With a target
            the others are those of that target where they are not given; else they are the run's.

    Raises:
        RunError: the search is not finished.
        UsageError: the precision is `auto`, `mixed` or a list, or nothing is known of this machine's latencies yet.
        UnknownName: no such target or runtime.
    """
    config = asked_of(run.state.config, overrides)
    names = precisions_asked(config.target.precision)
    if len(names) > 1 or {AUTO, MIXED} & {*names}:
        raise UsageError(f"--precision {config.target.precision} measures models, and here nothing is measured: name "
                         "one, e.g. fp32")
    (target,) = targets_of(config)
    before = ArchitectureSolver.all_of_run(run, confidence=confidence)
    spaces = {variant: scaled(before[FULL].space, variant) if variant != FULL else before[FULL].space
              for variant in before}
    known = {variant: _known(space, target, config) for variant, space in spaces.items()}
    first = known[FULL]
    kept = [variant for variant in known if known[variant].source == first.source and known[variant].here == first.here]
    ratio, warnings = _ratio(spaces[FULL], target, config, first)
    warnings += [w for variant in kept for w in known[variant].warnings]
    warnings += [f"{variant.told} is left out: its latencies are {known[variant].source}, those of the reference "
                 f"{first.source}" for variant in known if variant not in kept]
    full = ArchitectureSolver(spaces[FULL], before[FULL].distribution, _model(first), before[FULL].baseline,
                  before[FULL].confidence, ratio, spends=Spends(target.batch))
    solvers = {FULL: full} | {variant: full.scaled(variant, _model(known[variant]), before[variant].baseline)
                              for variant in kept if variant != FULL}
    return Elsewhere(target, solvers, first.here, first.table, tuple(dict.fromkeys(warnings)),
                     profile_command(config, spaces[FULL], target))


def own_precision(run: RunFolder, overrides: Mapping[str, object]) -> str | None:
    """The precision of the run's own target that is asked about; None where another device is, or another table.

    What the run fixed holds for its own target however that is spelled: a percentage is of the same milliseconds.
    """
    config = asked_of(run.state.config, overrides)
    names = precisions_asked(config.target.precision)
    if overrides.get("tables") is not None or len(names) > 1 or AUTO in names:
        return None
    target = targets_of(config)[0]
    if MIXED in names:
        same = in_fp32(target) in map(in_fp32, targets_of(run.state.config))
        return MIXED if same and MIXED in run.precisions else None
    return target.precision if target in targets_of(run.state.config) else None


def branch_for(run: RunFolder, overrides: Mapping[str, object]) -> RunFolder | None:
    """Of a run for several targets the one below it that is for the target that is asked about; None where none is.

    What that one fixed holds: a percentage is of the same milliseconds.
    """
    wanted = targets_of(asked_of(run.state.config, overrides))[0]
    for branch in run.branches:
        if branch.kind == TARGETS and (branch.path / "run.json").is_file():
            found = RunFolder.open(branch.path)
            if wanted in targets_of(found.state.config) and found.done(ProfileResult.stage):
                return found
    return None


def asked_of(config: CompressConfig, overrides: Mapping[str, object]) -> CompressConfig:
    """A configuration for another device, or for another way of running on its own; raises as `make_config`."""
    given = {name: value for name, value in overrides.items() if value is not None}
    if "target" in given:
        given = {**dict.fromkeys(OF_A_DEVICE), **{name: default_of(name) for name in ("one_model", "give_up",
                                                                                     "device_python")}, **given}
    return make_config({**config.flat(), **given}, known_space=True)


def _known(space: Space, target: Target, config: CompressConfig) -> Known:
    """Raises UsageError where this machine is the device and was not measured."""
    way_out = profile_command(config, space, target)
    try:
        known = known_latencies(space, target, Path(config.target.tables) if config.target.tables else None, way_out)
    except TableError as err:
        err.add_note(f"To measure it anew: {way_out}")
        raise
    if known.model is None:
        raise UsageError(f"{known.missing} of {len(space.signatures)} blocks of this space were not timed yet on "
                         f"{target}, and nothing is timed here. To time them: {way_out}")
    return known


def _model(known: Known) -> LatencyModel:
    assert known.model is not None  # `_known` refuses the rest
    return known.model


def _ratio(space: Space, target: Target, config: CompressConfig, known: Known) -> tuple[float, list[str]]:
    """Latency of the reference in fp32 over that in the target's precision, from two models of one source."""
    if target.precision == "fp32":
        return 1.0, []
    exact = in_fp32(target)
    of_fp32 = known_latencies(space, exact, Path(config.target.tables) if config.target.tables else None)
    if of_fp32.model is None:
        raise UsageError(f"a percentage is of the reference in fp32, which was not timed yet on {exact}. To time its "
                         f"blocks: {profile_command(config, space, exact)}")
    network = space.reference
    ratio = of_fp32.model.predict(network).latency_ms / _model(known).predict(network).latency_ms
    if of_fp32.source == known.source:
        return float(ratio), []
    return float(ratio), [f"the reference in fp32 is {of_fp32.source} and {target.precision} {known.source}: "
                          "a percentage mixes the two"]

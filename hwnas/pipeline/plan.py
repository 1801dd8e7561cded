"""What a compress would do, without doing it."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.data.labelled import LabelledData
from hwnas.documents import read_json
from hwnas.errors import BudgetInfeasible, HwnasError, SomeBudgetsFailed, UsageError
from hwnas.latency import LatencyModel
from hwnas.pipeline.commands import profile_command, resume_command
from hwnas.pipeline.config.budget import COUNTED, THROUGHPUT, Budget, Wanted, kind_of, told_of
from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.latencies.latency_sources import in_fp32, known_latencies, targets_of
from hwnas.pipeline.latencies.spending import asked_of, check_measurable
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.limits import reference_of
from hwnas.pipeline.run.reference import EXACT, SPENT, Limit
from hwnas.pipeline.run.results import DataResult, ProfileResult
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.pipeline.task_setup import adapted, load_data, recipe_of, sizes_of, space_for_data, spaces_of, widths_of
from hwnas.progress import Progress, silent
from hwnas.search.distribution import Distribution, everything_live
from hwnas.space import Space, Variant, variants
from hwnas.target import Target

if TYPE_CHECKING:
    from hwnas.pipeline.duration import Expected
    from hwnas.pipeline.job import Begun


@dataclass(frozen=True)
class PlannedTarget:
    """What is known of one target before anything is done.

    Args:
        target: in the first precision.
        precisions: in which a network may ship there.
        source: what latencies would come from: 'measured', 'imported', or 'estimated' where the device is not this
            machine and has no full table.
        table: where the latency table of the target lies; None where there is none and none would be made.
        blocks: how many there are to know the time of, of all variants.
        missing: how many of them would have to be timed here.
        warnings: about the table.
        reference: costs of the reference network in fp32; `latency` is None until that is known.
        band: 90 % interval of its latency in the unit of `reference`; None where that is not known.
        way_out: what has the target measured; None where this machine is the device.
        adapted: whether networks that were timed on the device adapted the estimate.
    """

    target: Target
    precisions: tuple[str, ...]
    source: str
    table: Path | None
    blocks: int
    missing: int
    warnings: tuple[str, ...]
    reference: dict[str, float | None]
    band: tuple[float, float] | None
    way_out: str | None = None
    adapted: bool = False

    def bounds(self, wanted: Wanted) -> dict[str, float | None]:
        """Budget -> upper bound in the units of `hwnas.pipeline.config.budget`; None where it is not known yet."""
        return {name: _bound(budget, self.reference[name]) for name, budget in wanted.items()}

    def limits(self, networks: Sequence[Wanted]) -> dict[str, str]:
        """Budget -> what it comes to for some networks here, in words; as it was given where that is not known yet."""
        basis, texts = "estimated" if self.source == "estimated" else "predicted", dict[str, dict[str, None]]()
        for wanted in networks:
            bounds = self.bounds(wanted)
            for name, budget in wanted.items():
                how = basis if name in ("latency", THROUGHPUT) else EXACT
                limit = Limit(budget, self.reference[name] or 0.0, how)
                texts.setdefault(name, {})[budget.text if bounds[name] is None else limit.text()] = None
        return {name: ", ".join(told) for name, told in texts.items()}

    def to_json(self) -> dict[str, Any]:
        return {
            "target": self.target.model_dump(), "precisions": list(self.precisions), "latency_source": self.source,
            "warnings": list(self.warnings), "table": str(self.table) if self.table else None, "blocks": self.blocks,
            "blocks_to_time": self.missing, "reference": self.reference,
            "reference_latency_band": list(self.band) if self.band else None, "next": self.way_out,
        }


@dataclass(frozen=True)
class Plan:
    """What a run would work on.

    Args:
        out: the run folder it would make.
        data: one line about the images.
        recipe: name and what it does.
        devices: target as it was given -> what is known of it, in the order in which they were given.
        bounds: of every network as of `PlannedTarget.bounds`.
        infeasible: number of a network -> why no architecture meets its budgets, as far as that can be told yet.
        seconds: what all of it takes on this machine, at least and at most; None where torch is not installed, or no
            network can be made.
        steps: of training that were tried to know that.
        side_by_side: whether reference and search are made at the same time.
        epochs: of reference and result; with a time those that fit into it, None where that is not known.
        source: the run whose search is taken over; None of a new search.
        reused: its stages that are not done again.
    """

    config: CompressConfig
    out: Path
    data: str
    recipe: str
    space: Space
    devices: Mapping[str, PlannedTarget]
    bounds: tuple[dict[str, float | None], ...]
    infeasible: Mapping[int, BudgetInfeasible] = field(default_factory=dict)
    seconds: tuple[float, float] | None = None
    steps: int = 0
    side_by_side: bool = False
    epochs: int | None = None
    source: Path | None = None
    reused: tuple[str, ...] = ()

    @property
    def variants(self) -> tuple[Variant, ...]:
        """What the result may have of the reference's channels and pixels."""
        return variants(widths_of(self.config), sizes_of(self.config, self.space))

    @property
    def first(self) -> PlannedTarget:
        """Of several targets the one that the run itself is for."""
        return next(iter(self.devices.values()))

    def told(self, number: int) -> str:
        """A network in words."""
        return told_of(self.config.networks)[number]

    @property
    def refusal(self) -> HwnasError | None:
        """With what the run would end because of its budgets; None where all can be met, as far as can be told."""
        found = list(self.infeasible.values())
        if not found or len(self.bounds) == len(found):
            return found[0] if found else None
        why = {self.told(number): str(err) for number, err in self.infeasible.items()}
        return SomeBudgetsFailed.of(why, len(self.bounds), BudgetInfeasible.exit_code,
                                    kind_of(self.config.networks))

    def to_json(self) -> dict[str, Any]:
        return {
            "config": self.config.flat(), "out": str(self.out), "data": self.data, "recipe": self.recipe,
            **self.first.to_json(), "space": self.space.config.to_json(),
            "choices": len(self.space.choices), "architectures": str(self.space.size),
            "variants": [variant.key for variant in self.variants],
            **({"targets": [device.to_json() for device in self.devices.values()]} if len(self.devices) > 1 else {}),
            "bounds": self.bounds[0] if len(self.bounds) == 1 else list(self.bounds),
            "infeasible": str(self.refusal) if self.refusal else None,
            "seconds": list(self.seconds) if self.seconds else None, "side_by_side": self.side_by_side,
            "epochs": self.epochs,
            **({"from": str(self.source), "reused": list(self.reused)} if self.source else {}),
        }


def plan(config: CompressConfig, out: Path, progress: Progress = silent, begun: Begun | None = None) -> Plan:
    """Look at the data, build the space and look at the table; decodes no image, writes nothing and needs no torch.

    Args:
        begun: the search that is taken over, with the same configuration.

    Raises:
        UsageError: `out` is taken.
        DataError: the images cannot be used.
        TableError: the table of the target is broken.
        RunError: the search that is taken over is not finished, or its files were changed.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists and is not an empty folder: choose another --out, or go on with "
                         f"`{resume_command(out)}`")
    if begun is not None:
        begun.run.check_shared()
        config = _as_planned(config, begun.run)
    found = load_data(config, progress, memory=0)
    space = begun.run.space if begun is not None else space_for_data(config, found)
    on = {name: config.replaced(target=name) for name in config.target.names}
    own = begun.run if begun is not None and not begun.elsewhere else None
    devices = {name: (_planned(each, space, wanted) if own is None else _of_run(own, each, space, wanted))
               for name, each in on.items()
               for wanted in [[asked.wanted for asked in config.networks if asked.target == name]]}
    law = everything_live(space.sizes) if begun is None else ArchitectureSolver.of_run(begun.run).distribution
    bounds = tuple(devices[target].bounds(wanted) for target, wanted in config.networks)
    refusals = [
        _impossible(on[target], spaces_of(config, space), each, law) if own is None else
        _impossible_in(own, on[target], each)
        for (target, _), each in zip(config.networks, bounds, strict=True)]
    impossible = {number: err for number, err in enumerate(refusals) if err}
    left = len(bounds) - len(impossible)
    tables = sum(len(device.precisions) for device in devices.values() if device.missing)
    expected = _duration(config, found, space, tables, left, begun is not None) if left else None
    seconds = (expected.low, expected.high) if expected else None
    epochs = expected.config.train.epochs if expected else None if config.train.time else config.train.epochs
    reused = () if begun is None else tuple(stage for stage in begun.run.shared
                                            if stage != ProfileResult.stage or not begun.elsewhere)
    return Plan(config, out, found.summary(), recipe_of(config, found).told(), space, devices, bounds, impossible,
                seconds, expected.steps if expected else 0, expected is not None and expected.side_by_side, epochs,
                begun.run.path if begun is not None else None, reused)


def _as_planned(config: CompressConfig, run: RunFolder) -> CompressConfig:
    """With the epochs that stage data of a run planned where it was given a time."""
    found = run.found(DataResult).planned if config.train.time is not None else None
    return config if found is None else config.replaced(**found.options)


def _planned(config: CompressConfig, space: Space, networks: Sequence[Wanted]) -> PlannedTarget:
    """What is known of the target of a configuration, which some networks are for."""
    targets = targets_of(config)
    tables = Path(config.target.tables) if config.target.tables else None
    way_out = profile_command(config, space, targets[0])
    known = known_latencies(space, targets[0], tables, way_out)
    blocks = list(dict.fromkeys(s for scaled in spaces_of(config, space).values() for s in scaled.signatures))
    missing = 0 if known.source == "estimated" else len(known.found.table.missing(blocks) if known.found else blocks)
    exact = known_latencies(space, in_fp32(targets[0]), tables).model
    predicted = exact.predict(space.reference) if exact else None
    spent = asked_of(networks)
    if spent:
        check_measurable(spent, targets[0], known.here)
    reference = _reference(space, predicted.latency_ms * 1e6 if predicted else None, targets[0].batch, networks)
    band = (predicted.low_ms * 1e6, predicted.high_ms * 1e6) if predicted else None
    return PlannedTarget(targets[0], tuple(t.precision for t in targets), known.source, known.table, len(blocks),
                         missing, (*adapted(config, space), *known.warnings), reference, band,
                         None if known.here else way_out, bool(known.device))


def _of_run(run: RunFolder, config: CompressConfig, space: Space, networks: Sequence[Wanted]) -> PlannedTarget:
    """What a run knows of its own target: the reference as it was fixed there, the latencies that it has."""
    lanes, fixed = run.profile_for(config).lanes, reference_of(run, space)
    first, (target, *_) = lanes[0], targets_of(config)
    if spent := asked_of(networks):
        check_measurable(spent, target, first.here)
    source = LatencyModel.from_json(read_json(run.path / first.file)).source
    reference = _reference(space, fixed.latency_ms * 1e6, target.batch, networks)
    reference |= {name: fixed.cost(name) for name in reference if getattr(fixed, SPENT.get(name, ""), None) is not None}
    band = (fixed.low_ms * 1e6, fixed.high_ms * 1e6) if fixed.low_ms and fixed.high_ms else None
    blocks = len({s for scaled in spaces_of(config, space).values() for s in scaled.signatures})
    return PlannedTarget(target, tuple(lane.precision for lane in lanes), source,
                         run.path / first.table if first.table else None, blocks, 0, tuple(first.warnings), reference,
                         band, first.next)


def _reference(space: Space, latency: float | None, batch: int, networks: Sequence[Wanted]) -> dict[str, float | None]:
    """Costs, and of other budgets that are asked for what is known before anything is measured."""
    network = space.reference
    counted = {"latency": latency, "flops": float(network.flops), "params": float(network.params),
               "memory": float(network.memory_bytes())}
    others: dict[str, float | None] = {name: None for wanted in networks for name in wanted if name not in counted}
    if THROUGHPUT in others:
        others[THROUGHPUT] = latency / batch if latency is not None else None
    return {**counted, **others}


def _bound(budget: Budget, reference: float | None) -> float | None:
    if budget.relative and reference is None:
        return None
    return budget.absolute(reference or 0.0)


def _duration(config: CompressConfig, data: LabelledData, space: Space, tables: int, networks: int, searched: bool
              ) -> Expected | None:
    if importlib.util.find_spec("torch") is None:
        return None
    from hwnas.pipeline.duration import expect
    from hwnas.pipeline.shares import shares_of

    return expect(config, data, space, tables * len(spaces_of(config, space)), networks, shares_of(config, data, space),
                  searched)


def _impossible(config: CompressConfig, spaces: Mapping[Variant, Space],
                bounds: Mapping[str, float | None], law: Distribution) -> BudgetInfeasible | None:
    """Why no architecture of any variant in any precision meets the bounds that are known; None where one may.

    Args:
        law: says which ops are live.
    """
    known = _counted(bounds, targets_of(config)[0])
    tables, refusal = Path(config.target.tables) if config.target.tables else None, None
    for target in targets_of(config):
        for variant, space in spaces.items():
            found = known_latencies(space, target, tables).model
            asked = known if found else {name: bound for name, bound in known.items() if name != "latency"}
            model = found or LatencyModel(target.name, "estimated", dict.fromkeys(space.signatures, 0.0),
                                          precision=target.precision)
            solver = ArchitectureSolver(space, law, model, 0.0, config.target.confidence or 0.5, variant=variant)
            try:
                if asked:
                    solver.answers(asked)
                return None
            except BudgetInfeasible as err:
                refusal = refusal or err
    return refusal


def _impossible_in(run: RunFolder, config: CompressConfig, bounds: Mapping[str, float | None]
                   ) -> BudgetInfeasible | None:
    """The same of the latencies that a run has."""
    known, refusal = _counted(bounds, targets_of(config)[0]), None
    for lane in run.profile_for(config).lanes:
        for solver in ArchitectureSolver.all_of_run(run, lane.precision, config.target.confidence).values():
            try:
                if known:
                    solver.answers(known)
                return None
            except BudgetInfeasible as err:
                refusal = refusal or err
    return refusal


def _counted(bounds: Mapping[str, float | None], target: Target) -> dict[str, float]:
    """Bounds that are known on what can be added up."""
    known = {name: bound for name, bound in bounds.items() if bound is not None and name in COUNTED}
    if (bound := bounds.get(THROUGHPUT)) is not None:
        known["latency"] = min(known.get("latency", math.inf), bound * target.batch)
    return known

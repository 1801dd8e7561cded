"""Stage profile: the latency tables and models of every precision and variant that a run may ship.

| file              | what                                                                             |
|-------------------|----------------------------------------------------------------------------------|
| table.jsonl       | a copy of the table, where there is one; table-int8.jsonl and so on with `auto`  |
| latency.json      | the latency model; with `auto` latency-int8.json and so on of further precisions |
| latency-mixed.json | of networks of several precisions, where the run may ship one; -w0.5 and so on of variants |
| latency-w0.5.json | of networks with half of the reference's channels; -w1@256 of those with smaller images |
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwnas.errors import BudgetInfeasible, TableError, UsageError
from hwnas.files import write_json
from hwnas.pipeline.commands import profile_command
from hwnas.pipeline.config.budget import told_of
from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.context import RunContext
from hwnas.pipeline.latencies.latency_sources import (
    AUTO,
    Latencies,
    latencies,
    mixed_of,
    precisions_asked,
    targets_of,
    tied,
)
from hwnas.pipeline.latencies.mixed import MixedLatencies, mixed_latencies
from hwnas.pipeline.latencies.speed import Speed, at_speed, speed_of
from hwnas.pipeline.latencies.spending import asked_of, check_measurable, measured_lines
from hwnas.pipeline.run.reference import Reference
from hwnas.pipeline.run.result_parts import LaneResult
from hwnas.pipeline.run.results import ProfileResult
from hwnas.pipeline.run.spends import Line, Spends
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.pipeline.selection.queries import feasible
from hwnas.pipeline.stages.stage import Stage
from hwnas.search.distribution import everything_live
from hwnas.space import FULL, Variant
from hwnas.target import MIXED, Target


class ProfileStage(Stage[ProfileResult]):
    """Latencies, and what percentages are of."""

    name = ProfileResult.stage

    def run(self, context: RunContext) -> ProfileResult:
        return Profiler(context, context.config.replaced(target=context.config.target.first)).profile()

    def leaves(self, found: ProfileResult) -> Sequence[str]:
        of_lanes = (name for lane in found.lanes for name in (lane.file, lane.table, *lane.variants.values()) if name)
        return sorted([*of_lanes, *found.mixed.values()])


@dataclass(frozen=True)
class Profiler:
    """Brings the latencies of one target together.

    Args:
        context: the run.
        config: for that target alone.
    """

    context: RunContext
    config: CompressConfig

    def profile(self) -> ProfileResult:
        """Time what the tables lack, or estimate; keep copies of tables and models in the run folder.

        Raises:
            UsageError: networks of several precisions were asked for, and their latencies cannot be known.
        """
        context = self.context
        tables = self._tables(context.targets.values())
        speed = speed_of(context.space, tuple(lane[FULL] for lane in tables), context.progress)
        found = _at(speed, tables)
        here = all(lane[FULL].here for lane in found)
        reference, spends = self._reference(found, speed), dict[str, dict[str, Line]]()
        if asked := asked_of(each.wanted for each in context.config.on_first):
            check_measurable(asked, next(iter(context.targets.values())), here)
            reference, spends = measured_lines(context.space, context.targets.values(), asked, reference,
                                               progress=context.progress)
        lanes = []
        for i, (lane, ratio) in enumerate(zip(found, speed.ratios, strict=True)):
            suffix = "" if i == 0 else f"-{lane[FULL].target.precision}"
            of_table = tables[i][FULL].model
            lanes.append(self._keep(lane, ratio, suffix).model_copy(update={
                "table_reference_ms": of_table.predict(context.space.reference).latency_ms,
                "table_kernel_ms": of_table.calibration.kernel_ms or None, "speed": speed.factors[i]}))
        infeasible = self._infeasible(found, speed.ratios, reference, spends)
        context.run.state.reference, context.run.state.spends = reference, spends
        mixed = self._mixed(found, speed)
        files = {variant.key: "latency-mixed.json" if variant == FULL else f"latency-mixed-w{variant.key}.json"
                 for variant in mixed.models}
        for variant, model in mixed.models.items():
            write_json(context.run.path / files[variant.key], model.to_json())
        return ProfileResult(lanes=lanes, reference=reference, limits=reference.told(context.config.on_first),
                             infeasible=infeasible, mixed=files, mixed_out=mixed.why, changes=mixed.timed)

    def _mixed(self, lanes: tuple[dict[Variant, Latencies], ...], speed: Speed) -> MixedLatencies:
        """Of networks of several precisions, where the run may ship one."""
        wanted, why = mixed_of(self.context.config)
        if not wanted:
            return MixedLatencies(why=why)
        found = mixed_latencies(self.context.spaces, lanes, speed.factors, seed=self.context.config.seed,
                                progress=self.context.progress)
        if not found.models and MIXED in precisions_asked(self.context.config.target.precision):
            raise UsageError(f"--precision {MIXED}: {found.why}: take --precision {AUTO}")
        return found

    def _reference(self, lanes: tuple[dict[Variant, Latencies], ...], speed: Speed) -> Reference:
        """What percentages are of from now on."""
        network, batch = self.context.space.reference, lanes[0][FULL].target.batch
        if speed.reference is not None:
            return Reference.measured(network, speed.reference, batch=batch)
        return Reference.said(network, lanes[0][FULL].model, speed.ratios[0], batch=batch)

    def _tables(self, targets: Iterable[Target]) -> tuple[dict[Variant, Latencies], ...]:
        """What is known of every one of some targets; times what their tables lack."""
        return tuple(self._of_variants(target) for target in targets)

    def _of_variants(self, target: Target) -> dict[Variant, Latencies]:
        """Variant -> latencies, all at one speed of the machine."""
        config, spaces, progress = self.config, self.context.spaces, self.context.progress
        tables = Path(config.target.tables) if config.target.tables else None
        try:
            found = {
                variant: latencies(space, target, tables=tables, seed=config.seed,
                                   require_measured=config.target.require_measured, way_out=self._way_out(target),
                                   progress=progress)
                for variant, space in spaces.items()
            }
        except TableError as err:
            err.add_note(f"To measure it anew: {profile_command(config, self.context.space, target, again=True)}")
            raise
        return tied(spaces, found, progress)

    def _way_out(self, target: Target) -> str:
        """What has a target measured."""
        return profile_command(self.config, self.context.space, target)

    def _keep(self, variants: Mapping[Variant, Latencies], ratio: float, suffix: str) -> LaneResult:
        """Write one lane's models and table into the run folder; what run.json says of it.

        A variant whose latencies come from elsewhere than the reference's cannot be held against them, and is left out.
        """
        path, space = self.context.run.path, self.context.space
        lane, warnings = variants[FULL], list(variants[FULL].warnings)
        if lane.table is not None:
            shutil.copyfile(lane.table, path / f"table{suffix}.jsonl")
        write_json(path / f"latency{suffix}.json", lane.model.to_json())
        files: dict[str, str] = {}
        for variant, found in variants.items():
            if (found.model.source, found.here) != (lane.model.source, lane.here):
                warnings.append(f"{variant.told} is left out: its latencies are {found.model.source}, those of the "
                                f"reference {lane.model.source}: {self._way_out(lane.target)}")
            elif variant != FULL:
                files[variant.key] = f"latency{suffix}-w{variant.key}.json"
                write_json(path / files[variant.key], found.model.to_json())
        reference, smallest = (lane.model.predict(a) for a in (space.reference, space.smallest()))
        return LaneResult(
            precision=lane.target.precision, file=f"latency{suffix}.json", reference_ratio=ratio,
            table=f"table{suffix}.jsonl" if lane.table is not None else None, variants=files,
            source=lane.model.source, here=lane.here, warnings=warnings, device=dict(lane.device),
            measured=lane.report["measured"], held_out=lane.report.get("held_out"),
            held_out_isolated_sum=lane.report.get("held_out_isolated_sum"),
            held_out_pairs=lane.report.get("held_out_pairs", []),
            reference_ms=reference.latency_ms, reference_low_ms=reference.low_ms, reference_high_ms=reference.high_ms,
            smallest_ms=smallest.latency_ms, next=None if lane.here else self._way_out(lane.target),
        )

    def _infeasible(self, lanes: tuple[dict[Variant, Latencies], ...], ratios: tuple[float, ...],
                    reference: Reference, spends: Mapping[str, Mapping[str, Line]]) -> dict[str, str]:
        """Budgets that no architecture meets, on any target of the run -> why.

        Raises:
            BudgetInfeasible: none of the budgets can be met, or not all by one network for all.
        """
        first, refusals = self.config.target.name, dict[str, BudgetInfeasible]()
        solvers = {first: self._solvers(lanes, ratios, reference, spends)}
        networks = self.context.config.networks
        for number, (target, wanted) in enumerate(networks):
            if target not in solvers:  # better measured, and refused, now than after the search
                solvers[target] = Profiler(self.context, self.config.replaced(target=target)).elsewhere()
            try:
                feasible(solvers[target], wanted)
            except BudgetInfeasible as err:
                refusals[told_of(networks)[number]] = err
        if refusals and self.context.config.target.one_model:
            told, first_refusal = next(iter(refusals.items()))
            raise BudgetInfeasible(f"{told}: {first_refusal}", first_refusal.least, first_refusal.budgets)
        if len(refusals) == len(networks):
            raise next(iter(refusals.values()))
        return {told: str(err) for told, err in refusals.items()}

    def elsewhere(self) -> list[dict[Variant, ArchitectureSolver]]:
        """What another target of the run can do; times what its tables lack, and keeps nothing in the run."""
        lanes = self._tables(targets_of(self.config))
        speed = speed_of(self.context.space, tuple(lane[FULL] for lane in lanes), self.context.progress)
        found, spends = _at(speed, lanes), dict[str, dict[str, Line]]()
        reference, name = self._reference(found, speed), self.config.target.name
        wanted = [each.wanted for each in self.context.config.networks if each.target == name]
        if asked := asked_of(wanted):
            targets = targets_of(self.config)
            check_measurable(asked, targets[0], all(lane[FULL].here for lane in found))
            reference, spends = measured_lines(self.context.space, targets, asked, reference,
                                               progress=self.context.progress)
        return self._solvers(found, speed.ratios, reference, spends)

    def _solvers(self, lanes: tuple[dict[Variant, Latencies], ...], ratios: tuple[float, ...],
                 reference: Reference, spends: Mapping[str, Mapping[str, Line]],
                 ) -> list[dict[Variant, ArchitectureSolver]]:
        """Of every precision, before anything is known of the ops."""
        space, confidence = self.context.space, self.context.config.target.confidence or 0.5
        law, found = everything_live(space.sizes), []
        for lane, ratio in zip(lanes, ratios, strict=True):
            full = ArchitectureSolver(space, law, lane[FULL].model, 0.0, confidence, ratio, of=reference, spends=Spends(
                reference.batch, spends.get(lane[FULL].target.precision, {})))
            found.append({v: full if v == FULL else full.scaled(v, of.model, 0.0) for v, of in lane.items()})
        return found


def _at(speed: Speed, tables: tuple[dict[Variant, Latencies], ...]) -> tuple[dict[Variant, Latencies], ...]:
    """What tables say at the speed that the machine has now."""
    return tuple({variant: at_speed(lane, factor) for variant, lane in lanes.items()}
                 for lanes, factor in zip(tables, speed.factors, strict=True))

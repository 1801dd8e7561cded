"""Stage units: what every unit takes in every option, and what a change of precision between two costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hwnas.errors import InputError
from hwnas.files import write_json
from hwnas.pipeline.latencies.origin import misfit
from hwnas.pipeline.own_network.context import OwnContext, keys_of
from hwnas.pipeline.own_network.unit_table import UnitTable
from hwnas.pipeline.run.own_results import UnitResult, UnitsResult, limits_of
from hwnas.pipeline.stages.stage import Stage
from hwnas.surgery.measuring import UnitTimes, measure_units
from hwnas.surgery.unit_costs import signature_in

SECONDS = 60.0


class UnitsStage(Stage[UnitsResult]):
    """Times units and random plans."""

    name = UnitsResult.stage

    def run(self, context: OwnContext) -> UnitsResult:
        """Measure.

        Raises:
            InputError: the device is not the target, cannot be reached, or cannot execute a model.
        """
        target, device = context.target, context.device
        if why := misfit(target, device.fingerprint().to_json()):
            raise InputError(f"{context.address} is no {target.name}: {why}. Give that device a target of "
                             "its own (hwnas targets)")
        table = UnitTable.of(target, device, context.config.target.tables)
        found = measure_units(context.assembler, context.places, device, known=table.known, max_seconds=SECONDS,
                              calm_kernel_ms=table.calm_kernel_ms, seed=context.config.seed,
                              processor_clock=target.threads == 1, progress=context.progress)
        warnings = [*table.warnings, *table.keep(found.timed, found.kernel_ms), *found.conditions.warnings,
                    *([f"units were timed on a busy machine: {found.company}"] if found.company else [])]
        costs = found.costs
        write_json(context.run.path / "costs.json", {
            "whole_ms": costs.whole_ms, "effects": list(costs.effects), "mean_ms": costs.mean_ms.tolist(),
            "variance": costs.variance.tolist(),
            "plans": [{"plan": keys_of(p), "measured_ms": ms}
                      for p, ms in zip(found.plans, found.plans_ms, strict=True)]})
        return UnitsResult(
            units=self._rows(context, found), whole_ms=found.whole_ms,
            limits=limits_of(context.config.on_first, found.whole_ms),
            kept=dict(Counter(context.cut.flow.nodes[i].op_type for i in context.cut.loose)), facts=dict(found.facts),
            warnings=warnings)

    def leaves(self, found: UnitsResult) -> Sequence[str]:
        return ["costs.json"]

    def _rows(self, context: OwnContext, found: UnitTimes) -> list[UnitResult]:
        work = max(context.cut.flow.work, 1)
        return [UnitResult(
            name=unit.name, label=unit.label, signature=unit.signature, share=100 * unit.region.work / work,
            alone_ms={option.key: ms for option in context.places.options[unit.name]
                      if (ms := found.alone_ms.get((signature_in(context.cut, unit.name, option.key), option.key)))
                      is not None},
            frozen=context.frozen.get(unit.name, "")) for unit in context.cut.units]



"""One architecture for several devices: a solver whose budgets are those of all of them at once, exactly.

What ops take on another device is a cost of its own, `latency on NAME`, from the latency model of that device; the
program is the same with more costs. Effects hold on every device. Room is the share of a latency budget that is left,
1 - latency / budget; where score may be given up for it, budgets are shrunk by the largest room that a choice within
that score leaves on every device (`hwnas.generate.solve_for_devices`), and all that follows is asked within those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwnas.errors import BudgetInfeasible, UsageError
from hwnas.generate import solve_for_devices
from hwnas.latency.margin import UncertainCosts
from hwnas.pipeline.config.budget import COUNTED, ON, Budget, called, cost_of
from hwnas.pipeline.run.spends import Bounds
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.space import Variant

Solvers = Mapping[Variant, ArchitectureSolver]
_SECONDS = 30.0  # for the search after room; what was found by then is within the budgets, too
_ROUNDING = 1 + 1e-9  # a bound of exactly what a choice takes may be under it in the last digit


@dataclass(frozen=True, kw_only=True)
class DevicesSolver(ArchitectureSolver):
    """DPNG within the budgets of several devices.

    Args:
        name: of the device that it is a solver of.
        others: the other devices by name, for the same space.
        budgets: what networks are to stay within on every device.
        tightened: factor on the latency budget of every device, that of `name` among them.
        give_up: predicted score in percent points that may be given up for room.
    """

    name: str
    others: Mapping[str, ArchitectureSolver]
    budgets: Mapping[str, Mapping[str, Budget]]
    tightened: Mapping[str, float]
    give_up: float = 0.0

    @classmethod
    def around(cls, solver: ArchitectureSolver, name: str, others: Mapping[str, ArchitectureSolver],
               budgets: Mapping[str, Mapping[str, Budget]], tightened: Mapping[str, float] | None = None,
               give_up: float = 0.0) -> DevicesSolver:
        """A solver of one device with the budgets of others."""
        own = {field: getattr(solver, field) for field in ArchitectureSolver.__dataclass_fields__}
        known = dict.fromkeys((name, *others), 1.0) if tightened is None else tightened
        return cls(**own, name=name, others=others, budgets=budgets, tightened=known, give_up=give_up)

    def absolute(self, budgets: Mapping[str, Budget], tighten: float = 1.0) -> Bounds:
        """Bounds of all devices in units; where score is given up for room, shrunk by it.

        Args:
            tighten: factor on the latency budget of this device; the others are tightened by as much more.
        """
        return Bounds(self._with_room(self._all(budgets, tighten)))

    def rooms(self, choice: tuple[int, ...]) -> dict[str, float]:
        """Device -> share of its latency budget, as it was asked for, that is predicted to be left."""
        found = {}
        for name, solver in {self.name: self, **self.others}.items():
            if "latency" in self.budgets[name]:
                bound = solver.limits(self.budgets[name])["latency"].value
                found[name] = 1 - solver.cost("latency", solver.space.architecture(choice)) / bound
        return found

    def costs(self, names: tuple[str, ...]) -> tuple[dict[str, float], dict[str, list[np.ndarray]]]:
        """As of the other, of every device."""
        fixed, rows = super().costs(tuple(name for name in names if ON not in name))
        for name in names:
            cost, _, device = name.partition(ON)
            if device:
                always, costs = self.others[device].costs((cost,))
                fixed[name], rows[name] = always[cost], costs[cost]
        return fixed, rows

    def explained(self, err: BudgetInfeasible, bounds: Mapping[str, float]) -> BudgetInfeasible:
        """The same, with every latency told of its device."""
        least, asked = ({self._of_device(name): value for name, value in part.items()}
                        for part in (err.least, err.budgets))
        return super().explained(BudgetInfeasible(str(err), least, asked), {})

    def _of_device(self, name: str) -> str:
        return f"{name}{ON}{self.name}" if name in ("latency", "memory") else name

    @cached_property
    def _uncertain(self) -> UncertainCosts | None:
        """None: of several devices a confidence is held by sums, which is a little more than it has to be."""
        return None

    def _all(self, budgets: Mapping[str, Budget], tighten: float) -> dict[str, float]:
        bounds = dict(super().absolute(budgets, tighten))
        for device, solver in self.others.items():
            factor = self.tightened[device] * tighten / self.tightened[self.name]
            for name, bound in solver.absolute(self.budgets[device], factor).items():
                same = name in ("flops", "params") or (name == "memory" and solver.precision == self.precision)
                if same:  # on any device: the smallest bound is the one that holds
                    bounds[name] = min(bound, bounds.get(name, bound))
                else:
                    bounds[f"{name}{ON}{device}"] = bound
        return bounds

    def _with_room(self, bounds: dict[str, float]) -> dict[str, float]:
        """Bounds on latencies shrunk by the largest room that all devices can have at the score that is left."""
        spread = [name for name in bounds if cost_of(name) == "latency"]
        if self.give_up <= 0 or not spread:
            return bounds
        key = tuple(sorted(bounds.items()))
        if key not in self._known_rooms:
            self._known_rooms[key] = self._most_room(bounds, spread)
        share = (1 - self._known_rooms[key]) * _ROUNDING
        return {name: bound * share if name in spread else bound for name, bound in bounds.items()}

    def _most_room(self, bounds: Mapping[str, float], spread: list[str]) -> float:
        fixed, costs = self.costs(tuple(bounds))
        try:
            found = solve_for_devices(self.utilities(), costs, bounds, spread, give_up=self.give_up, fixed=fixed,
                                      aggregate=self.aggregates(costs), max_seconds=_SECONDS)
        except BudgetInfeasible:  # told where an architecture is asked for
            return 0.0
        return max(0.0, min(found.slack.values()))

    @cached_property
    def _known_rooms(self) -> dict[tuple[tuple[str, float], ...], float]:
        return {}


def for_devices(solvers: Mapping[str, Solvers], name: str, budgets: Mapping[str, Mapping[str, Budget]],
                tightened: Mapping[str, float] | None = None, give_up: float = 0.0) -> dict[Variant, DevicesSolver]:
    """Variant -> solver of one device within the budgets of all, of the variants that all of them have.

    Args:
        solvers: device -> its solvers by variant, the full one among them.
        name: whose latencies answers are told with.
        budgets: device -> what is asked there.

    Raises:
        UsageError: score is to be given up for room, and no device has a budget of latency.
    """
    if other := next((n for asked in budgets.values() for n in asked if n not in COUNTED), None):
        raise UsageError(f"one network for several targets has budgets of {', '.join(COUNTED)}, and not yet of "
                         f"{called(other)}: leave it out, or leave out --one-model")
    if give_up > 0 and not any("latency" in asked for asked in budgets.values()):
        raise UsageError("--give-up gives score up for room below budgets of latency: give --latency as well")
    others = [device for device in solvers if device != name]
    return {
        variant: DevicesSolver.around(solver, name, {device: solvers[device][variant] for device in others},
                                      budgets, tightened, give_up)
        for variant, solver in solvers[name].items() if all(variant in solvers[device] for device in others)
    }

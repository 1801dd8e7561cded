"""The latency model of networks whose ops differ in precision: one model per precision, and what changes cost.

A network's latency is the sum of its ops' costs, each by the model of its precision, of the changes of precision
between them, and of what is paid once per call. What is paid once, b, is what the two ends of a network cost (the image
in, the answers out), so half of it is that of the precision in which the network begins, half of that in which it ends.
A network of one precision is predicted as the model of that precision alone does it.

A change costs its entry, uncalibrated: nothing but measured networks of several precisions could calibrate it.

Glossary
    t, a, b, c  as in `hwnas.latency.model`, of each precision
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, cast

import numpy as np
from pydantic import Field

from hwnas.documents import brief
from hwnas.errors import InputError, MissingEntry, UsageError
from hwnas.latency.executed_ops import Charge, Executed, charges, executed
from hwnas.latency.margin import whole_ns
from hwnas.latency.mixed_costs import Ints, MixedCosts
from hwnas.latency.model import LatencyModel, Prediction
from hwnas.latency.places import Floats, Meeting, Wiring, changes_between, places_of
from hwnas.latency.precision_tables import changes_of, check_alike
from hwnas.latency.table import Table
from hwnas.space import Architecture, Change, Op, Space
from hwnas.target import PRECISIONS, Precision
from hwnas.validation import MOST_OPS, Milliseconds, Name, Schema, checked

SCHEMA = 1
Precisions = Sequence[Precision]  # one per position of a space, in network order


class MixedSchema(Schema):
    """The keys of the JSON of a model of several precisions; each model's are those of `ModelSchema`."""

    models: Annotated[dict[Precision, dict[str, Any]], Field(min_length=1)]
    changes_ms: Annotated[dict[Name, Milliseconds], Field(max_length=MOST_OPS)]


@dataclass(frozen=True)
class MixedPrecisionModel:
    """Frozen: what ops cost in several precisions on one target, and what changes between them cost.

    Args:
        models: precision -> its model.
        changes_ms: signature of a `hwnas.space.Change` -> ms.

    Raises:
        InputError: no model, one under another precision than its own, models of two targets or sources, or an
            estimate, which is no sum over ops.
    """

    models: Mapping[Precision, LatencyModel]
    changes_ms: Mapping[str, float]

    def __post_init__(self) -> None:
        if not self.models:
            raise InputError("a latency model of several precisions needs one or more; got none")
        for precision, model in self.models.items():
            if model.precision != precision:
                raise InputError(f"the model of {precision} says that it is of {model.precision}: make it anew")
            if type(model) is not LatencyModel:
                raise InputError(f"the model of {precision} is an estimate, whose networks are no sums over ops: "
                                 f"measure with `hwnas profile --target {model.target} --precision {precision}`")
        said = {(model.target, model.source) for model in self.models.values()}
        if len(said) > 1:
            raise InputError(f"models of one target and source are needed; got {' and '.join(map(str, sorted(said)))}: "
                             "make them of tables that were measured on one device")

    @classmethod
    def from_tables(
        cls, tables: Table | Sequence[Table], space: Space, precisions: Precisions | None = None
    ) -> MixedPrecisionModel:
        """The part of one table of several precisions, or of several tables of one target, that a space needs.

        Args:
            precisions: which; None takes all that the tables hold ops of. Where two tables hold one precision, or one
                change, the first that does counts.

        Raises:
            TableError: tables of different targets, devices, runtime versions or sources; or what
                `LatencyModel.from_table` raises.
            MissingEntry: an op or a change of the space has no entry.
            UsageError: a precision of which no table holds ops.
        """
        given = [tables] if isinstance(tables, Table) else list(tables)
        check_alike(given)
        holders: dict[str, Table] = {}
        for table in given:
            for precision in table.precisions:
                if table.entries_in(precision):
                    holders.setdefault(precision, table)
        wanted = tuple(precisions) if precisions is not None else tuple(p for p in PRECISIONS if p in holders)
        absent = next((p for p in wanted if p not in holders), None)
        if absent or not wanted:
            raise UsageError(f"no table holds ops in {absent or 'any precision'}; they hold "
                             f"{', '.join(holders) or 'none'}: give the table of that precision too, or leave it out")
        models = {p: LatencyModel.from_table(holders[p], space, p) for p in wanted}
        known = {s: e.median_ms for table in reversed(given) for s, e in table.changes.items()}
        needed = {change.signature for change in changes_of(space, wanted)}
        made = cls(models, {s: ms for s, ms in known.items() if s in needed})
        for change in changes_of(space, wanted):
            made.change_ms(change)
        return made

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """Those that it has a model of, in the order of `hwnas.target.PRECISIONS`."""
        return tuple(p for p in PRECISIONS if p in self.models)

    @property
    def target(self) -> str:
        """Name of the target."""
        return next(iter(self.models.values())).target

    def at_speed(self, factor: float) -> MixedPrecisionModel:
        """The same for a device that takes `factor` times as long for everything."""
        return MixedPrecisionModel({p: model.at_speed(factor) for p, model in self.models.items()},
                                   {s: factor * ms for s, ms in self.changes_ms.items()})

    def model(self, precision: str) -> LatencyModel:
        """The model of one precision.

        Raises:
            UsageError: there is none.
        """
        if precision not in self.models:
            raise UsageError(f"the latency model of {self.target} knows {', '.join(self.precisions)}; got "
                             f"{brief(precision)}")
        return self.models[cast(Precision, precision)]

    def change_ms(self, change: Change) -> float:
        """What a change of precision costs.

        Raises:
            MissingEntry: it has no entry.
        """
        try:
            return self.changes_ms[change.signature]
        except KeyError:
            way_out = "measure it and add its line to a table, or give one precision less"
            raise MissingEntry(change.signature, self.target, way_out) from None

    def ends_ms(self, precision: str) -> float:
        """What a network pays once for beginning, or for ending, in a precision: half of b."""
        return self.model(precision).calibration.b_ms / 2

    def predict(self, arch: Architecture, precisions: Precisions) -> Prediction:
        """Latency of an architecture whose positions run in these precisions; exact in every wiring.

        The interval is the widest of the precisions that are used.

        Args:
            precisions: one per position in network order; of a dead one it does not matter.

        Raises:
            MissingEntry: an op or a change has no entry.
            UsageError: another number of precisions than positions, or one that the model does not know.
        """
        plan = _plan(arch.space, precisions)
        found = executed(arch, plan)
        latency = self.ends_ms(plan[0]) + self.ends_ms(plan[-1])
        latency += sum(self.model(str(p)).op_cost_ms(op) for op, p in found.ops)
        latency += sum(map(self.change_ms, found.changes)) - self._shared_ms(found)
        latency = max(latency, 0.0)
        used = [self.model(str(p)) for p in {plan[0], plan[-1], *(p for _, p in found.ops)}]
        spread = math.exp(max(model.calibration.log_spread for model in used))
        measured = float(all(model.source == "measured" for model in used))
        return Prediction(latency, latency / spread, latency * spread, measured)

    def costs_ns(self, space: Space, precisions: Precisions | None = None) -> MixedCosts:
        """Costs of every (op, precision) and of every change in whole nanoseconds, rounded up.

        A sum of them never claims less than `predict`. In a chain it claims at most a nanosecond per place and change
        more; where several positions write a node it is an upper bound (`hwnas.latency.mixed_costs`).

        Args:
            precisions: which; None takes all of the model.

        Raises:
            MissingEntry: an op or a change has no entry.
            UsageError: the model does not know a precision.
        """
        known = tuple(precisions) if precisions is not None else self.precisions
        models = [self.model(p) for p in known]
        places, wiring, rows = places_of(space), Wiring(space), charges(space)
        last = len(space.positions) - 1

        def op_ms(ops: Sequence[Op]) -> Floats:
            return np.array([sum(model.op_cost_ms(op) + model.again_ms(op) for op in ops) for model in models],
                            dtype=np.float64)

        joined = {wiring.writers[node][0]: op_ms([op]) for node, op in space.concatenations.items()
                  if len(wiring.firsts(node)) == 1}

        def at(position: int, op: int) -> Floats:
            charge, cost = rows[position][op], np.zeros(len(known))
            cost += op_ms((*charge.itself, *charge.addition))
            cost += joined.get(position, 0.0)
            cost += sum(position == end for end in (0, last)) * np.array([self.ends_ms(p) for p in known])
            return cost

        def change(meeting: Meeting) -> Floats:
            grid = np.array([[0.0 if p == q else self.change_ms(Change(p, q, meeting.shape)) for q in known]
                             for p in known])
            added = op_ms(meeting.adds)
            more = added[None, :] - added[:, None]  # it is added in the precision of what takes it
            grid += more if meeting.only else np.maximum(more, 0.0)
            return grid

        table = tuple(_whole(np.array([np.sum([at(i, k) for i in place.positions], axis=0)
                                       for k in range(len(place.carries))])) for place in places)
        found = changes_between(space, places, wiring.meetings([_addition(row) for row in rows]), change)
        grids = {pair: _whole(grid) for pair, grid in found.items()}
        loose = [op for node, op in space.concatenations.items() if len(wiring.firsts(node)) > 1]
        return MixedCosts(space, known, places, table, grids, whole_ns(sum(float(op_ms([op]).max()) for op in loose)))

    def _shared_ms(self, found: Executed) -> float:
        """What maps that several ops activate take off, or add where that is below 0."""
        total = 0.0
        for op, precision in found.shared:
            model = self.model(str(precision))
            total += model.calibration.shared_ms_per_mb * model.map_mb(op)
        return total

    def to_json(self) -> dict[str, Any]:
        """Everything needed to predict without the tables."""
        return {
            "hwnas_mixed_precision_model": SCHEMA,
            "models": {p: self.models[p].to_json() for p in self.precisions},
            "changes_ms": dict(self.changes_ms),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> MixedPrecisionModel:
        """Read `to_json` back.

        Raises:
            InputError: another schema, or a field is missing or wrong.
        """
        if not isinstance(data, Mapping) or data.get("hwnas_mixed_precision_model") != SCHEMA:
            raise InputError(f"not a latency model of several precisions of schema {SCHEMA}: {brief(data)}")
        found = checked(MixedSchema, data, "the latency model", way_out="make it anew from its tables")
        for signature in found.changes_ms:
            Change.parse(signature)
        return cls({p: LatencyModel.from_json(model) for p, model in found.models.items()}, found.changes_ms)


def _addition(row: Sequence[Charge]) -> tuple[tuple[Op, ...], bool]:
    """What is executed where a position is added to its node, and whether each op through which a map flows has it."""
    found = {charge.addition for charge in row if charge.addition}
    return (found.pop(), all(charge.addition for charge in row if charge.flows)) if found else ((), True)


def _whole(costs_ms: Floats) -> Ints:
    return np.array([[whole_ns(cost) for cost in row] for row in costs_ms.tolist()], dtype=np.int64)


def _plan(space: Space, precisions: Precisions) -> tuple[Precision, ...]:
    plan = tuple(precisions)
    if len(plan) != len(space.positions):
        raise UsageError(f"space {space.name} has {len(space.positions)} positions, each with a precision; "
                         f"got {len(plan)} precisions")
    return plan

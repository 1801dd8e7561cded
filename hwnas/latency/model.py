"""The latency model: a table and its calibration; an architecture in, milliseconds with an error bar out.

Latency is additive over the ops: latency = fixed + sum of op costs, where an op costs a*t + c*MB and the fixed part
is b plus the ops that are no choice. A dynamic program can therefore add it up in integers. In a chain that is
exact; in a cell an op whose output nobody reads costs nothing, which `predict` knows and a sum over choices cannot:
there the sum is an upper bound of the prediction (`hwnas.latency.executed_ops`).

Glossary
    t        table entry of an op, ms (median), and e its standard error
    MB       weights of an op, 10^6 bytes
    a, b, c  see `hwnas.latency.calibrate`
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hwnas.documents import brief
from hwnas.errors import InputError, MissingEntry, TableError
from hwnas.latency.calibrate import Calibration, Parts
from hwnas.latency.entry import LEAST_MS, Entry
from hwnas.latency.executed_ops import activates, charged_ops, live_ops, shared_activations
from hwnas.latency.margin import MOST_COST_MS, Margin, UncertainCosts
from hwnas.latency.table import Table
from hwnas.space import Architecture, Op, Space
from hwnas.target import VALUE_BYTES, Precision
from hwnas.validation import MOST_OPS, Milliseconds, Name, Schema, checked

SCHEMA = 1
WEIGHT_BYTES = VALUE_BYTES  # its name of 0.1, for one version more
_TENTHS = 2.563  # standard deviations from the 10th to the 90th percentile of normal samples
_RUNS_PER_SAMPLE = 2  # the runs of one visit share one state of the machine


class ModelSchema(Schema):
    """The keys of a latency model's JSON; the calibration's are those of `CalibrationSchema`."""

    target: Name
    source: Literal["measured", "estimated", "imported"]
    precision: Precision
    entries_ms: Annotated[dict[Name, Milliseconds], Field(max_length=MOST_OPS)]
    errors_ms: Annotated[dict[Name, Milliseconds], Field(max_length=MOST_OPS)] = Field(default_factory=dict)
    terms_ms: Annotated[dict[Name, Annotated[list[Milliseconds], Field(min_length=2, max_length=2)]],
                        Field(max_length=MOST_OPS)] = Field(default_factory=dict)
    rule: Literal["compiled", "zeros", "eager", "shared"] = "compiled"
    ways: Annotated[list[dict[str, Any]], Field(max_length=10)] = Field(default_factory=list)
    calibration: dict[str, Any]
    table_hash: Name


@dataclass(frozen=True)
class Prediction:
    """What a network should cost.

    Args:
        latency_ms: the estimate.
        low_ms, high_ms: 90 % of networks measure between these.
        measured_share: share of the ops' time that comes from measurements on the target, 0..1.
    """

    latency_ms: float
    low_ms: float
    high_ms: float
    measured_share: float


@dataclass(frozen=True)
class LatencyModel:
    """Frozen: block times of one space on one target, and their calibration.

    Args:
        target: name of the target.
        source: 'measured', 'estimated' or 'imported'.
        entries_ms: signature -> t.
        calibration: a, b, c and the interval.
        table_hash: `Table.content_hash` of where it came from.
        precision: number format of the weights.
        errors_ms: signature -> e; an absent one counts as 0.
    """

    target: str
    source: str
    entries_ms: Mapping[str, float]
    calibration: Calibration = field(default_factory=Calibration)
    table_hash: str = ""
    precision: str = "fp32"
    errors_ms: Mapping[str, float] = field(default_factory=dict)
    readers: ClassVar[dict[str, type[LatencyModel]]] = {}  # a key that only models of one class write -> that class

    def __init_subclass__(cls, *, key: str, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        LatencyModel.readers[key] = cls

    @classmethod
    def from_table(cls, table: Table, space: Space, precision: str | None = None) -> LatencyModel:
        """The part of a table that a space needs, with the space's calibration, or the plain sum without one.

        Args:
            precision: one that the table holds; None for its own.

        Raises:
            MissingEntry: the table lacks a signature of the space.
            TableError: the largest network would cost nothing, or the calibration contradicts the blocks.
        """
        table.require(space.signatures, precision)
        known = table.calibration(space.fingerprint, precision) or Calibration()
        if why := known.contradiction():
            raise TableError(f"{table.path}: the times of its blocks and of whole networks contradict each other: "
                             f"{why}. Move the table away and measure again, with the device left alone")
        entries = [table.lookup(s, precision) for s in space.signatures]
        made = cls(
            target=table.target,
            source=table.source,
            entries_ms={entry.signature: entry.median_ms for entry in entries},
            calibration=known,
            table_hash=table.content_hash,
            precision=precision or table.precisions[0],
            errors_ms={entry.signature: standard_error_ms(entry) for entry in entries},
        )
        return made.check(space)

    def at_speed(self, factor: float) -> LatencyModel:
        """The same for a device that takes `factor` times as long for everything."""
        return replace(self, calibration=self.calibration.at_speed(factor))

    def predict(self, arch: Architecture) -> Prediction:
        """Latency of an architecture.

        Raises:
            MissingEntry: an op has no entry.
        """
        latency = self.calibration.b_ms + sum(self.op_cost_ms(op) for op in live_ops(arch))
        if self.calibration.shared_ms_per_mb:
            latency -= self.calibration.shared_ms_per_mb * self._shared_mb(arch)
        latency = max(latency, 0.0)
        spread = math.exp(self.calibration.log_spread)
        return Prediction(latency, latency / spread, latency * spread, float(self.source == "measured"))

    def predict_ms(self, archs: Iterable[Architecture]) -> NDArray[np.float64]:
        """Latencies of several architectures in ms, shape (n,)."""
        return np.array([self.predict(arch).latency_ms for arch in archs])

    def upper_ms(self, arch: Architecture, confidence: float) -> float:
        """What an architecture measures at most, with this probability; exact where `costs_ns` bounds it.

        Raises:
            MissingEntry: an op has no entry.
            UsageError: the probability is not in [0.5, 1).
        """
        uses = Counter(op.signature for op in live_ops(arch))
        variance = sum(n**2 * self._variance(signature) for signature, n in uses.items())
        return self._margin(arch.space).upper_ms(self.predict(arch).latency_ms, variance, confidence)

    def op_cost_ms(self, op: Op) -> float:
        """What an op adds to the latency of a network; 0 for one that a runtime leaves out.

        Raises:
            MissingEntry: the op has no entry.
        """
        if not op.timed:
            return 0.0
        factor = self.calibration.a + self.calibration.kinds.get(op.kind, 0.0)
        cost = factor * self._entry(op) + self.calibration.c_ms_per_mb * self.weights_mb(op) + self.calibration.op_ms
        return max(0.0, cost)

    def weights_mb(self, op: Op) -> float:
        """Weights that an op reads, in 10^6 bytes."""
        return op.params * VALUE_BYTES[self.precision] / 1e6

    def fixed_ms(self, space: Space) -> float:
        """What every network of the space pays: b and the ops that are no choice."""
        return self.calibration.b_ms + sum(self.op_cost_ms(op) + self.again_ms(op) for op in charged_ops(space)[0])

    def costs_ns(self, space: Space, confidence: float = 0.5) -> tuple[int, list[NDArray[np.int64]]]:
        """Costs in whole nanoseconds, rounded up, so that a sum never claims less than the prediction.

        With a confidence above 0.5 a sum is never less than `upper_ms`: a network whose costs are within a budget
        measures within it with at least that probability. How much more than `upper_ms` it can be: see
        `hwnas.latency.margin`.

        Args:
            confidence: that a network which is drawn at random measures within its sum. Networks that an optimiser
                picks because they look cheap are a little worse than that.

        Returns:
            The fixed part, and per choice the costs of its ops, shape (ops,).

        Raises:
            MissingEntry: an op has no entry.
            UsageError: the confidence is not in [0.5, 1).
        """
        fixed, rows = self._amounts(space)
        return self._margin(space).costs_ns(fixed, rows, confidence)

    def uncertain_costs(self, space: Space, confidence: float) -> UncertainCosts:
        """What `costs_ns` bounds by a sum, unbounded: means and variances for `hwnas.generate.solve_uncertain`.

        Raises:
            MissingEntry: an op has no entry.
            UsageError: the confidence is not in [0.5, 1).
        """
        fixed, rows = self._amounts(space)
        return self._margin(space).uncertain_costs(fixed, rows, confidence)

    def sums(self, archs: Iterable[Architecture]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(plain sums of entries in ms, weights in MB), shape (n,) each: what a calibration is fitted to."""
        pairs = [
            (sum(self._entry(op) for op in live), sum(self.weights_mb(op) for op in live))
            for live in (live_ops(arch) for arch in archs)
        ]
        both = np.array(pairs, dtype=np.float64).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    def counts(self, archs: Iterable[Architecture]) -> NDArray[np.float64]:
        """How many ops of each architecture take time, shape (n,)."""
        return np.array([sum(op.timed for op in live_ops(arch)) for arch in archs], dtype=np.float64)

    def parts(self, space: Space, archs: Sequence[Architecture]) -> Parts | None:
        """What the sums of networks of cells are made of; None for a space that is a chain."""
        if not space.branches:
            return None
        runs = [live_ops(arch) for arch in archs]
        kinds = sorted({op.kind for run in runs for op in run})
        sums = {
            kind: np.array([sum(self._entry(op) for op in run if op.kind == kind) for run in runs]) for kind in kinds
        }
        return Parts(sums, np.array([self._shared_mb(arch) for arch in archs]))

    def again_ms(self, op: Op) -> float:
        """What an op costs on top, at most, if others read its map before it; 0 where that makes it cheaper."""
        return max(0.0, -self.calibration.shared_ms_per_mb) * self.map_mb(op) if activates(op) else 0.0

    def _shared_mb(self, arch: Architecture) -> float:
        """Maps that are activated in several entries, each but the first time, in 10^6 bytes."""
        return sum(map(self.map_mb, shared_activations(arch)))

    def map_mb(self, op: Op) -> float:
        """The map that an op reads, in 10^6 bytes."""
        return op.in_channels * math.prod(op.size) * VALUE_BYTES[self.precision] / 1e6

    def to_json(self) -> dict[str, Any]:
        """Everything needed to predict without the table."""
        return {
            "hwnas_latency_model": SCHEMA,
            "target": self.target,
            "source": self.source,
            "precision": self.precision,
            "entries_ms": dict(self.entries_ms),
            "errors_ms": dict(self.errors_ms),
            "calibration": self.calibration.to_json(),
            "table_hash": self.table_hash,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LatencyModel:
        """Read `to_json` back, of a subclass as well; one without standard errors, as older versions wrote it, too.

        Raises:
            InputError: another schema, a field is missing, or an unknown precision.
        """
        if not isinstance(data, Mapping) or data.get("hwnas_latency_model") != SCHEMA:
            raise InputError(f"not a latency model of schema {SCHEMA}: {brief(data)}")
        if cls is LatencyModel:
            for reader in (reader for key, reader in cls.readers.items() if key in data):
                return reader.from_json(data)
        found = checked(ModelSchema, data, "the latency model", way_out="profile again, or start a new run")
        return cls(found.target, found.source, found.entries_ms, Calibration.from_json(found.calibration),
                   found.table_hash, found.precision, found.errors_ms)

    def check(self, space: Space) -> LatencyModel:
        """Whether it says anything of a space; itself.

        Raises:
            TableError: the largest network costs nothing, so no percentage of it means anything.
            MissingEntry: an op has no entry.
        """
        found = self.predict(space.largest()).latency_ms
        if not LEAST_MS <= found <= MOST_COST_MS:
            raise TableError(f"the largest network of space {space.name} would take {found:.3g} ms on {self.target}: "
                             "the table or its calibration is wrong; measure again with `hwnas profile --again`")
        return self

    def _margin(self, space: Space) -> Margin:
        (fixed_ms, fixed_variance), rows = self._amounts(space)
        least = fixed_ms + sum(min(cost for cost, _ in row) for row in rows)
        means = np.array([np.mean(row, axis=0) for row in rows]).reshape(-1, 2).sum(axis=0)
        return Margin.of(self.calibration.spread, least, fixed_ms + means[0], fixed_variance + means[1])

    def _amounts(self, space: Space) -> tuple[tuple[float, float], list[list[tuple[float, float]]]]:
        """(cost in ms, variance in ms^2) of the fixed part and of every op of every choice.

        Ops of one signature share one entry and its error: m of them have m^2 times its variance. That is no sum, but
        never more than m times the most that the space can use, which is.
        """
        fixed, choices = charged_ops(space)
        most = _most_uses(fixed, choices)

        def amount(ops: Iterable[Op]) -> tuple[float, float]:
            timed = list(ops)
            cost = sum(self.op_cost_ms(op) + self.again_ms(op) for op in timed)
            return cost, sum(most[op.signature] * self._variance(op.signature) for op in timed)

        cost, variance = amount(fixed)
        return (self.calibration.b_ms + cost, variance), [[amount(ops) for ops in row] for row in choices]

    def _variance(self, signature: str) -> float:
        """Variance of one op's cost from the standard error of its entry, ms^2."""
        return (self.calibration.a * self.errors_ms.get(signature, 0.0)) ** 2

    def _entry(self, op: Op) -> float:
        try:
            return self.entries_ms[op.signature]
        except KeyError:
            raise MissingEntry(op.signature, self.target, f"run `hwnas profile --target {self.target}`") from None


def _most_uses(fixed: Iterable[Op], choices: Iterable[Iterable[Iterable[Op]]]) -> Counter[str]:
    """Signature -> how often a network of the space can have it at most."""
    most = Counter(op.signature for op in fixed)
    for row in choices:
        used: Counter[str] = Counter()
        for ops in row:
            used |= Counter(op.signature for op in ops)
        most += used
    return most


def standard_error_ms(entry: Entry) -> float:
    """Standard error of an entry's median from its percentiles and number of runs, ms; 0 without any runs."""
    if entry.runs < 1:
        return 0.0
    deviation = max(0.0, entry.p90_ms - entry.p10_ms) / _TENTHS
    return deviation * math.sqrt(math.pi / 2 / max(1.0, entry.runs / _RUNS_PER_SAMPLE))



"""The latency model: a table and its calibration; an architecture in, milliseconds with an error bar out.

Latency is exactly additive over the ops: latency = fixed + sum of op costs, where an op costs a*t + c*MB and the
fixed part is b plus the ops that are no choice. A dynamic program can therefore add it up in integers.

Glossary
    t        table entry of an op, ms (median)
    MB       weights of an op, 10^6 bytes
    a, b, c  see `hwnas.latency.calibrate`
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import InputError, MissingEntry, TableError
from hwnas.latency.calibrate import Calibration
from hwnas.latency.table import Table
from hwnas.space import Architecture, Op, Space

SCHEMA = 1
_BYTES = {"fp32": 4}


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
    """

    target: str
    source: str
    entries_ms: Mapping[str, float]
    calibration: Calibration = field(default_factory=Calibration)
    table_hash: str = ""
    precision: str = "fp32"

    @classmethod
    def from_table(cls, table: Table, space: Space) -> LatencyModel:
        """The part of a table that a space needs, with the space's calibration, or the plain sum without one.

        Raises:
            MissingEntry: the table lacks a signature of the space.
        """
        table.require(space.signatures)
        return cls(
            target=table.target,
            source=table.source,
            entries_ms={s: table.lookup(s).median_ms for s in space.signatures},
            calibration=table.calibration(space.fingerprint) or Calibration(),
            table_hash=table.content_hash,
            precision=str(table.header["precision"]),
        )

    def predict(self, arch: Architecture) -> Prediction:
        """Latency of an architecture.

        Raises:
            MissingEntry: an op has no entry.
        """
        latency = self.calibration.b_ms + sum(self.op_cost_ms(op) for op in arch.ops)
        latency = max(latency, 0.0)
        spread = math.exp(self.calibration.log_spread)
        return Prediction(latency, latency / spread, latency * spread, float(self.source == "measured"))

    def predict_ms(self, archs: Iterable[Architecture]) -> NDArray[np.float64]:
        """Latencies of several architectures in ms, shape (n,)."""
        return np.array([self.predict(arch).latency_ms for arch in archs])

    def op_cost_ms(self, op: Op) -> float:
        """What an op adds to the latency of a network; 0 for a skip.

        Raises:
            MissingEntry: the op has no entry.
        """
        if op.kind == "skip":
            return 0.0
        return self.calibration.a * self._entry(op) + self.calibration.c_ms_per_mb * self.weights_mb(op)

    def weights_mb(self, op: Op) -> float:
        """Weights that an op reads, in 10^6 bytes."""
        return op.params * _BYTES[self.precision] / 1e6

    def fixed_ms(self, space: Space) -> float:
        """What every network of the space pays: b and the ops that are no choice."""
        return self.calibration.b_ms + sum(self.op_cost_ms(op) for op in space.fixed_ops)

    def costs_ns(self, space: Space) -> tuple[int, list[NDArray[np.int64]]]:
        """Costs in whole nanoseconds, rounded up, so that a sum never claims less than the prediction.

        Returns:
            The fixed part, and per choice the costs of its ops, shape (ops,).

        Raises:
            MissingEntry: an op has no entry.
        """
        per_choice = [
            np.array([_ns(self.op_cost_ms(op)) for op in choice.ops], dtype=np.int64) for choice in space.choices
        ]
        return _ns(self.fixed_ms(space)), per_choice

    def sums(self, archs: Iterable[Architecture]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(plain sums of entries in ms, weights in MB), shape (n,) each: what a calibration is fitted to."""
        pairs = [
            (sum(self._entry(op) for op in real), sum(self.weights_mb(op) for op in real))
            for real in ([op for op in arch.ops if op.kind != "skip"] for arch in archs)
        ]
        both = np.array(pairs, dtype=np.float64).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    def to_json(self) -> dict[str, Any]:
        """Everything needed to predict without the table."""
        return {
            "hwnas_latency_model": SCHEMA,
            "target": self.target,
            "source": self.source,
            "precision": self.precision,
            "entries_ms": dict(self.entries_ms),
            "calibration": self.calibration.to_json(),
            "table_hash": self.table_hash,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LatencyModel:
        """Read `to_json` back.

        Raises:
            InputError: another schema, or a field is missing.
        """
        if not isinstance(data, Mapping) or data.get("hwnas_latency_model") != SCHEMA:
            raise InputError(f"not a latency model of schema {SCHEMA}: {str(data)[:80]}")
        try:
            return cls(
                str(data["target"]), str(data["source"]),
                {str(k): float(v) for k, v in data["entries_ms"].items()},
                Calibration.from_json(data["calibration"]), str(data["table_hash"]), str(data["precision"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, TableError) as err:
            raise InputError(f"latency model is incomplete or malformed: {err!r}") from err

    def _entry(self, op: Op) -> float:
        try:
            return self.entries_ms[op.signature]
        except KeyError:
            raise MissingEntry(op.signature, self.target, f"run `hwnas profile --target {self.target}`") from None


def _ns(cost_ms: float) -> int:
    # the subtraction forgives the last bit of a float: 0.3 ms is 300000 ns, not 300001
    return math.ceil(cost_ms * 1e6 - 1e-6)

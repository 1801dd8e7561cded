"""The reference of a run in figures, fixed once: what every percentage is of, in every command.

Where this machine is the device, the reference is timed at the end of stage profile, and that is its latency from then
on: later stages time it again, beside what they compare with it, but 50 % stays 50 % of this. Elsewhere it is what the
latency model says. The other costs follow from the architecture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from hwnas.errors import UsageError
from hwnas.latency import LatencyModel
from hwnas.pipeline.config.budget import THROUGHPUT, Asked, Budget, called, show
from hwnas.runtime import Measurement
from hwnas.runtime.spending import ENERGY, FILE_SIZE, P99, PEAK_MEMORY
from hwnas.space import Architecture
from hwnas.validation import Count, Milliseconds

Basis = Literal["measured", "predicted", "estimated"]
EXACT = "exact"
UNITS = {"flops": "FLOPs", "params": " parameters"}
SPENT = {P99: "p99_ms", ENERGY: "energy_mj", PEAK_MEMORY: "peak_memory_bytes", FILE_SIZE: "file_bytes"}
"""Budget -> the field of what was measured, which is there where it was asked for."""
INSIDE = {P99: 1e6, ENERGY: 1e3}
"""Budget -> units inside of the budget in one of that field."""
OLD = " (what this run of hwnas 0.1 found last; it fixed nothing)"


class Reference(BaseModel):
    """Costs of the reference in fp32; kept in run.json.

    Args:
        latency_ms: at batch and threads of the target.
        basis: 'measured' on the device, 'predicted' by a table of it, or 'estimated' from public figures.
        low_ms, high_ms: its 90 % interval where it was not measured, else its 10th and 90th percentile.
        kernel_ms: time of the reference kernel between those runs: the speed of the machine; None where not measured.
        flops, params, memory_bytes: exact.
        derived: whether the run did not fix it (hwnas 0.1).
        batch: images of a call.
        p99_ms: 99th percentile of a call, on a calm machine; energy_mj: of an image; peak_memory_bytes: of a process;
            file_bytes: of the ONNX file. None where nobody asked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    latency_ms: Milliseconds
    basis: Basis
    low_ms: Milliseconds | None = None
    high_ms: Milliseconds | None = None
    kernel_ms: Milliseconds | None = None
    flops: Count
    params: Count
    memory_bytes: Count
    derived: bool = False
    batch: int = Field(default=1, ge=1, le=1024)
    p99_ms: Milliseconds | None = None
    energy_mj: Milliseconds | None = None  # the same bounds
    peak_memory_bytes: Count | None = None
    file_bytes: Count | None = None

    @model_serializer(mode="wrap")
    def _what_was_asked(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Without what nobody asked for: a run without such a budget reads as before."""
        left_out = [name for name in SPENT.values() if getattr(self, name) is None] + ["batch"] * (self.batch == 1)
        return {name: value for name, value in write(self).items() if name not in left_out}

    @classmethod
    def measured(cls, arch: Architecture, timed: Measurement, *, derived: bool = False, batch: int = 1) -> Reference:
        """As timed on the device."""
        return cls(latency_ms=timed.median_ms, basis="measured", low_ms=timed.p10_ms, high_ms=timed.p90_ms,
                   kernel_ms=timed.kernel_ms, derived=derived, batch=batch, **_exact(arch))

    @classmethod
    def said(cls, arch: Architecture, model: LatencyModel, ratio: float = 1.0, *, derived: bool = False,
             batch: int = 1) -> Reference:
        """As a latency model says.

        Args:
            ratio: latency of the reference in fp32 over that in the model's precision.
        """
        found = model.predict(arch)
        basis: Basis = "estimated" if model.source == "estimated" else "predicted"
        return cls(latency_ms=found.latency_ms * ratio, basis=basis, low_ms=found.low_ms * ratio,
                   high_ms=found.high_ms * ratio, derived=derived, batch=batch, **_exact(arch))

    def cost(self, name: str) -> float:
        """One cost in the units of `hwnas.pipeline.config.budget`.

        Raises:
            UsageError: it was not measured.
        """
        if name in SPENT:
            found = getattr(self, SPENT[name])
            if found is None:
                raise UsageError(f"--{name.replace('_', '-')} in percent: the {called(name)} of the reference was not "
                                 "measured in this run: give the budget in its unit, or begin a run with it")
            return float(found) * INSIDE.get(name, 1.0)
        return {"latency": self.latency_ms * 1e6, "flops": float(self.flops), "params": float(self.params),
                "memory": float(self.memory_bytes), THROUGHPUT: self.latency_ms * 1e6 / self.batch}[name]

    def limit(self, budget: Budget) -> Limit:
        """What a budget comes to; raises as `cost` where it is a percentage."""
        if budget.name in SPENT:
            return Limit(budget, self.cost(budget.name) if budget.relative else 0.0, "measured")
        timed = budget.name in ("latency", THROUGHPUT)
        basis, derived = (self.basis, self.derived) if timed else (EXACT, False)
        return Limit(budget, self.cost(budget.name), basis, derived)

    def limits(self, budgets: Mapping[str, Budget]) -> dict[str, Limit]:
        """What budgets come to."""
        return {name: self.limit(budget) for name, budget in budgets.items()}

    def told(self, networks: Sequence[Asked]) -> dict[str, str]:
        """Budget -> what it comes to for networks on one target, in words; of what is not measured as asked."""
        texts: dict[str, dict[str, None]] = {}
        for asked in networks:
            for name, budget in asked.wanted.items():
                unknown = budget.relative and name in SPENT and getattr(self, SPENT[name]) is None
                texts.setdefault(name, {})[budget.text if unknown else self.limit(budget).text()] = None
        return {name: ", ".join(told) for name, told in texts.items()}


@dataclass(frozen=True)
class Limit:
    """A budget with the number that it comes to.

    Args:
        reference: the cost of the reference, in the unit inside of the budget.
        basis: of that: as of `Reference`, or 'exact'.
        derived: as of `Reference`.
    """

    budget: Budget
    reference: float
    basis: str
    derived: bool = False

    @property
    def value(self) -> float:
        """The bound, in the unit inside of the budget."""
        return self.budget.absolute(self.reference)

    def text(self) -> str:
        """'50 % of 0.252 ms measured = 0.126 ms', '60 % of 5.20 MFLOPs = 3.12 MFLOPs' or '8.000 ms'."""
        name, value = self.budget.name, self._show(self.value)
        if not self.budget.relative:
            return value
        how = "" if self.basis == EXACT else f" {self.basis}{OLD if self.derived else ''}"
        share = 1 / self.budget.value if name == THROUGHPUT else self.budget.value
        return f"{100 * share:g} % of {self._show(self.reference)}{how} = {value}"

    def as_latency(self, batch: int) -> Limit:
        """A limit on images a second as the same limit on the time of a call."""
        of = self.budget
        value = of.value if of.relative else of.value * batch
        return Limit(Budget("latency", value, of.relative, of.text), self.reference * batch, self.basis, self.derived)

    def _show(self, value: float) -> str:
        unit, shown = UNITS.get(self.budget.name, ""), show(self.budget.name, value)
        return f"{shown}{unit}" if shown[-1].isalpha() or not unit else f"{shown} {unit.strip()}"


def _exact(arch: Architecture) -> dict[str, int]:
    return {"flops": arch.flops, "params": arch.params, "memory_bytes": arch.memory_bytes()}

"""A device that is simulated: what a model takes is the sum of what its nodes take, times speed, times noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import onnx
import pytest

from hwnas.runtime import Device, Fingerprint, Sweep, SweepPlan, runtime_for
from hwnas.target import load

CALL_MS, KERNEL_MS = 0.02, 0.35


def model_ms(model: bytes) -> float:
    """A call, a fixed amount per node and an amount per weight."""
    graph = onnx.load_from_string(model).graph
    weights = sum(prod(value.dims) for value in graph.initializer)
    return CALL_MS + 0.002 * len(graph.node) + 2e-6 * weights


@dataclass
class SimulatedDevice(Device):
    """Sweeps without a clock.

    Args:
        noise: standard deviation of the log of one run.
        speed: factor on all times of a sweep, by its number; the kernel follows it.
        memory: factor on the large sentinel alone, by the sweep's number.
        state: what the machine says of itself.
        waiting: wall time over processor time of a visit.
        sweeps_at_most: after which it ends by itself.
    """

    noise: float = 0.01
    speed: Any = 1.0
    memory: Any = 1.0
    state: Mapping[str, Any] = field(default_factory=dict)
    waiting: float = 1.3
    sweeps_at_most: int = 40
    plans: list[tuple[dict[str, bytes], SweepPlan]] = field(default_factory=list)

    def fingerprint(self) -> Fingerprint:
        return Fingerprint.of(runtime_for(load("local")))

    @contextmanager
    def sweeps(self, models: Mapping[str, bytes], plan: SweepPlan) -> Iterator[Iterator[Sweep]]:
        self.plans.append((dict(models), plan))
        yield self._sweeps({name: model_ms(model) for name, model in models.items()}, plan)

    def _sweeps(self, truth: Mapping[str, float], plan: SweepPlan) -> Iterator[Sweep]:
        rng = np.random.default_rng(plan.seed)
        for number in range(self.sweeps_at_most):
            speed, memory = (v(number) if callable(v) else v for v in (self.speed, self.memory))

            def runs(ms: float, n: int, speed: float = speed) -> list[float]:
                return (ms * speed * np.exp(rng.normal(0, self.noise, n))).tolist()

            times = {name: runs(ms, plan.timed) for name, ms in truth.items()}
            seconds = {name: (plan.warmup + plan.timed) * np.mean(t) * self.waiting / 1e3 for name, t in times.items()}
            pairs = [
                (runs(truth[plan.sentinels[0]] * memory, 1)[0], runs(truth[plan.sentinels[1]], 1)[0])
                for _ in range(plan.sentinel_visits)
            ]
            yield Sweep(number, times, pairs, 1.8, runs(KERNEL_MS, plan.sentinel_visits), seconds, dict(self.state),
                        {name: runs(KERNEL_MS, 1)[0] for name in truth})


@pytest.fixture
def simulated() -> type[SimulatedDevice]:
    return SimulatedDevice

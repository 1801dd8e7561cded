"""What changes of precision take: told from four networks, whatever convolutions and ends take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from hwnas.profile.changes import LEAST_SWEEPS, SWEEPS, measure_changes
from hwnas.runtime import Sweep, SweepPlan
from hwnas.space import Change
from tests.profile.conftest import SimulatedDevice

CHANGE_MS = {("fp32", "int8"): 0.03, ("int8", "fp32"): 0.05, ("fp16", "int8"): 0.2, ("int8", "fp16"): 0.1,
             ("fp32", "fp16"): 0.0, ("fp16", "fp32"): 0.0}
OP_MS = {"fp32": (0.9, 0.4), "int8": (0.3, 0.7), "fp16": (0.5, 0.2)}  # of the first and of the second convolution


class Knowing(SimulatedDevice):
    """Takes `lower`'s word for what a model is, instead of running it."""

    @contextmanager
    def sweeps(self, models: Mapping[str, bytes], plan: SweepPlan) -> Iterator[Iterator[Sweep]]:
        self.plans.append((dict(models), plan))
        yield self._sweeps({name: truth(*model.decode().split()[:2]) for name, model in models.items()}, plan)


def truth(first: str, second: str) -> float:
    return OP_MS[first][0] + OP_MS[second][1] + CHANGE_MS.get((first, second), 0.0)


def lower(model: bytes, precisions: dict[str, str]) -> bytes:
    return f"{precisions['0']} {precisions['1']} {len(model)}".encode()


CHANGES = [Change(a, b, shape) for shape in ((16, 8, 8), (64,)) for a, b in CHANGE_MS]  # type: ignore[arg-type]


def test_half_of_both_directions_whatever_ops_take() -> None:
    device = Knowing(noise=0.0)
    found = measure_changes(CHANGES, device, lower)
    assert [entry.signature for entry in found] == [change.signature for change in CHANGES]
    for change, entry in zip(CHANGES, found, strict=True):
        both = CHANGE_MS[change.before, change.after] + CHANGE_MS[change.after, change.before]
        assert entry.median_ms == pytest.approx(both / 2, abs=1e-9)
        assert entry.runs > 0
        assert entry.is_change
    models, _ = device.plans[0]
    assert len(models) == 2 * 9 + 2  # every network once, and the sentinels


def test_less_than_nothing_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CHANGE_MS, ("fp32", "int8"), -0.2)
    [entry] = measure_changes([Change("fp32", "int8", (8, 4, 4))], Knowing(noise=0.0), lower)
    assert entry.median_ms == 0.0


def test_nothing_is_timed_for_no_change() -> None:
    device = Knowing()
    assert measure_changes([], device, lower) == []
    assert device.plans == []


def test_it_ends_when_its_seconds_are_over() -> None:
    told: list[tuple[int, int]] = []
    measure_changes(CHANGES[:1], Knowing(), lower, max_seconds=0.0,
                    progress=lambda what, done, total: told.append((done, total)))
    assert told[-2:] == [(LEAST_SWEEPS, SWEEPS), (SWEEPS, SWEEPS)]

"""What is proposed to be timed: where measurements have tightened a budget further than any network can go, and where
they show that the table says too much.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from hwnas.errors import BudgetInfeasible
from hwnas.latency.correction import Correction
from hwnas.pipeline import RunFolder, load_context
from hwnas.pipeline.exported.inference import TimedModel
from hwnas.pipeline.selection import fitting
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.pipeline.selection.candidates import MARGIN, Configuration, Selection
from hwnas.pipeline.selection.fitting import CandidateFitting
from hwnas.runtime import Measurement
from hwnas.space import FULL, Architecture


def proposed(run: RunFolder, share: float, tighten: float) -> tuple[list[float], float]:
    """Predicted ms of the candidates within a share of the reference, in a run that is tightened; and the least."""
    context = load_context(run)
    solver = ArchitectureSolver.of_run(run)
    context.config.budgets.clear()
    context.config.budgets.update({"latency": f"{100 * share}%"})
    context.run.state.tighten = tighten
    fixed, rows = solver.costs(("latency",))
    least = fixed["latency"] + sum(float(row.min()) for row in rows["latency"])
    found = CandidateFitting(context, {Configuration("fp32", FULL): solver}).within_budgets()
    return [c.answer.costs["latency"] for c in found.candidates], least


@pytest.fixture
def far(detector: RunFolder) -> RunFolder:
    """Of a device that is not at hand: what is proposed is not timed."""
    return RunFolder.open(detector.path)


def test_the_fastest_is_proposed_where_only_the_tightening_asks_for_more(far: RunFolder) -> None:
    found, least = proposed(far, 0.95, 0.01)
    assert found == pytest.approx([least] * len(found), rel=1e-4)  # costs are whole ns
    assert found


def test_a_tightening_that_leaves_something_is_kept(far: RunFolder) -> None:
    loose, _ = proposed(far, 0.95, 1.0)
    tight, _ = proposed(far, 0.95, 0.5)
    assert max(tight) < max(loose)


def test_what_was_asked_for_is_not_widened(far: RunFolder) -> None:
    with pytest.raises(BudgetInfeasible):
        proposed(far, 0.01, 0.9)


class Device:
    """A device on which networks take a factor of what a table says, but for noise; it is asked instead of this one.

    Args:
        solver: whose predictions it follows.
        reference_ms: what the reference takes.
        factor: by which.
        noise: of a network, in logarithms.
    """

    def __init__(self, solver: ArchitectureSolver, reference_ms: float, factor: float, noise: float = 0.005) -> None:
        self._solver, self._reference_ms, self._factor, self._noise = solver, reference_ms, factor, noise
        self.asked: list[int] = []

    def model(self, arch: Architecture, batch: int = 1) -> bytes:
        """In place of a network: its choice."""
        return bytes(arch.choice)

    def times(self, models: Mapping[str, TimedModel], **_: object) -> dict[str, Measurement]:
        """Of models in turns."""
        self.asked.append(len(models))
        return {name: self._time(tuple(entry.model)) for name, entry in models.items()}

    def _time(self, choice: tuple[int, ...]) -> Measurement:
        if choice == tuple(self._solver.space.reference.choice):
            return Measurement.of([self._reference_ms])
        own = self._factor * math.exp(np.random.default_rng(list(choice)).normal(0, self._noise))
        return Measurement.of([own * self._solver.answer(choice).costs["latency"] / 1e6])


def fitted(run: RunFolder, monkeypatch: pytest.MonkeyPatch, factor: float, share: float = 0.6
           ) -> tuple[Selection, Device]:
    """What is selected within a share of the reference, whose time the table says right."""
    context, solver = load_context(run), ArchitectureSolver.of_run(run)
    context.config.budgets.clear()
    context.config.budgets.update({"latency": f"{100 * share}%"})
    reference = context.run.state.reference
    assert reference is not None
    device = Device(solver, reference.latency_ms, factor)
    monkeypatch.setattr(fitting, "network_model", device.model)
    monkeypatch.setattr(fitting, "in_form", lambda model, *_: model)
    monkeypatch.setattr(fitting, "time_models", device.times)
    return CandidateFitting(context, {KIND: solver}).within_budgets(), device


KIND = Configuration("fp32", FULL)


@pytest.fixture
def own(finished: RunFolder) -> RunFolder:
    """Of this machine: what is proposed is timed."""
    return RunFolder.open(finished.path)


@pytest.mark.parametrize("factor", [0.97, 1.0, 1.03])
def test_a_table_that_is_right_is_not_asked_anew(own: RunFolder, monkeypatch: pytest.MonkeyPatch, factor: float
                                                 ) -> None:
    found, device = fitted(own, monkeypatch, factor)
    assert len(device.asked) <= 1 + (factor > 1)
    assert found.tighten[KIND] <= 1


@pytest.mark.parametrize("factor", [0.6, 0.7])
def test_a_table_that_says_too_much_is_asked_for_more(own: RunFolder, monkeypatch: pytest.MonkeyPatch, factor: float
                                                      ) -> None:
    found, device = fitted(own, monkeypatch, factor, share=0.5)
    assert len(device.asked) == 2
    assert found.tighten[KIND] == pytest.approx(MARGIN / factor, rel=0.03)
    used, predicted = [c.used for c in found.candidates], [c.answer.costs["latency"] for c in found.candidates]
    assert max(used) <= MARGIN
    assert max(predicted) <= found.bounds[KIND]["latency"]
    assert max(predicted) > found.bounds[KIND]["latency"] / found.tighten[KIND], "more than was predicted to fit"
    correction = Correction.of([c.ratio for c in found.timed[KIND]])
    assert correction is not None
    assert correction.factor == pytest.approx(factor, rel=0.02)


def test_what_held_before_stays_where_nothing_new_does(own: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    loose, _ = fitted(own, monkeypatch, 0.75)
    times = Device.times

    def slower(self: Device, models: Mapping[str, TimedModel], **rest: object) -> dict[str, Measurement]:
        """From the second time on nothing is within the budget."""
        found = times(self, models, **rest)
        return found if len(self.asked) == 1 else {
            name: m if name == "fp32" else replace(m, median_ms=10 * m.median_ms) for name, m in found.items()}

    monkeypatch.setattr(Device, "times", slower)
    found, device = fitted(own, monkeypatch, 0.75)
    assert len(device.asked) == 2
    assert found.tighten[KIND] == 1
    assert found.bounds[KIND]["latency"] < loose.bounds[KIND]["latency"]
    assert found.candidates
    assert max(c.used for c in found.candidates) < MARGIN


def test_a_budget_that_binds_nothing_is_not_asked_for_twice(own: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    found, device = fitted(own, monkeypatch, 0.6, share=5.0)
    assert len(device.asked) == 1
    assert found.candidates

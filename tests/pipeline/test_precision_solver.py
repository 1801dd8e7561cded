"""Ops and precisions of a run chosen together: equal to brute force; what is told of an answer is what was counted."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from hwnas.errors import BudgetInfeasible
from hwnas.latency.places import places_of
from hwnas.pipeline.selection.precision_solver import PrecisionSolver
from hwnas.pipeline.selection.sensitivity import EVERYWHERE, FILE, LineSchema, Sensitivity
from hwnas.search import create
from hwnas.space import Space
from hwnas.target import VALUE_BYTES
from tests.latency.test_mixed_precision import SPACES, model_of
from tests.mutations import fuzzed, judged
from tests.mutations import lines as hostile

EXHAUSTIVE = [pytest.mark.slow, pytest.mark.exhaustive, pytest.mark.timeout(1200)]
LOWER = ("fp16", "int8")


def drawn(space: Space, seed: int, confidence: float = 0.5) -> PrecisionSolver:
    """A solver of random tables, effects and sensitivities, in two or three precisions."""
    rng = np.random.default_rng([seed, 8])
    known = ("fp32", *LOWER) if seed % 2 else ("fp32", "int8")
    law = create("random", space.sizes, seed=seed, evaluations=1).distribution()
    law = type(law)(**{**law.__dict__, "effects": tuple(tuple(rng.normal(size=n)) for n in space.sizes)})
    points = {(place.name, p): float(rng.uniform(0, 0.6)) for place in places_of(space) for p in LOWER}
    model = model_of(space, seed, known)  # type: ignore[arg-type]
    return PrecisionSolver(space, law, model.models["fp32"], 50.0, confidence, mixed=model,
                           sensitivity=Sensitivity(points))


def every(solver: PrecisionSolver) -> list[tuple[float, float, float, tuple[int, ...], tuple[str, ...]]]:
    """Worth, ns, bytes, choice and plan of every architecture in every plan of a chain."""
    places, known, found = places_of(solver.space), solver.known, []
    for ops in itertools.product(*map(range, solver.space.sizes)):
        arch = solver.space.architecture(ops)
        for plan in itertools.product(known, repeat=len(places)):
            worth = sum(float(row[k]) for row, k in zip(solver.utilities(), ops, strict=True))
            worth -= sum(solver.sensitivity.points.get((p.name, q), 0.0) for p, q in zip(places, plan, strict=True))
            of = {i: q for place, q in zip(places, plan, strict=True) for i in place.positions}
            ns = solver.mixed.predict(arch, [of[i] for i in range(len(of))]).latency_ms * 1e6  # type: ignore[misc]
            found.append((worth, ns, float(arch.memory_bytes(4)), ops, plan))
    return found


@pytest.mark.parametrize("count", [25, pytest.param(200, marks=EXHAUSTIVE)])
def test_equals_brute_force_with_changes_between_neighbours(count: int) -> None:
    """A chain, so that the sum is the prediction; rounding is a nanosecond a place and change at most."""
    space, mixed, refused = SPACES["tiny"], 0, 0
    for seed in range(count):
        solver = drawn(space, seed)
        rows, rng = every(solver), np.random.default_rng(seed)
        slack = 2 * len(space.positions)
        limit = float(np.quantile([row[1] for row in rows], rng.uniform(0, 0.5))) - (0 if seed % 9 else 1e5)
        within = [row[0] for row in rows if row[1] <= limit]
        surely = [row[0] for row in rows if row[1] + slack <= limit]
        if not surely:
            if not within:
                with pytest.raises(BudgetInfeasible):
                    solver.answers({"latency": limit})
                refused += 1
            continue
        [answer] = solver.answers({"latency": limit})
        assert answer.precisions is not None
        worth = answer.predicted_score - solver.baseline - answer.lost
        assert max(surely) - 1e-9 <= worth <= max(within) + 1e-9, seed
        assert answer.costs["latency"] <= limit
        assert answer.costs["latency"] == pytest.approx(solver.predicted(answer).latency_ms * 1e6)
        mixed += len({*answer.precisions.values()}) > 1
        own = solver.best_within(answer.architecture.choice, {"latency": limit})
        assert own is not None
        assert own.predicted_score - own.lost == pytest.approx(answer.predicted_score - answer.lost)
    assert mixed > count / 4
    assert refused or count < 100


def test_several_answers_are_several_architectures_best_first() -> None:
    solver = drawn(SPACES["mobile"], 3)
    limit = float(np.mean([solver.mixed.predict(a, ["fp32"] * len(a.ops)).latency_ms * 1e6
                           for a in (solver.space.largest(), solver.space.smallest())]))
    answers = solver.answers({"latency": limit, "memory": 1e9}, 4)
    assert len({answer.architecture.choice for answer in answers}) == len(answers) == 4
    worths = [answer.predicted_score - answer.lost for answer in answers]
    assert worths == sorted(worths, reverse=True)


def test_a_confidence_leaves_room_for_the_interval() -> None:
    half, sure = drawn(SPACES["tiny"], 1), drawn(SPACES["tiny"], 1, confidence=0.95)
    limit = float(np.median([row[1] for row in every(half)]))
    [answer] = sure.answers({"latency": limit})
    assert sure.predicted(answer).high_ms * 1e6 <= limit * (1 + 1e-9)
    assert half.answers({"latency": limit})[0].predicted_score >= answer.predicted_score - 1.3  # penalties differ


def test_the_front_is_of_the_same_program() -> None:
    solver = drawn(SPACES["tiny"], 4)
    front = solver.front()
    assert front.choices.shape == (len(front.costs), len(solver.space.sizes))
    for point in front:
        [answer] = solver.answers({"latency": point.cost})
        assert answer.predicted_score - solver.baseline - answer.lost == pytest.approx(point.utility)


def test_memory_counts_bytes_by_precision() -> None:
    solver = drawn(SPACES["tiny"], 2)
    [roomy] = solver.answers({"memory": 1e9})
    arch = solver.space.architecture(roomy.architecture.choice)
    least = min(VALUE_BYTES[p] for p in solver.known) * arch.memory_bytes(1)
    [tight] = solver.answers({"memory": roomy.costs["memory"] / 2})
    assert tight.costs["memory"] <= roomy.costs["memory"] / 2
    assert roomy.costs["memory"] >= least


def lines(found: Mapping[tuple[str, str], dict[str, Any]]) -> dict[tuple[str, str], LineSchema]:
    return {key: LineSchema.model_validate({"hwnas_sensitivity": 1, "place": key[0], "precision": key[1], **values})
            for key, values in found.items()}


def test_points_are_the_share_of_what_the_whole_network_loses() -> None:
    found = Sensitivity.of(lines({
        ("stem", "int8"): {"loss": 0.03, "loss_se": 0.01}, ("head", "int8"): {"loss": 0.01, "loss_se": 0.0},
        (EVERYWHERE, "int8"): {"loss": 0.05, "loss_se": 0.01, "drop": 0.6, "drop_se": 0.2}}))
    assert found.points == {("stem", "int8"): pytest.approx(0.8), ("head", "int8"): pytest.approx(0.2)}
    gains = Sensitivity.of(lines({
        ("stem", "int8"): {"loss": 0.03, "loss_se": 0.0},
        (EVERYWHERE, "int8"): {"loss": 0.05, "loss_se": 0.0, "drop": -0.6, "drop_se": 0.2}}))
    assert gains.points == {("stem", "int8"): pytest.approx(0.2)}  # a gain is chance: its error is what it may cost


def test_a_place_that_was_not_measured_costs_the_mean() -> None:
    space = SPACES["tiny"]
    rows = Sensitivity({("stem", "int8"): 0.3, ("one", "int8"): 0.1}).rows(places_of(space), ("fp32", "int8"))
    assert [row.tolist() for row in rows] == [[0.0, 0.3], [0.0, 0.1], [0.0, pytest.approx(0.2)],
                                              [0.0, pytest.approx(0.2)]]




LINES = [{"hwnas_sensitivity": 1, "place": place, "precision": "int8", "loss": 0.01, "loss_se": 0.002}
         for place in ("stem", "one", "two", "head")]
LINES.append({**LINES[0], "place": EVERYWHERE, "drop": 0.4, "drop_se": 0.3})


@fuzzed
@given(content=hostile(LINES))
def test_a_file_from_outside_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / FILE).write_bytes(content)

    def used() -> None:
        rows = Sensitivity.read(folder).rows(places_of(SPACES["tiny"]), ("fp32", "int8"))
        assert np.isfinite(np.array(rows)).all()

    judged(used)

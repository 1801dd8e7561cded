"""A table that lacks blocks: what it holds stays, the rest is estimated at its speed, and the band says so."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.latency import Entry, Table
from hwnas.latency.complete import LEAST_BLOCKS, complete
from hwnas.latency.estimate import estimate
from hwnas.space import SpaceConfig, build
from hwnas.target import load

SPACE, TARGET = build(SpaceConfig("mobile", 32, 3, 10)), load("raspberry-pi-4")
TRUE = estimate(SPACE, TARGET, "compiled").entries_ms


def table(times: dict[str, float], path: Path = Path("/nowhere/t.jsonl")) -> Table:
    from hwnas.latency.header import of_target

    header = {**of_target(TARGET, "measured"), "device": {"cpu": "a board"}}
    return Table.assemble(path, header, [Entry(s, t, t, t, 20, "2026") for s, t in times.items()], {})


@given(st.floats(0.1, 30.0), st.floats(0.0, 0.3), st.integers(1, len(TRUE) // 3), st.integers(0, 1000))
def test_what_lacks_is_told_by_the_rest(factor: float, scatter: float, lacking: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = {s: factor * t * math.exp(rng.normal(0, scatter)) for s, t in TRUE.items()}
    gone = set(rng.choice(list(times), lacking, replace=False))
    found = complete(table({s: t for s, t in times.items() if s not in gone}), SPACE, TARGET)
    assert found is not None
    assert found.source == "estimated"
    assert {s: found.entries_ms[s] for s in times if s not in gone} == pytest.approx(
        {s: t for s, t in times.items() if s not in gone})
    for signature in gone:
        assert abs(math.log(found.entries_ms[signature] / times[signature])) <= 6 * scatter + 1e-9
    whole, known = found.predict(SPACE.largest()), sum(times[op.signature] for op in SPACE.largest() if op.timed)
    assert whole.low_ms * math.exp(-3 * scatter) <= known <= whole.high_ms * math.exp(3 * scatter)


def test_more_that_lacks_makes_a_wider_band() -> None:
    rng = np.random.default_rng(0)
    times = {s: t * math.exp(rng.normal(0, 0.2)) for s, t in TRUE.items()}
    bands = []
    for lacking in (1, 10, 18):
        held = dict(list(times.items())[: len(times) - lacking])
        found = complete(table(held), SPACE, TARGET)
        assert found is not None
        prediction = found.predict(SPACE.largest())
        bands.append(prediction.high_ms / prediction.low_ms)
    assert bands == sorted(bands)


def test_too_little_is_not_spread_over_the_rest() -> None:
    few = dict(list(TRUE.items())[: LEAST_BLOCKS - 1])
    assert complete(table(few), SPACE, TARGET) is None
    assert complete(table(dict(TRUE)), SPACE, load("local")) is None
    cells = build(SpaceConfig("nasbench201", 32, 3, 10))
    assert complete(table(dict(TRUE)), cells, TARGET) is None

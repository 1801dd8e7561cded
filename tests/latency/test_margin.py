import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import UsageError
from hwnas.latency import Calibration, Entry, LatencyModel
from hwnas.latency.model import standard_error_ms
from hwnas.space import Architecture, Space, SpaceConfig, build

CHAIN = build(SpaceConfig("mobile", 16, 3, 10, depth=1))
CELLS = build(SpaceConfig("nasbench201", 16, 3, 10, depth=1))


def model_of(space: Space, seed: int, log_sd: float, entry_error: float) -> LatencyModel:
    rng = np.random.default_rng(seed)
    entries = {s: float(rng.uniform(0.005, 0.2)) for s in space.signatures}
    errors = {s: t * entry_error * float(rng.uniform(0.2, 2)) for s, t in entries.items()}
    calibration = Calibration("affine+weights", 1.1, 0.02, 0.1, log_spread=1.7 * log_sd, log_sd=log_sd, freedom=52)
    return LatencyModel("local", "measured", entries, calibration, errors_ms=errors)


def total_ms(model: LatencyModel, arch: Architecture, confidence: float) -> float:
    fixed, costs = model.costs_ns(arch.space, confidence)
    return (fixed + sum(int(costs[i][k]) for i, k in enumerate(arch.choice))) / 1e6


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10**6), log_sd=st.floats(0.003, 0.1), entry_error=st.floats(0, 0.2),
    confidence=st.floats(0.5, 0.995),
)
def test_no_network_exceeds_its_sum(seed: int, log_sd: float, entry_error: float, confidence: float) -> None:
    for space in (CHAIN, CELLS):
        model, rng = model_of(space, seed, log_sd, entry_error), np.random.default_rng(seed)
        for arch in [space.smallest(), space.largest(), *(space.sample(rng) for _ in range(20))]:
            upper = model.upper_ms(arch, confidence)
            assert model.predict(arch).latency_ms - 1e-9 <= upper <= total_ms(model, arch, confidence) + 1e-9


def test_every_network_of_a_small_space() -> None:
    model = model_of(CHAIN, 0, 0.015, 0.03)
    fixed, costs = model.costs_ns(CHAIN, 0.95)
    for choice in itertools.product(*(range(n) for n in CHAIN.sizes)):
        total = (fixed + sum(int(costs[i][k]) for i, k in enumerate(choice))) / 1e6
        assert total >= model.upper_ms(CHAIN.architecture(choice), 0.95)


def test_the_bound_is_tight_for_a_settled_table() -> None:
    """Entries known to 1 %, networks predicted to 1.5 %: within half a percent of the exact margin."""
    model, rng = model_of(CHAIN, 1, 0.015, 0.01), np.random.default_rng(0)
    for arch in [CHAIN.smallest(), CHAIN.largest(), *(CHAIN.sample(rng) for _ in range(50))]:
        assert total_ms(model, arch, 0.95) / model.upper_ms(arch, 0.95) < 1.005


@pytest.mark.parametrize("entry_error", [0.0, 0.02, 0.3])
def test_more_confidence_costs_more(entry_error: float) -> None:
    model = model_of(CHAIN, 2, 0.02, entry_error)
    steps = [model.costs_ns(CHAIN, c) for c in (0.5, 0.6, 0.75, 0.9, 0.95, 0.99)]
    for (fixed, costs), (more_fixed, more) in itertools.pairwise(steps):
        assert more_fixed > fixed
        assert all((b >= a).all() for a, b in zip(costs, more, strict=True))


def test_one_half_is_the_prediction() -> None:
    model, arch = model_of(CHAIN, 3, 0.02, 0.05), CHAIN.largest()
    assert model.upper_ms(arch, 0.5) == model.predict(arch).latency_ms
    assert total_ms(model, arch, 0.5) == pytest.approx(model.predict(arch).latency_ms, abs=1e-5)
    default, stated = model.costs_ns(CHAIN), model.costs_ns(CHAIN, 0.5)
    assert default[0] == stated[0]
    assert all((a == b).all() for a, b in zip(default[1], stated[1], strict=True))


def test_networks_measure_within_their_budget_as_often_as_asked() -> None:
    """Entries off by their standard errors, the rest of the spread common to a network: 95 % stay below."""
    rng, below = np.random.default_rng(0), []
    for seed in range(120):
        model = model_of(CHAIN, seed, 0.02, 0.02)
        true = {s: t + rng.normal(0, model.errors_ms[s]) for s, t in model.entries_ms.items()}
        truth = LatencyModel("local", "measured", true, model.calibration)
        common = model._margin(CHAIN).common.log_sd
        for arch in (CHAIN.sample(rng) for _ in range(10)):
            measured = truth.predict(arch).latency_ms * math.exp(rng.normal(0, common))
            below.append(measured <= total_ms(model, arch, 0.95))
    assert 0.93 <= np.mean(below) <= 0.985


def test_a_model_without_standard_errors_scales_alone() -> None:
    model, arch = model_of(CHAIN, 4, 0.02, 0), CHAIN.largest()
    z = model.calibration.spread.quantile(0.9)
    assert model.upper_ms(arch, 0.9) == pytest.approx(model.predict(arch).latency_ms * math.exp(z))


def test_an_estimate_takes_its_band() -> None:
    model = LatencyModel("x", "estimated", model_of(CHAIN, 5, 0.02, 0).entries_ms, Calibration(log_spread=math.log(4)))
    arch = CHAIN.largest()
    assert total_ms(model, arch, 0.95) == pytest.approx(4 * model.predict(arch).latency_ms, rel=1e-4)


@pytest.mark.parametrize("confidence", [0.3, 1.0])
def test_confidence_out_of_range(confidence: float) -> None:
    with pytest.raises(UsageError, match="confidence"):
        model_of(CHAIN, 0, 0.02, 0).costs_ns(CHAIN, confidence)


def test_standard_error_shrinks_with_the_runs() -> None:
    few, many = (standard_error_ms(Entry("s", 1.0, 0.9, 1.1, runs, "now")) for runs in (32, 128))
    assert few == pytest.approx(2 * many)
    assert 0.01 < few < 0.05
    assert standard_error_ms(Entry("s", 1.0, 1.0, 1.0, 0, "")) == 0

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import InputError, MissingEntry
from hwnas.latency import Calibration, Entry, LatencyModel, Table
from hwnas.space import Op, SpaceConfig, build
from hwnas.target import load

SPACE = build(SpaceConfig("mobile", 16, 3, 10, depth=1))


def model_of(calibration: Calibration, seed: int = 0) -> LatencyModel:
    rng = np.random.default_rng(seed)
    entries = {s: float(rng.uniform(0.001, 0.2)) for s in SPACE.signatures}
    return LatencyModel("local", "measured", entries, calibration)


CALIBRATED = Calibration("affine+weights", 1.13, 0.017, 0.21, log_spread=0.1)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 1000), a=st.floats(0.5, 2), b=st.floats(0, 0.1), c=st.floats(0, 0.5),
)
def test_costs_add_up_to_the_prediction_and_never_claim_less(seed: int, a: float, b: float, c: float) -> None:
    model = model_of(Calibration("affine+weights", a, b, c), seed)
    fixed, costs = model.costs_ns(SPACE)
    arch = SPACE.sample(np.random.default_rng(seed))
    total = fixed + sum(int(costs[i][op]) for i, op in enumerate(arch.choice))
    predicted_ns = model.predict(arch).latency_ms * 1e6
    assert predicted_ns - 1e-3 <= total <= predicted_ns + len(costs) + 1


def test_prediction_by_hand() -> None:
    model = model_of(CALIBRATED)
    arch = SPACE.largest()
    real = [op for op in arch.ops if op.kind != "skip"]
    plain, megabytes = sum(model.entries_ms[op.signature] for op in real), 4 * arch.params / 1e6
    found = model.predict(arch)
    assert found.latency_ms == pytest.approx(1.13 * plain + 0.017 + 0.21 * megabytes)
    assert found.low_ms == pytest.approx(found.latency_ms * np.exp(-0.1))
    assert found.high_ms == pytest.approx(found.latency_ms * np.exp(0.1))
    assert found.measured_share == 1
    s, w = model.sums([arch])
    np.testing.assert_allclose(CALIBRATED.apply(s, w), [found.latency_ms])
    np.testing.assert_allclose(model.predict_ms([arch, arch]), [found.latency_ms] * 2)


def test_skip_is_free_and_shapes_fit_the_space() -> None:
    model = model_of(CALIBRATED)
    assert model.op_cost_ms(Op("skip", 8, 8, 4, 4)) == 0
    fixed, costs = model.costs_ns(SPACE)
    assert [len(c) for c in costs] == list(SPACE.sizes)
    assert all(c.dtype == np.int64 for c in costs)
    assert fixed == pytest.approx(model.fixed_ms(SPACE) * 1e6, abs=1)


def test_estimates_never_look_measured() -> None:
    model = LatencyModel("local", "estimated", model_of(CALIBRATED).entries_ms)
    assert model.predict(SPACE.largest()).measured_share == 0


def test_missing_entry_says_what_to_run() -> None:
    model = LatencyModel("local", "measured", {})
    with pytest.raises(MissingEntry, match="hwnas profile --target local"):
        model.predict(SPACE.largest())
    with pytest.raises(MissingEntry):
        model.costs_ns(SPACE)


def test_from_table(tmp_path: Path) -> None:
    table = Table.open(tmp_path / "t.jsonl", load("local"), {"cpu": "x"})
    with pytest.raises(MissingEntry, match="more"):
        LatencyModel.from_table(table, SPACE)
    made = model_of(CALIBRATED)
    table.add(Entry(s, t, t, t, 32, "now") for s, t in made.entries_ms.items())
    assert LatencyModel.from_table(table, SPACE).calibration.form == "sum"
    table.add_calibration(SPACE.fingerprint, CALIBRATED)
    model = LatencyModel.from_table(Table.read(table.path), SPACE)
    assert model.calibration == CALIBRATED
    assert model.table_hash == table.content_hash
    assert set(model.errors_ms) == set(SPACE.signatures)
    arch = SPACE.smallest()
    assert model.predict(arch).latency_ms == pytest.approx(made.predict(arch).latency_ms, abs=1e-5)


def test_survives_json() -> None:
    made = model_of(CALIBRATED)
    assert LatencyModel.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_older_models_have_no_standard_errors() -> None:
    data = model_of(CALIBRATED).to_json()
    del data["errors_ms"]
    assert LatencyModel.from_json(data) == model_of(CALIBRATED)


@pytest.mark.parametrize("precision, size", [("fp32", 4), ("fp16", 2), ("bf16", 2), ("int8", 1)])
def test_weights_have_the_size_of_their_precision(precision: str, size: int) -> None:
    model, arch = replace(model_of(CALIBRATED), precision=precision), SPACE.largest()
    assert model.sums([arch])[1] == pytest.approx([size * arch.params / 1e6])


def test_unknown_precision_is_refused() -> None:
    with pytest.raises(InputError, match="the latency model: precision"):
        LatencyModel.from_json({**model_of(CALIBRATED).to_json(), "precision": "fp8"})


@pytest.mark.parametrize("data", [{}, [], {"hwnas_latency_model": 2}, {"hwnas_latency_model": 1, "target": "x"}])
def test_broken_json(data: object) -> None:
    with pytest.raises(InputError, match="latency model"):
        LatencyModel.from_json(data)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["mobile", "nasbench201"])
def test_at_another_speed_everything_takes_that_much_longer(name: str) -> None:
    """With every coefficient there is; costs, intervals and sums follow."""
    space = build(SpaceConfig(name, 16, 3, 4, depth=1))
    found = Calibration("affine+weights", 1.1, 0.2, 0.3, kinds={"preconv": 0.1}, shared_ms_per_mb=0.05)
    model = LatencyModel("local", "measured", {s: 0.1 + 0.01 * i for i, s in enumerate(space.signatures)}, found)
    slower, rng = model.at_speed(1.7), np.random.default_rng(0)
    for arch in (space.sample(rng) for _ in range(20)):
        one, other = model.predict(arch), slower.predict(arch)
        assert other.latency_ms == pytest.approx(1.7 * one.latency_ms)
        assert other.high_ms / other.low_ms == pytest.approx(one.high_ms / one.low_ms)
    assert slower.fixed_ms(space) == pytest.approx(1.7 * model.fixed_ms(space))

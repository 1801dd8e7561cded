import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwnas.errors import InputError, TableError
from hwnas.latency import LatencyModel, Table
from hwnas.profile import ProfileResult, measure, measure_network, measure_networks, network_model, plan, planned
from hwnas.profile.calibration_networks import draw
from hwnas.profile.measure import MIN_RUNS
from hwnas.runtime import Device
from hwnas.space import SpaceConfig, build
from hwnas.target import load

SPACE = build(SpaceConfig("mobile", 16, 3, 10, depth=1))
CELLS = build(SpaceConfig("nasbench201", 16, 3, 10, depth=1))
TARGET = load("local")
QUICK = {"calibration_networks": 8, "held_out": 8}
Simulated = Callable[..., Device]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path: Path, values: list[dict[str, Any]], tail: str = "") -> None:
    path.write_text("".join(json.dumps(v) + "\n" for v in values) + tail)


@pytest.fixture
def measured(simulated: Simulated, tmp_path: Path) -> tuple[Path, ProfileResult]:
    path = tmp_path / "t.jsonl"
    return path, measure(SPACE, TARGET, path, device=simulated(), **QUICK)


def test_table_and_model_hold_the_whole_space(measured: tuple[Path, ProfileResult]) -> None:
    path, result = measured
    table = Table.read(path, TARGET)
    assert table.missing(SPACE.signatures) == []
    assert result.model == LatencyModel.from_table(table, SPACE)
    assert all(e.p10_ms <= e.median_ms <= e.p90_ms for e in table.entries.values())
    assert all(e.runs >= MIN_RUNS for e in table.entries.values())


@pytest.mark.parametrize("space", [SPACE, CELLS])
def test_what_adds_up_is_predicted(space: Any, simulated: Simulated, tmp_path: Path) -> None:
    result = measure(space, TARGET, tmp_path / "t.jsonl", device=simulated(), calibration_networks=12, held_out=20)
    found = result.report["held_out"]
    assert found["mape"] < 3
    assert found["kendall_tau"] > 0.9
    assert result.model.calibration.networks == 32


def test_speed_of_the_machine_is_divided_out(simulated: Simulated, tmp_path: Path) -> None:
    steady = measure(SPACE, TARGET, tmp_path / "a.jsonl", device=simulated(), **QUICK)
    jumpy = simulated(speed=lambda i: 1.0 + 0.13 * (i % 3 == 0))
    drifting = measure(SPACE, TARGET, tmp_path / "b.jsonl", device=jumpy, **QUICK)
    for signature, ms in steady.model.entries_ms.items():
        assert drifting.model.entries_ms[signature] == pytest.approx(ms, rel=0.1, abs=2e-3)
    assert not steady.report["noisy"]
    assert any("speed varied" in warning for warning in drifting.report["warnings"])


def test_visits_to_a_busy_machine_do_not_count(simulated: Simulated, tmp_path: Path) -> None:
    steady = measure(SPACE, TARGET, tmp_path / "a.jsonl", device=simulated(), **QUICK)
    busy = measure(SPACE, TARGET, tmp_path / "b.jsonl", device=simulated(speed=lambda i: 1.0 + 0.4 * (i % 3 > 0)),
                   **QUICK)
    for signature, ms in steady.model.entries_ms.items():
        assert busy.model.entries_ms[signature] == pytest.approx(ms, rel=0.1, abs=2e-3)
    assert any("of the visits a neighbour held" in warning for warning in busy.report["warnings"])


def test_a_table_measured_again_keeps_its_speed(simulated: Simulated, tmp_path: Path) -> None:
    """The second time the processor is a third slower, all the time: the reference kernel says so."""
    path = tmp_path / "t.jsonl"
    first = measure(SPACE, TARGET, path, device=simulated(), **QUICK)
    busy = simulated(speed=1.3, state={"others": 1.0})
    second = measure(SPACE, TARGET, path, device=busy, again=True, **QUICK)
    ratios = [second.model.entries_ms[s] / ms for s, ms in first.model.entries_ms.items() if ms > 0]
    assert abs(np.median(ratios) - 1) < 0.03
    assert second.report["noisy"]
    assert second.report["campaigns"][0]["tie_to_table"] == pytest.approx(1 / 1.3, rel=0.05)


def test_a_machine_that_is_known_to_be_calmer_is_waited_for(
    simulated: Simulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Busy for 30 sweeps: by itself a campaign of few seconds cannot tell that from a slow machine."""
    path, calmed = tmp_path / "t.jsonl", {"speed": lambda i: 1.4 if i < 30 else 1.0}
    first = measure(SPACE, TARGET, path, device=simulated(), **QUICK)
    calm = Table.read(path).calm_kernel_ms
    assert calm == pytest.approx(0.35, rel=0.02)
    assert first.report["company"] == ""
    hasty = measure(SPACE, TARGET, path, device=simulated(**calmed), again=True, max_seconds=1e-6, **QUICK)
    assert f"{calm:.3f} ms when it is calm" in hasty.report["company"]
    assert hasty.report["company"] in hasty.report["warnings"]
    assert hasty.report["campaigns"][0]["sweeps"] == 4, "all visits were alike, so all of them count"
    assert Table.read(path).calm_kernel_ms == calm
    monkeypatch.setenv("HWNAS_PATIENCE", "60")
    device = simulated(**calmed)
    patient = measure(SPACE, TARGET, path, device=device, again=True, max_seconds=1e-6, **QUICK)
    assert patient.report["company"] == ""
    assert patient.report["campaigns"][0]["tie_to_table"] == pytest.approx(1.0, rel=0.05)
    assert device.plans[0][1].max_seconds == pytest.approx(60)  # type: ignore[attr-defined]


def test_report_has_the_evidence(simulated: Simulated, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    result = measure(SPACE, TARGET, path, device=simulated(), isolated=True, **QUICK)
    report = json.loads(json.dumps(result.report, allow_nan=False))
    assert report["measured"] == len(SPACE.signatures)
    assert report["networks"] == 16
    for name in ("held_out", "held_out_plain_sum", "held_out_isolated_sum"):
        assert {"mape", "within_5", "within_10", "kendall_tau"} <= set(report[name])
    assert 0 <= report["held_out"]["coverage"] <= 100
    (campaign,) = report["campaigns"]
    assert {"noise_odd_even", "noise_halves", "label_noise", "entries_within", "entries_within_p90", "sweeps",
            "sweeps_rejected", "first_run_over_steady", "speed_p10", "speed_p90", "conditions"} <= set(campaign)
    assert campaign["entries_within"] < 0.1
    assert report["table_hash"] == Table.read(path).content_hash
    assert report["calibration"]["held_out"] == report["held_out"]
    assert report["calibration"]["kernel_ms"] == pytest.approx(0.35, rel=0.02)


def test_nothing_is_timed_twice(measured: tuple[Path, ProfileResult], simulated: Simulated) -> None:
    path, first = measured
    before, device = path.read_bytes(), simulated()
    result = measure(SPACE, TARGET, path, device=device, **QUICK)
    assert path.read_bytes() == before
    assert result.report["measured"] == 0
    assert result.model == first.model
    assert device.plans == []  # type: ignore[attr-defined]


def test_only_what_is_missing_is_measured(measured: tuple[Path, ProfileResult], simulated: Simulated) -> None:
    path, _ = measured
    gone = SPACE.signatures[3]
    write(path, [v for v in lines(path) if v.get("signature") != gone])
    before = Table.read(path).entries
    result = measure(SPACE, TARGET, path, device=simulated(speed=2.0), **QUICK)
    after = Table.read(path).entries
    assert result.report["measured"] == 1
    assert {s for s, e in after.items() if before.get(s) != e} == {gone}
    assert result.report["campaigns"][0]["tie_to_table"] == pytest.approx(0.5, rel=0.1)


def test_a_killed_run_goes_on_where_it_was(measured: tuple[Path, ProfileResult], simulated: Simulated) -> None:
    """Entries of few runs and no calibration: what a kill between two appends leaves."""
    path, _ = measured
    kept = [v for v in lines(path) if "calibration" not in v]
    unfinished = SPACE.signatures[:2]
    for value in kept:
        value["runs"] = 8 if value.get("signature") in unfinished else MIN_RUNS
    write(path, kept, '{"signature": "mbc')
    before = Table.read(path).entries
    result = measure(SPACE, TARGET, path, device=simulated(), **QUICK)
    after = Table.read(path)
    assert result.report["measured"] == 2
    assert {s for s, e in after.entries.items() if before[s] != e} == set(unfinished)
    assert after.calibration(SPACE.fingerprint) is not None


def test_calibration_alone_is_made_anew(measured: tuple[Path, ProfileResult], simulated: Simulated) -> None:
    path, _ = measured
    write(path, [v for v in lines(path) if "calibration" not in v])
    result = measure(SPACE, TARGET, path, device=simulated(), **QUICK)
    assert (result.report["measured"], result.report["networks"]) == (0, 16)
    assert Table.read(path).calibration(SPACE.fingerprint) is not None


def test_without_calibration_it_is_the_plain_sum(simulated: Simulated, tmp_path: Path) -> None:
    result = measure(SPACE, TARGET, tmp_path / "t.jsonl", device=simulated(), calibration_networks=0, held_out=0)
    assert result.model.calibration.form == "sum"
    assert "held_out" not in result.report


def test_entries_are_appended_while_it_runs(simulated: Simulated, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    seen: list[int] = []
    measure(SPACE, TARGET, path, device=simulated(), **QUICK,
            progress=lambda what, done, total: seen.append(len(path.read_text().splitlines())))
    assert 1 in seen  # the header first
    assert seen[-1] > 1  # entries came before the end was reported


def test_groups_are_tied_together(simulated: Simulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "RESIDENT", 48)
    device = simulated(sweeps_at_most=16)
    result = measure(SPACE, TARGET, tmp_path / "t.jsonl", device=device, **QUICK)
    campaigns = result.report["campaigns"]
    assert len(campaigns) == -(-len(SPACE.signatures) // 8)
    assert [c["tie_to_table"] for c in campaigns] == pytest.approx([1.0] * len(campaigns), rel=0.02)
    assert all(len(models) <= 64 for models, _ in device.plans)  # type: ignore[attr-defined]


def test_what_is_planned_is_what_is_timed(
    simulated: Simulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is carried to a device holds what `measure` asks for when the results come back."""
    monkeypatch.setattr(plan, "RESIDENT", 70)
    device = simulated(sweeps_at_most=8)
    measure(SPACE, TARGET, tmp_path / "t.jsonl", device=device, seed=3, max_seconds=30)
    assert planned(SPACE, TARGET, seed=3, max_seconds=30) == device.plans  # type: ignore[attr-defined]
    assert len(device.plans) > 1  # type: ignore[attr-defined]


def test_networks_come_at_the_speed_of_the_table(
    measured: tuple[Path, ProfileResult], simulated: Simulated
) -> None:
    path, result = measured
    networks = draw(SPACE, 0, 12, np.random.default_rng(9))[1]
    known = dict(zip(result.networks, result.networks_ms.tolist(), strict=True))
    for ties, within in ((None, 0.1), (known, 0.05)):
        times = measure_networks(networks, TARGET, path, device=simulated(speed=1.5), known_ms=ties)
        assert times.shape == (len(networks),)
        np.testing.assert_allclose(times, result.model.predict_ms(networks), rtol=within)


def test_networks_of_an_empty_table_are_refused(simulated: Simulated, tmp_path: Path) -> None:
    with pytest.raises(TableError, match="holds nothing of space mobile"):
        measure_networks([SPACE.largest()], TARGET, tmp_path / "t.jsonl", device=simulated())


@pytest.mark.parametrize("change, words", [
    ({"source": "imported"}, "source: imported"), ({"device": {"cpu": "another"}}, "cpu: another"),
])
def test_foreign_table_is_refused(
    measured: tuple[Path, ProfileResult], simulated: Simulated, change: dict[str, Any], words: str
) -> None:
    path, _ = measured
    header, *rest = lines(path)
    write(path, [{**header, **change}, *rest])
    with pytest.raises(TableError, match=rf"not measured on this device.*{words}"):
        measure(SPACE, TARGET, path, device=simulated(), **QUICK)


@pytest.mark.parametrize("runtime, precision", [
    ("onnxruntime", "fp32"), ("onnxruntime", "int8"), ("openvino", "fp32"),
])
def test_on_this_machine(runtime: str, precision: str, tmp_path: Path) -> None:
    if runtime == "openvino":
        pytest.importorskip("openvino", reason="OpenVINO is not installed")
    target, path = load("local", runtime=runtime, precision=precision), tmp_path / "t.jsonl"
    result = measure(SPACE, target, path, calibration_networks=4, held_out=2, max_seconds=0.5)
    assert Table.read(path, target).missing(SPACE.signatures) == []
    largest, smallest = result.model.predict(SPACE.largest()), result.model.predict(SPACE.smallest())
    assert largest.latency_ms > smallest.latency_ms > 0
    assert largest.low_ms < largest.latency_ms < largest.high_ms
    again = measure_network(SPACE.largest(), target, min_seconds=0.1)
    assert again.median_ms / 4 < largest.latency_ms < again.median_ms * 4  # a busy machine is allowed for


@pytest.mark.parametrize(("threads", "networks"), [(1, 4), (2, 0)])
def test_cells_several_threads_and_a_batch(tmp_path: Path, threads: int, networks: int) -> None:
    """Several threads have no processor clock, and on a busy machine nothing can be calibrated by half a second."""
    target = load("local", threads=threads, batch=2)
    result = measure(CELLS, target, tmp_path / "t.jsonl", calibration_networks=networks, held_out=2, max_seconds=0.5)
    assert result.model.predict(CELLS.largest()).latency_ms > 0
    assert (result.report["campaigns"][0]["conditions"]["waiting"] is None) == (threads > 1)


def test_network_from_bytes_equals_network_from_architecture() -> None:
    found = measure_network(network_model(SPACE.smallest()), TARGET, min_seconds=0.1)
    assert found.runs >= 100
    assert np.isfinite(found.median_ms)


def test_junk_is_no_network() -> None:
    with pytest.raises(InputError, match="not a model"):
        measure_network(b"junk", TARGET)


def test_profile_needs_no_torch() -> None:
    code = "import sys, hwnas.profile; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

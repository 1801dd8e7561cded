import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hwnas.errors import InputError, TableError
from hwnas.latency import LatencyModel, Table
from hwnas.profile import ProfileResult, measure, measure_network, network_model
from hwnas.profile.measure import MIN_RUNS
from hwnas.space import SpaceConfig, build
from hwnas.target import load

SPACE = build(SpaceConfig("mobile", 16, 3, 10, depth=1))
TARGET = load("local")
QUICK = {"calibration_networks": 6, "held_out": 6, "max_seconds": 0.6}


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ProfileResult]:
    path = tmp_path_factory.mktemp("tables") / "local" / "t.jsonl"
    return path, measure(SPACE, TARGET, path, **QUICK)


@pytest.fixture
def copy(measured: tuple[Path, ProfileResult], tmp_path: Path) -> Path:
    path = tmp_path / "t.jsonl"
    path.write_bytes(measured[0].read_bytes())
    return path


def test_table_and_model_hold_the_whole_space(measured: tuple[Path, ProfileResult]) -> None:
    path, result = measured
    table = Table.read(path, TARGET)
    assert table.missing(SPACE.signatures) == []
    assert result.model == LatencyModel.from_table(table, SPACE)
    assert all(e.p10_ms <= e.median_ms <= e.p90_ms for e in table.entries.values())
    fixed, costs = result.model.costs_ns(SPACE)
    assert fixed > 0
    assert all((c >= 0).all() for c in costs)


def test_predictions_are_of_the_right_size(measured: tuple[Path, ProfileResult]) -> None:
    model = measured[1].model
    largest, smallest = model.predict(SPACE.largest()), model.predict(SPACE.smallest())
    assert largest.latency_ms > smallest.latency_ms > 0
    assert largest.low_ms < largest.latency_ms < largest.high_ms
    again = measure_network(SPACE.largest(), TARGET, min_seconds=0.2)
    assert again.median_ms / 4 < largest.latency_ms < again.median_ms * 4  # a busy machine is allowed for


def test_report_has_the_evidence(measured: tuple[Path, ProfileResult]) -> None:
    path, result = measured
    report = json.loads(json.dumps(result.report, allow_nan=False))
    assert report["measured"] == len(SPACE.signatures)
    assert report["networks"] == 6
    for name in ("held_out", "held_out_plain_sum", "held_out_isolated_sum"):
        assert {"mape", "within_5", "within_10", "kendall_tau"} <= set(report[name])
    (campaign,) = report["campaigns"]
    assert {"noise_odd_even", "noise_halves", "label_noise", "sweeps", "sweeps_rejected", "first_run_over_steady",
            "speed_p10", "speed_p90"} <= set(campaign)
    assert report["table_hash"] == Table.read(path).content_hash
    assert report["calibration"]["held_out"] == report["held_out"]


def test_nothing_is_timed_twice(copy: Path, measured: tuple[Path, ProfileResult]) -> None:
    before = copy.read_bytes()
    result = measure(SPACE, TARGET, copy, **QUICK)
    assert copy.read_bytes() == before
    assert result.report["measured"] == 0
    assert result.model == measured[1].model


def test_only_what_is_missing_is_measured(copy: Path) -> None:
    gone = SPACE.signatures[3]
    copy.write_text("".join(json.dumps(v) + "\n" for v in lines(copy) if v.get("signature") != gone))
    before = Table.read(copy).entries
    result = measure(SPACE, TARGET, copy, **QUICK)
    after = Table.read(copy).entries
    assert result.report["measured"] == 1
    assert {s for s, e in after.items() if before.get(s) != e} == {gone}
    assert 0.2 < result.report["campaigns"][0]["tie_to_table"] < 5


def test_a_killed_run_goes_on_where_it_was(copy: Path) -> None:
    """Entries of few runs and no calibration: what a kill between two appends leaves."""
    kept = [v for v in lines(copy) if "calibration" not in v]
    unfinished = SPACE.signatures[:2]
    for value in kept:
        value["runs"] = 8 if value.get("signature") in unfinished else MIN_RUNS
    copy.write_text("".join(json.dumps(v) + "\n" for v in kept) + '{"signature": "mbc')
    before = Table.read(copy).entries
    result = measure(SPACE, TARGET, copy, **QUICK)
    after = Table.read(copy)
    assert result.report["measured"] == 2
    assert {s for s, e in after.entries.items() if before[s] != e} == set(unfinished)
    assert after.calibration(SPACE.fingerprint) is not None


def test_calibration_alone_is_made_anew(copy: Path) -> None:
    kept = [{**v, "runs": MIN_RUNS} if "signature" in v else v for v in lines(copy) if "calibration" not in v]
    copy.write_text("".join(json.dumps(v) + "\n" for v in kept))
    result = measure(SPACE, TARGET, copy, **QUICK)
    assert (result.report["measured"], result.report["networks"]) == (0, 6)
    assert Table.read(copy).calibration(SPACE.fingerprint) is not None


def test_again_measures_everything(copy: Path) -> None:
    before = Table.read(copy).entries
    result = measure(SPACE, TARGET, copy, again=True, **QUICK)
    assert result.report["measured"] == len(SPACE.signatures)
    assert all(before[s] != e for s, e in Table.read(copy).entries.items())


def test_without_calibration_it_is_the_plain_sum(tmp_path: Path) -> None:
    result = measure(SPACE, TARGET, tmp_path / "t.jsonl", calibration_networks=0, held_out=0, max_seconds=0.3)
    assert result.model.calibration.form == "sum"
    assert "held_out" not in result.report


def test_entries_are_appended_while_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    seen: list[int] = []
    measure(
        SPACE, TARGET, path, calibration_networks=2, held_out=0, max_seconds=1.5,
        progress=lambda what, done, total: seen.append(len(path.read_text().splitlines())),
    )
    assert 1 in seen  # the header first
    assert seen[-1] > 1  # entries came before the end was reported


def test_groups_are_tied_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("hwnas.profile.measure"), "MAX_BLOCKS", 8)
    result = measure(SPACE, TARGET, tmp_path / "t.jsonl", **QUICK)
    campaigns = result.report["campaigns"]
    assert len(campaigns) == -(-len(SPACE.signatures) // 8)
    assert campaigns[0]["tie_to_table"] == 1
    assert "held_out_isolated_sum" in result.report


def test_table_of_another_device_is_refused(copy: Path) -> None:
    header, *rest = lines(copy)
    header["device"]["cpu"] = "another"  # type: ignore[index]
    copy.write_text("".join(json.dumps(v) + "\n" for v in [header, *rest]))
    with pytest.raises(TableError, match=r"not measured on this device.*cpu: another"):
        measure(SPACE, TARGET, copy, **QUICK)


@pytest.mark.parametrize("change", [{"device": {}}, {"source": "imported"}])
def test_foreign_table_is_refused(copy: Path, change: dict[str, object]) -> None:
    header, *rest = lines(copy)
    copy.write_text("".join(json.dumps(v) + "\n" for v in [{**header, **change}, *rest]))
    with pytest.raises(TableError, match="not measured on this device"):
        measure(SPACE, TARGET, copy, **QUICK)


def test_several_threads_and_a_batch(tmp_path: Path) -> None:
    target = load("local", threads=2, batch=2)
    result = measure(SPACE, target, tmp_path / "t.jsonl", **QUICK)
    assert result.model.predict(SPACE.largest()).latency_ms > 0


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

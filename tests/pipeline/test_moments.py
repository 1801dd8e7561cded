"""Times that were measured at different speeds of the machine are said to differ, and by how much."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwnas.pipeline import CompressConfig, RunFolder
from hwnas.pipeline.run.cautions import warnings_of
from hwnas.pipeline.run.moments import APART, apart, moments_of
from hwnas.pipeline.run.reference import Reference
from hwnas.runtime import Measurement
from tests.pipeline.stage_results import exported, generated, lane, profile, verdict

KERNEL = 0.12


def timing(factor: float) -> Measurement:
    return Measurement(0.25 * factor, 0.24 * factor, 0.27 * factor, 100, KERNEL * factor)


def a_run(path: Path, table: float = 1.0, candidates: float = 1.0, result: float = 1.0) -> RunFolder:
    """A run whose budget was fixed at speed 1; at the other moments everything took so many times as long."""
    run = RunFolder.create(path, CompressConfig())
    reference = timing(1.0)
    run.state.reference = Reference(latency_ms=reference.median_ms, basis="measured", kernel_ms=reference.kernel_ms,
                                    flops=1, params=1, memory_bytes=1)
    run.finish("profile", profile(lane(speed=1 / table, table_kernel_ms=KERNEL * table)), [], 0.0)
    run.finish("generate", generated(reference_measured_ms=timing(candidates).to_json()), [], 0.0)
    run.finish("export", exported(reference=verdict(latency=timing(result).to_json())), [], 0.0)
    return run


def test_a_quiet_machine_gives_no_warning(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", 1.03, 0.98, 1.01)
    assert [m.name for m in moments_of(run)] == ["table", "budget", "candidates", "result"]
    assert warnings_of(run) == []


def test_the_speed_of_every_moment_is_named_with_the_evidence(tmp_path: Path) -> None:
    found = apart(a_run(tmp_path / "run", candidates=1.8))
    assert found == [
        "the machine ran 1.80 times slower when the candidates were measured than when the result was measured (the "
        "reference network took 0.450 and 0.250 ms; the reference kernel 0.216 and 0.120 ms): compare times of one row "
        "only"
    ]


def test_a_table_of_another_speed_is_said_first(tmp_path: Path) -> None:
    found = apart(a_run(tmp_path / "run", table=1.8, result=0.9))
    assert found[0].startswith("the machine ran 1.80 times slower when the table was measured than when this run began")
    assert len(found) == 3  # and the budget and the candidates, against the result


FACTOR = st.floats(0.2, 5).filter(lambda f: abs(max(f, 1 / f) - 1 - APART) > 1e-3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(candidates=FACTOR, result=FACTOR)
def test_there_is_a_sentence_for_every_moment_apart(tmp_path_factory: pytest.TempPathFactory, candidates: float,
                                                    result: float) -> None:
    found = apart(a_run(tmp_path_factory.mktemp("run") / "run", candidates=candidates, result=result))
    ratios = [1 / result, candidates / result]
    assert len(found) == sum(max(r, 1 / r) > 1 + APART for r in ratios)


def test_a_run_without_the_device_has_no_moments(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", CompressConfig())
    assert moments_of(run) == []
    assert apart(run) == []

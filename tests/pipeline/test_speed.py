"""How fast the machine is against its tables, where its clock sees nothing of a network, and against its calm self."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from hwnas.latency.estimate import estimate
from hwnas.pipeline import RunFolder
from hwnas.pipeline.exported.checking import check_model
from hwnas.pipeline.latencies import speed
from hwnas.pipeline.latencies.latency_sources import Latencies
from hwnas.runtime import Measurement
from hwnas.space import SpaceConfig, build
from hwnas.target import load

SPACE = build(SpaceConfig("mobile", 16, 1, 10, depth=1))


@pytest.mark.parametrize(("largest_ms", "smallest_ms"), [(2.0, 1.0), (2.0, 0.0), (0.0, 0.0)])
def test_what_a_coarse_clock_does_not_see_says_nothing(largest_ms: float, smallest_ms: float,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    def timed(models: Any, **more: Any) -> dict[str, Measurement]:
        found = {"fp32 0": largest_ms, "fp32 1": smallest_ms, "int8 0": smallest_ms, "int8 1": smallest_ms}
        return {name: Measurement(found[name], 0.0, 3.0, 8, 0.2) for name in models}

    monkeypatch.setattr(speed, "time_models", timed)
    target, model = load("local"), estimate(SPACE, load("raspberry-pi-4"))
    lanes = tuple(Latencies(target.model_copy(update={"precision": p}), model, here=True) for p in ("fp32", "int8"))
    found = speed.speed_of(SPACE, lanes)
    largest, smallest = (model.predict(arch).latency_ms for arch in (SPACE.reference, SPACE.smallest()))
    first = math.sqrt((largest_ms / largest or 1.0) * (smallest_ms / smallest or 1.0))
    assert found.factors[0] == pytest.approx(first)
    assert found.ratios == (1.0, largest_ms / smallest_ms if largest_ms and smallest_ms else 1.0)
    assert all(math.isfinite(x) and x > 0 for x in (*found.factors, *found.ratios))


def test_a_model_that_is_verified_on_a_busy_machine_says_so(finished: RunFolder, tmp_path: Path) -> None:
    shutil.copytree(finished.path, tmp_path / "run")
    run = RunFolder.open(tmp_path / "run")
    then = run.state.reference
    assert then is not None
    assert then.kernel_ms
    run.state.reference = then.model_copy(update={"kernel_ms": then.kernel_ms / 3})
    run.save()
    found = check_model(run.path, latency="500%")
    assert any("other work held the machine" in warning for warning in found.warnings)
    assert found.warnings == found.to_json()["warnings"]

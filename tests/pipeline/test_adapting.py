"""Priors: which is taken, what becomes of it, when it is refused; and tables of another version of the runtime."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwnas.errors import TableError, UsageError
from hwnas.latency import Calibration, Entry, LatencyModel, Table, table_path
from hwnas.latency import prior as priors
from hwnas.latency.adapted import adapted_path, read_adapted
from hwnas.latency.estimate import estimate
from hwnas.pipeline.latencies import adapting
from hwnas.pipeline.latencies.adapting import adapt_target, take_another_version
from hwnas.pipeline.latencies.latency_sources import known_latencies, latencies
from hwnas.pipeline.latencies.priors import ESTIMATE, find_prior
from hwnas.profile.adapting import AdaptedHere, adapt_on
from hwnas.profile.calibration_networks import draw
from hwnas.runtime import Fingerprint, LocalDevice, runtime_for
from hwnas.space import Architecture, SpaceConfig, build
from hwnas.target import load

SPACE = build(SpaceConfig("mobile", 16, 1, 10, depth=1))
OTHER = build(SpaceConfig("mobile", 32, 3, 10, depth=1))
LOCAL, BOARD = load("local"), load("raspberry-pi-4")
HERE = Fingerprint.of(runtime_for(LOCAL)).to_json()
TRUTH = estimate(SPACE, BOARD)
Truth = Callable[[Architecture], float]


def slower(arch: Architecture) -> float:
    return 1.3 * TRUTH.predict(arch).latency_ms + 0.02


def by_flops(arch: Architecture) -> float:
    return 1.0 + arch.flops / 1e5


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Truth], None]:
    """Networks take what a function says, and no time."""

    def use(truth: Truth) -> None:
        def fake(space: Any, target: Any, prior: LatencyModel, device: Any, count: int = 20, **_: Any) -> AdaptedHere:
            networks = draw(space, count, 0, np.random.default_rng(0))[0]
            ms = [truth(arch) for arch in networks]
            return AdaptedHere(priors.adapt(prior, target, networks, ms), tuple(networks), tuple(ms),
                               device.fingerprint().to_json(), 0.2, 12.0, ("noisy",))

        monkeypatch.setattr(adapting, "adapt_on", fake)

    return use


@pytest.fixture
def calm_asked(monkeypatch: pytest.MonkeyPatch, timed: Callable[[Truth], None]) -> list[float]:
    """What every adaptation was told that the reference kernel takes when the machine is calm."""
    timed(slower)
    asked, once = [], adapting.adapt_on

    def noted(*words: Any, calm_kernel_ms: float, **more: Any) -> AdaptedHere:
        asked.append(calm_kernel_ms)
        return once(*words, **more)

    monkeypatch.setattr(adapting, "adapt_on", noted)
    return asked


def table(path: Path, space: Any = SPACE, device: dict[str, Any] | None = None, calibrated: bool = True) -> Table:
    made = Table.open(path, LOCAL, device or HERE)
    cost = estimate(space, BOARD).entries_ms
    made.add(Entry(s, max(ms, 1e-3), max(ms, 1e-3), max(ms, 1e-3), 40, "2026") for s, ms in cost.items())
    if calibrated:
        made.add_calibration(space.fingerprint, Calibration("scale", 1.0, log_spread=0.05, networks=50))
    return made


def test_an_adapted_estimate_is_kept_and_used(tmp_path: Path, timed: Callable[[Truth], None]) -> None:
    timed(slower)
    made = adapt_target(SPACE, BOARD, tables=tmp_path, prior=ESTIMATE)
    assert made.path == adapted_path(tmp_path, BOARD, SPACE)
    assert made.kept.error < made.kept.line_error
    assert read_adapted(made.path, BOARD, SPACE) == made.kept
    known = known_latencies(SPACE, BOARD, tmp_path)
    assert known.model is not None
    assert known.model.predict(SPACE.largest()).latency_ms == pytest.approx(slower(SPACE.largest()), rel=0.05)
    assert (known.source, known.here, known.device) == ("estimated", False, HERE)
    assert known.model.calibration.kernel_ms == 0.2
    assert known.warnings[0].startswith("adapted from an estimate from the public figures of raspberry-pi-4 by 20")
    assert known_latencies(OTHER, BOARD, tmp_path).device == {}, "of another space nothing is adapted"


def test_a_table_of_another_clock_is_adapted_and_a_later_one_wins(tmp_path: Path,
                                                                  timed: Callable[[Truth], None]) -> None:
    timed(slower)
    own = table(table_path(tmp_path, LOCAL), calibrated=False)
    made = adapt_target(SPACE, LOCAL, tables=tmp_path)
    assert made.kept.prior.startswith("a table that was measured on ")
    found = latencies(SPACE, LOCAL, tables=tmp_path)
    assert (found.here, found.table, found.device) == (True, None, HERE)
    assert found.model.predict(SPACE.largest()).latency_ms == pytest.approx(slower(SPACE.largest()), rel=0.05)
    record = {**Calibration("scale", 1.0).to_json(), "space": SPACE.fingerprint, "when": "2999"}
    later = Table.assemble(own.path, own.header, own.entries.values(), [record])
    assert adapting.adapted_here(SPACE, LOCAL, HERE, tmp_path, later) is None
    assert adapting.adapted_here(SPACE, LOCAL, {**HERE, "cpu": "another"}, tmp_path) is None


def test_how_fast_the_calm_machine_is_is_remembered_by_all_that_was_timed_on_it(tmp_path: Path,
                                                                                calm_asked: list[float]) -> None:
    adapt_target(SPACE, LOCAL, tables=tmp_path, prior=str(table(tmp_path / "prior.jsonl").path))
    adapt_target(SPACE, LOCAL, tables=tmp_path, prior=str(tmp_path / "prior.jsonl"))
    int8 = Table.open(tmp_path / "local" / "int8.jsonl", LOCAL.model_copy(update={"precision": "int8"}),
                      {**HERE, "runtime_version": "0.9"})
    int8.keep_calm_kernel(0.15)
    int8.keep_calm_kernel(0.19)
    for name, of, device in (("threads", {"threads": 2}, {}), ("cpu", {}, {"cpu": "another"})):
        other = Table.open(tmp_path / "local" / f"{name}.jsonl", LOCAL.model_copy(update=of), {**HERE, **device})
        other.keep_calm_kernel(0.01)
    (tmp_path / "local" / "broken.jsonl").write_text("nothing\n")
    adapt_target(SPACE, LOCAL, tables=tmp_path, prior=str(tmp_path / "prior.jsonl"))
    assert calm_asked == [0.0, 0.2, 0.15]


def test_a_prior_that_is_worth_nothing_is_refused_and_not_kept(tmp_path: Path,
                                                               timed: Callable[[Truth], None]) -> None:
    timed(by_flops)
    rng = np.random.default_rng(0)
    odd = Table.open(tmp_path / "odd.jsonl", LOCAL, {"cpu": "another"}, source="imported")
    odd.add(Entry(s, t, t, t, 1, "") for s in SPACE.signatures for t in [float(rng.uniform(0.01, 3))])
    with pytest.raises(TableError, match=r"worth nothing for local.* predicts them with 0\.0 %\. Nothing was kept"):
        adapt_target(SPACE, LOCAL, tables=tmp_path, prior=str(odd.path))
    assert not adapted_path(tmp_path, LOCAL, SPACE).exists()


def test_times_of_a_busy_machine_are_refused_although_flops_say_even_less(tmp_path: Path,
                                                                         timed: Callable[[Truth], None]) -> None:
    rng = np.random.default_rng(0)
    timed(lambda arch: TRUTH.predict(arch).latency_ms * float(np.exp(rng.normal(0, 0.4))))
    with pytest.raises(TableError, match=r"with an error of \d+\.\d %, more than 20 %\. Nothing was kept") as refused:
        adapt_target(SPACE, BOARD, tables=tmp_path, prior=ESTIMATE)
    assert "Meanwhile noisy" in refused.value.__notes__
    assert known_latencies(SPACE, BOARD, tmp_path).warnings == ()


def test_a_useless_model_that_lies_there_is_not_used_in_silence(tmp_path: Path,
                                                                timed: Callable[[Truth], None]) -> None:
    timed(slower)
    made = adapt_target(SPACE, BOARD, tables=tmp_path, prior=ESTIMATE)
    told = json.loads(made.path.read_text())
    made.path.write_text(json.dumps({**told, "error": 24.7, "line_error": 60.0}))
    known = known_latencies(SPACE, BOARD, tmp_path)
    assert known.device == {}
    assert known.warnings == ("an adapted model of raspberry-pi-4/onnxruntime-fp32-b1-t4 is not used: "
                              "each network that was timed is predicted from the others with an error of 24.7 %, more "
                              "than 20 %",)


def test_the_nearest_prior(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no table at hand holds its"):
        find_prior(SPACE, LOCAL, HERE, tmp_path)
    assert find_prior(SPACE, BOARD, HERE, tmp_path).table is None
    for name, device in (("far", {**HERE, "cpu": "x", "flags": []}), ("near", {**HERE, "runtime_version": "0.9"}),
                         ("gpu", {**HERE, "gpu": "a card"}), ("arm", {**HERE, "machine": "another"})):
        table(table_path(tmp_path, LOCAL.model_copy(update={"name": name})), device=device)
    table(table_path(tmp_path, LOCAL.model_copy(update={"name": "other"})), space=OTHER)
    for path in tmp_path.rglob("*.jsonl"):  # what `Table.open` wrote is of target local
        path.write_text(path.read_text().replace('"target": "local"', f'"target": "{path.parent.name}"', 1))
    found = find_prior(SPACE, LOCAL, HERE, tmp_path)
    assert found.table is not None
    assert found.table.target == "near"
    assert found.told.endswith("through onnxruntime 0.9")
    asked = find_prior(SPACE, LOCAL, HERE, tmp_path, str(tmp_path / "gpu" / f"{LOCAL.key}.jsonl"))
    assert "a card" in asked.told
    with pytest.raises(TableError, match="lacks"):
        find_prior(SPACE, LOCAL, HERE, tmp_path, str(tmp_path / "other" / f"{LOCAL.key}.jsonl"))


def test_a_table_of_another_version_is_taken_if_networks_say_so(tmp_path: Path,
                                                                timed: Callable[[Truth], None]) -> None:
    timed(slower)
    path = table_path(tmp_path, LOCAL)
    old = table(path, device={**HERE, "runtime_version": "0.9"})
    old.add_calibration(OTHER.fingerprint, Calibration("scale", 1.0))
    found = take_another_version(SPACE, LOCAL, tables=tmp_path)
    assert found is not None
    assert found.taken
    assert "measured with 0.9; with onnxruntime" in found.told
    new = Table.read(path, LOCAL)
    assert new.differs_from(HERE) == []
    assert (new.entries, set(new.calibration_records)) == (old.entries, {SPACE.fingerprint})
    assert new.header["based_on"]["device"]["runtime_version"] == "0.9"
    assert LatencyModel.from_table(new, SPACE).predict(SPACE.largest()).latency_ms == pytest.approx(
        slower(SPACE.largest()), rel=0.05)
    assert take_another_version(SPACE, LOCAL, tables=tmp_path) is None, "it is of this version now"


def test_a_table_of_another_version_that_holds_no_longer_is_left(tmp_path: Path,
                                                                 timed: Callable[[Truth], None]) -> None:
    timed(by_flops)
    path = table_path(tmp_path, LOCAL)
    table(path, device={**HERE, "runtime_version": "0.9"})
    before = path.read_bytes()
    found = latencies(SPACE, LOCAL, tables=tmp_path)
    assert path.read_bytes() == before
    assert any("too much to take it" in text for text in found.warnings)
    assert any("not of this device" in text for text in found.warnings)


def test_networks_are_timed_on_this_machine(tmp_path: Path) -> None:
    prior = replace(LatencyModel.from_table(table(tmp_path / "t.jsonl"), SPACE), source="measured")
    found = adapt_on(SPACE, LOCAL, prior, LocalDevice(runtime_for(LOCAL)), count=8, max_seconds=0.5)
    assert len(set(found.networks)) == 8
    assert all(ms > 0 for ms in found.networks_ms)
    assert found.device == HERE | {"mhz": found.device["mhz"]}
    with pytest.raises(UsageError, match="8 to 20 networks; got 21"):
        adapt_on(SPACE, LOCAL, prior, LocalDevice(runtime_for(LOCAL)), count=21)

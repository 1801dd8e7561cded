"""Which machine a table may be of."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path

import pytest

from hwnas.errors import UsageError
from hwnas.latency.estimate import estimate
from hwnas.pipeline.latencies.latency_sources import Latencies, measured, tied
from hwnas.space import FULL, SpaceConfig, Variant, build, scaled
from hwnas.target import load

HALF = Variant(0.5)


@pytest.mark.parametrize(("machine", "target"), [("x86_64", "raspberry-pi-4"), ("AMD64", "jetson-orin-nano"),
                                                 ("aarch64", "x86-avx2")])
def test_this_machine_is_not_timed_under_the_name_of_another(machine: str, target: str, tmp_path: Path,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(UsageError, match=rf"{target} is a device .* this machine is {machine}: .*--device ssh://"):
        measured(build(SpaceConfig("mobile", 32, 3, 10)), load(target), tables=tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_fits_into_any_computer_names_no_processor() -> None:
    hardware = {name: load(name).hardware for name in ("nvidia-t4", "intel-igpu", "raspberry-pi-5")}
    assert {name: bool(h and h.machines) for name, h in hardware.items()} == {
        "nvidia-t4": False, "intel-igpu": False, "raspberry-pi-5": True}


def test_models_of_several_variants_are_brought_to_one_speed() -> None:
    """The thin one says three and a third of what the other says for the same network, and then it does not."""
    space, target = build(SpaceConfig("mobile", 64, 3, 10)), load("local")
    spaces = {FULL: space, HALF: scaled(space, HALF)}
    right = {w: replace(estimate(s, load("x86-avx2")), source="measured") for w, s in spaces.items()}
    first = tied(spaces, {w: Latencies(target, m, here=True) for w, m in right.items()})
    again = {}
    for wrong in (3.0, 1 / 3):
        lanes = {FULL: first[FULL], HALF: replace(first[HALF], model=first[HALF].model.at_speed(wrong))}
        again[wrong] = tied(spaces, lanes)
        assert again[wrong][FULL].model == first[FULL].model
    for found in again.values():
        ratio = (found[HALF].model.predict(spaces[HALF].largest()).latency_ms
                 / first[HALF].model.predict(spaces[HALF].largest()).latency_ms)
        assert 1 / 1.5 < ratio < 1.5


def test_what_is_not_here_is_left_as_it_is() -> None:
    space, target = build(SpaceConfig("mobile", 32, 3, 10)), load("raspberry-pi-4")
    spaces = {FULL: space, HALF: scaled(space, HALF)}
    lanes = {w: Latencies(target, estimate(s, target), here=False) for w, s in spaces.items()}
    assert tied(spaces, lanes) == lanes

"""Which machine a table may be of."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from hwnas.errors import UsageError
from hwnas.pipeline.lanes import measured
from hwnas.space import SpaceConfig, build
from hwnas.target import load


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

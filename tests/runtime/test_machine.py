from __future__ import annotations

import os
from pathlib import Path

import pytest

from hwnas.runtime.machine import Machine


def write(root: Path, files: dict[str, object]) -> None:
    for name, value in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{value}\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with four cores, two thermal zones and counters."""
    cpu = "sys/devices/system/cpu"
    write(tmp_path, {
        **{f"{cpu}/cpu{i}/cpufreq/scaling_cur_freq": 1_000_000 + 100_000 * i for i in range(4)},
        **{f"{cpu}/cpu{i}/thermal_throttle/core_throttle_count": 5 for i in range(4)},
        "sys/class/thermal/thermal_zone0/temp": 41_500, "sys/class/thermal/thermal_zone1/temp": 63_200,
        "sys/class/thermal/cooling_device0/type": "thermal-cpufreq-0",
        "sys/class/thermal/cooling_device0/cur_state": 0,
        "sys/class/thermal/cooling_device1/type": "pwm-fan", "sys/class/thermal/cooling_device1/cur_state": 3,
        "proc/stat": "cpu  100 0 100 1000 0 0 0 0 0 0",
    })
    return tmp_path


def test_clock_and_heat(root: Path) -> None:
    state = Machine(root=root).state()
    assert (state["mhz"], state["celsius"], state["throttled"]) == (1300.0, 63.2, False)
    assert Machine((0, 1), root).state()["mhz"] == 1100.0


def test_a_throttle_counter_that_moved(root: Path) -> None:
    machine = Machine(root=root)
    write(root, {"sys/devices/system/cpu/cpu2/thermal_throttle/core_throttle_count": 6})
    assert machine.state()["throttled"] is True
    assert machine.state()["throttled"] is False  # it has not moved since


def test_a_processor_that_is_cooled_by_its_clock(root: Path) -> None:
    write(root, {"sys/class/thermal/cooling_device0/cur_state": 2})
    assert Machine(root=root).state()["throttled"] is True


@pytest.mark.parametrize("flags, throttled", [("0x0", False), ("50000", False), ("0x4", True), ("0x50005", True)])
def test_the_firmware_of_a_raspberry_pi(tmp_path: Path, flags: str, throttled: bool) -> None:
    write(tmp_path, {"sys/devices/platform/soc/soc:firmware/get_throttled": flags})
    assert Machine(root=tmp_path).state()["throttled"] is throttled


def test_other_work(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tick = 1 / os.sysconf("SC_CLK_TCK")
    clock = iter([(0.0, 0.0, 0.0), (2.0, 0.5, 10.0)])  # user, system, elapsed: this process worked 2.5 of 10 s

    def times() -> os.times_result:
        user, system, elapsed = next(clock)
        return os.times_result((user, system, 0.0, 0.0, elapsed))

    monkeypatch.setattr(os, "times", times)
    machine = Machine(root=root)
    busy = round(12.5 / tick)  # 2.5 s ours and 10 s of others
    write(root, {"proc/stat": f"cpu  {100 + busy} 0 100 1000 0 0 0 {round(2 / tick)} 0 0"})
    state = machine.state()
    assert (state["others"], state["stolen"]) == (pytest.approx(1.0), pytest.approx(0.2))


def test_the_clock_of_a_machine_without_cpufreq(tmp_path: Path) -> None:
    write(tmp_path, {"proc/cpuinfo": "processor : 0\ncpu MHz\t\t: 2000.5\n\nprocessor : 1\ncpu MHz\t\t: 2400.0\n"})
    assert Machine(root=tmp_path).state()["mhz"] == 2400.0
    assert Machine((0,), tmp_path).state()["mhz"] == 2000.5


def test_what_is_not_told_is_left_out(tmp_path: Path) -> None:
    assert set(Machine(root=tmp_path).state()) <= {"load"}


def test_files_that_hold_nonsense(root: Path) -> None:
    write(root, {"sys/class/thermal/thermal_zone0/temp": "hot", "sys/class/thermal/thermal_zone1/temp": ""})
    assert "celsius" not in Machine(root=root).state()

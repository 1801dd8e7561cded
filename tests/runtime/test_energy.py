"""Energy from fake trees of /sys, laid out as the kernel's documentation says; never a zero where nothing is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwnas.runtime import energy
from hwnas.runtime.energy import Counters, Rails, measure_energy, meter_of, why_not


def write(root: Path, files: dict[str, object]) -> Path:
    for name, content in files.items():
        path = root / "sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n", encoding="ascii")
    return root


def rapl(root: Path, *microjoules: int, over: int = 10**9) -> Path:
    """Packages, a part of the first, and the platform: the last two would count twice."""
    files: dict[str, object] = {"class/powercap/intel-rapl:9/name": "psys", "class/powercap/intel-rapl:9/energy_uj": 1,
                                "class/powercap/intel-rapl:0:0/name": "core",
                                "class/powercap/intel-rapl:0:0/energy_uj": 7}
    for i, count in enumerate(microjoules):
        files |= {f"class/powercap/intel-rapl:{i}/name": f"package-{i}",
                  f"class/powercap/intel-rapl:{i}/energy_uj": count,
                  f"class/powercap/intel-rapl:{i}/max_energy_range_uj": over}
    return write(root, files)


class Busy:
    """A session of which every run takes energy from counters."""

    threads, runs = 1, 0

    def __init__(self, root: Path, microjoules: int, over: int) -> None:
        self._file, self._each, self._over = root / "sys/class/powercap/intel-rapl:0/energy_uj", microjoules, over

    def example(self, batch: int = 1) -> dict[str, Any]:
        return {"x": np.zeros((batch, 1))}

    def run(self, inputs: dict[str, Any]) -> list[Any]:
        self._file.write_text(str((int(self._file.read_text()) + self._each) % self._over), encoding="ascii")
        self.runs += 1
        return []


def test_packages_are_counted_once_and_over_their_range(tmp_path: Path) -> None:
    over = 10_000
    meter = meter_of(rapl(tmp_path, 9_000, 500, over=over))
    assert meter is not None
    assert meter.told == "RAPL package-0 + package-1"
    assert meter.processor
    meter.begin()
    write(tmp_path, {"class/powercap/intel-rapl:0/energy_uj": 1_000, "class/powercap/intel-rapl:1/energy_uj": 800})
    assert meter.end() == pytest.approx((2_000 + 300) / 1e6)


@pytest.mark.parametrize("batch", [1, 4])
def test_an_image_takes_its_share_of_a_run(tmp_path: Path, batch: int) -> None:
    over = 1_000_000_000
    meter = meter_of(rapl(tmp_path, over - 3_000, over=over))  # the counter passes its range meanwhile
    assert meter is not None
    found = measure_energy(Busy(tmp_path, 2_000, over), meter, batch=batch, seconds=0.01)  # type: ignore[arg-type]
    assert found is not None
    assert found.millijoules == pytest.approx(2.0 / batch)
    assert found.low == pytest.approx(found.high)
    assert found.runs >= energy.WINDOWS
    assert found.watts > 0


def test_a_counter_that_stands_still_or_breaks_is_no_zero(tmp_path: Path) -> None:
    meter = meter_of(rapl(tmp_path, 5))
    assert meter is not None
    assert measure_energy(Busy(tmp_path, 0, 10), meter, seconds=0.0) is None  # type: ignore[arg-type]
    meter.begin()
    write(tmp_path, {"class/powercap/intel-rapl:0/energy_uj": "?"})
    assert meter.end() is None


@pytest.mark.parametrize(("files", "told", "watts"), [
    ({"name": "ina3221", "in1_label": "VDD_IN", "in1_input": 5000, "curr1_input": 900, "in2_label": "VDD_CPU_GPU_CV",
      "in2_input": 5000, "curr2_input": 300, "in7_label": "Sum of shunt voltages", "in7_input": 3}, "INA VDD_IN", 4.5),
    ({"name": "ina3221", "in1_label": "GPU", "in1_input": 19000, "curr1_input": 100, "in2_label": "CPU",
      "in2_input": 19000, "curr2_input": 50}, "INA GPU + CPU", 2.85),
    ({"name": "ina226", "power1_input": 3_200_000}, "INA ina226 hwmon1", 3.2),
])
def test_rails_of_a_board(tmp_path: Path, files: dict[str, object], told: str, watts: float) -> None:
    """The rail that all others are behind is the whole; without one they are added up."""
    root = write(tmp_path, {f"class/hwmon/hwmon1/{name}": value for name, value in files.items()})
    meter = meter_of(write(root, {"class/hwmon/hwmon0/name": "coretemp"}), processor=False)
    assert isinstance(meter, Rails)
    assert meter.told == told
    assert not meter.processor
    assert meter.watts() == pytest.approx(watts)
    meter.begin()
    joules = meter.end()
    assert joules is not None
    assert joules > 0


def test_rails_of_an_older_jetpack(tmp_path: Path) -> None:
    folder = "bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    root = write(tmp_path, {f"{folder}/rail_name_0": "POM_5V_IN", f"{folder}/in_power0_input": 2500,
                            f"{folder}/rail_name_1": "POM_5V_GPU", f"{folder}/in_power1_input": 400})
    meter = meter_of(root)
    assert isinstance(meter, Rails)
    assert meter.told == "INA POM_5V_IN"
    assert meter.watts() == pytest.approx(2.5)


def test_a_rail_that_falls_silent_is_no_zero(tmp_path: Path) -> None:
    root = write(tmp_path, {"class/hwmon/hwmon1/name": "ina226", "class/hwmon/hwmon1/power1_input": 10})
    meter = meter_of(root)
    assert meter is not None
    meter.begin()
    (root / "sys/class/hwmon/hwmon1/power1_input").unlink()
    assert meter.end() is None


def test_why_there_is_none_and_what_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert meter_of(tmp_path) is None
    assert "neither RAPL" in why_not(tmp_path)
    root = rapl(tmp_path, 5, 6)
    assert meter_of(root, processor=False) is None
    assert "accelerator" in why_not(root, processor=False)
    (root / "sys/class/powercap/intel-rapl:1/energy_uj").unlink()  # as unreadable as to those who are not root
    assert meter_of(root) is None
    assert "sudo chmod a+r" in why_not(root)
    assert "other packages" in why_not(root)


def test_the_meter_of_this_machine_tells_or_says_why() -> None:
    meter = meter_of()
    if meter is None:
        assert why_not()
        return
    assert isinstance(meter, Counters | Rails)
    meter.begin()
    sum(range(3_000_000))
    joules = meter.end()
    assert joules is None or joules > 0

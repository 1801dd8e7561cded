"""What a run of a network takes from the supply, in millijoules, where the device has a meter that may be read.

Two kinds of meter are known, both files of the Linux kernel below /sys:

RAPL of Intel and AMD processors: `class/powercap/intel-rapl:N/energy_uj`, microjoules that a package took, up to
    `max_energy_range_uj`, then from 0 again.
INA chips of Jetson and other boards, which tell the power of a rail now:
    `class/hwmon/hwmonN/`: `inK_label`, `inK_input` (mV) and `currK_input` (mA), or `powerK_input` (microwatts);
    of older JetPacks `bus/i2c/drivers/ina3221x/*/iio:device*/`: `rail_name_K`, `in_powerK_input` (mW).

Sources: the kernel's `Documentation/power/powercap/powercap.rst` and `Documentation/hwmon/{ina3221,ina2xx}.rst`, and
NVIDIA's Jetson developer guide. All that the meter sees is counted, the idle part of a board as well: that is what a
battery pays. Where there is no meter nothing is said; a zero is no measurement.

This file also runs on the device itself, under Python 3.8 and with numpy alone.
"""

from __future__ import annotations

import math
import re
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hwnas.runtime.timing import WARMUP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hwnas.runtime.runtime import Inputs, Session

_ROOT = Path("/")
WHOLE = ("VDD_IN", "POM_5V_IN", "5V_IN", "VIN", "VDD_5V_IN")  # rails that all others are behind
WINDOWS, SECONDS = 5, 1.0  # of runs back to back between two readings
EVERY_SECONDS = 0.01  # between two readings of a rail


@dataclass(frozen=True)
class Energy:
    """What one image takes.

    Args:
        millijoules: median over the windows; low, high: the least and the most of them.
        watts: while the network ran without a pause.
        meter: what told, in words.
        runs: how many there were.
    """

    millijoules: float
    low: float
    high: float
    watts: float
    meter: str
    runs: int

    def to_json(self) -> dict[str, float | str]:
        """The fields."""
        return dict(asdict(self))

    @property
    def words(self) -> str:
        """What stands behind the number."""
        return f"an image, {self.watts:.1f} W by {self.meter}, {self.low:.3f} to {self.high:.3f} mJ"


class Meter(ABC):
    """Something that tells how much energy was taken.

    Attributes:
        told: what it is, in words.
        processor: whether it sees the processor alone.
    """

    told: str
    processor: bool

    @abstractmethod
    def begin(self) -> None:
        """From here on it counts."""

    @abstractmethod
    def end(self) -> float | None:
        """Joules since `begin`; None where a reading failed."""


class Counters(Meter):
    """RAPL: counters of microjoules, one for each package, that begin again at their range.

    Args:
        folders: those of the packages.
    """

    processor = True

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders, self._before = folders, [0.0] * len(folders)
        self.told = f"RAPL {' + '.join(_text(folder / 'name') for folder in folders)}"

    def begin(self) -> None:
        self._before = self._read()

    def end(self) -> float | None:
        joules = 0.0
        for folder, before, now in zip(self._folders, self._before, self._read()):  # noqa: B905 - Python 3.8
            over = _number(folder / "max_energy_range_uj") if now < before else 0.0
            joules += (now + over - before) / 1e6
        return joules if joules > 0 else None  # nor where one of them is not a number

    def _read(self) -> list[float]:
        return [_number(folder / "energy_uj") for folder in self._folders]


class Rails(Meter):
    """Rails of a board whose power is read again and again.

    Args:
        rails: name -> files whose numbers multiplied, and by the factor behind them, are watts.
    """

    processor = False

    def __init__(self, rails: dict[str, tuple[tuple[Path, ...], float]]) -> None:
        whole = [name for name in rails if name.upper() in WHOLE]
        self._rails = {name: rails[name] for name in whole[:1] or rails}
        self.told = f"INA {' + '.join(self._rails)}"
        self._seen: list[tuple[float, float]] = []
        self._stop, self._thread = threading.Event(), threading.Thread()

    def watts(self) -> float:
        """Now; not a number where a rail cannot be read."""
        return float(sum(np.prod([_number(file) for file in files]) * factor for files, factor in self._rails.values()))

    def begin(self) -> None:
        self._seen, self._stop = [], threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._take()
        self._thread.start()

    def end(self) -> float | None:
        self._stop.set()
        self._thread.join()
        self._take()
        times, watts = np.array(self._seen).T
        joules = float(np.sum(np.diff(times) * (watts[1:] + watts[:-1]) / 2))
        return joules if joules > 0 else None

    def _watch(self) -> None:
        while not self._stop.wait(EVERY_SECONDS):
            self._take()

    def _take(self) -> None:
        self._seen.append((time.perf_counter(), self.watts()))


def meter_of(root: Path = _ROOT, processor: bool = True) -> Meter | None:
    """The meter of this machine that sees most of what a network takes; None where none can be read.

    Args:
        root: where 'sys' lies.
        processor: whether networks run on the processor, so that a meter of that alone says what they take.
    """
    rails = _rails(root)
    if rails:
        return Rails(rails)
    packages = _packages(root)
    readable = all(math.isfinite(_number(folder / "energy_uj")) for folder in packages)
    return Counters(packages) if packages and readable and processor else None


def why_not(root: Path = _ROOT, processor: bool = True) -> str:
    """Why there is no meter, and what helps."""
    if packages := _packages(root):
        if not processor:
            return "RAPL counts what the processor takes, not the accelerator"
        return (f"only an administrator may read the counters of this processor: sudo chmod a+r {packages[0]}/energy_uj"
                f"{' and those of the other packages' if len(packages) > 1 else ''} (until the next start)")
    return ("this machine shows no meter: neither RAPL in /sys/class/powercap (virtual machines and many containers "
            "hide it) nor an INA of a board in /sys/class/hwmon")


def measure_energy(session: Session, meter: Meter, inputs: Inputs | None = None, *, batch: int = 1,
                   seconds: float = SECONDS, windows: int = WINDOWS) -> Energy | None:
    """Joules of an image, over `windows` windows of runs back to back; None where the meter fails meanwhile.

    Args:
        inputs: one batch; None takes random numbers of the model's own shape.
        batch: images of a run.
        seconds: of a window, at least.
    """
    feed = session.example(batch) if inputs is None else inputs
    for _ in range(WARMUP):
        session.run(feed)
    found, runs, joules, spent = [], 0, 0.0, 0.0
    for _ in range(windows):
        meter.begin()
        start, made = time.perf_counter(), 0
        while made == 0 or time.perf_counter() - start < seconds:
            session.run(feed)
            made += 1
        took, elapsed = meter.end(), time.perf_counter() - start
        if took is None:
            return None
        found.append(1e3 * took / made / batch)
        runs, joules, spent = runs + made, joules + took, spent + elapsed
    return Energy(float(np.median(found)), min(found), max(found), joules / spent, meter.told, runs)


def _packages(root: Path) -> list[Path]:
    """Folders of the processor packages; their parts and the platform (psys) would count twice."""
    zones = (root / "sys/class/powercap").glob("intel-rapl:*")
    return sorted(zone for zone in zones if re.fullmatch(r"intel-rapl:\d+", zone.name)
                  and _text(zone / "name").startswith("package"))


def _rails(root: Path) -> dict[str, tuple[tuple[Path, ...], float]]:
    """Rails that INA chips watch: name -> files and the factor that makes their product watts."""
    found: dict[str, tuple[tuple[Path, ...], float]] = {}
    for chip in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        if not _text(chip / "name").startswith("ina"):
            continue
        for current in sorted(chip.glob("curr*_input")):
            number = current.name[4:-6]
            label, volts = _text(chip / f"in{number}_label"), chip / f"in{number}_input"
            if label and volts.is_file() and label.lower() not in ("nc", "sum of shunt voltages"):
                found[label] = (volts, current), 1e-6
        if not any(files[0].parent == chip for files, _ in found.values()):
            for power in sorted(chip.glob("power*_input")):
                found[f"{_text(chip / 'name')} {chip.name}"] = (power,), 1e-6
    for power in sorted((root / "sys/bus/i2c/drivers/ina3221x").glob("*/iio:device*/in_power*_input")):
        name = _text(power.parent / f"rail_name_{power.name[8:-6]}")
        if name:
            found[name] = (power,), 1e-3
    return {name: of for name, of in found.items() if all(math.isfinite(_number(file)) for file in of[0])}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> float:
    """What a file counts; not a number where it cannot be read."""
    try:
        return float(_text(path))
    except ValueError:
        return math.nan

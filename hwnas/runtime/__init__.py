"""Where a network runs: runtimes, timing, the device's fingerprint. No torch."""

from hwnas.runtime.device import Device, Sweep, SweepPlan
from hwnas.runtime.fingerprint import Fingerprint
from hwnas.runtime.local import LocalDevice
from hwnas.runtime.runtime import RUNTIMES, Array, Inputs, Runtime, Session, open_runtime, runtime_for
from hwnas.runtime.timing import Measurement, Timer, compare, measure_latency, time_session

visit = time_session  # its name in 0.1, for one version

__all__ = [
    "RUNTIMES", "Array", "Device", "Fingerprint", "Inputs", "LocalDevice", "Measurement", "Runtime", "Session", "Sweep",
    "SweepPlan", "Timer", "compare", "measure_latency", "open_runtime", "runtime_for", "time_session",
    "visit",
]

"""Where a network runs: runtimes, timing, the device's fingerprint. No torch."""

from hwnas.runtime.fingerprint import Fingerprint
from hwnas.runtime.runtime import RUNTIMES, Array, Inputs, Runtime, Session, open_runtime, runtime_for
from hwnas.runtime.timing import Measurement, Timer, compare, measure_latency, visit

__all__ = [
    "RUNTIMES", "Array", "Fingerprint", "Inputs", "Measurement", "Runtime", "Session", "Timer", "compare",
    "measure_latency", "open_runtime", "runtime_for", "visit",
]

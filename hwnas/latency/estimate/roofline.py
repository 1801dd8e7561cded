"""A roofline: the time of a kernel from a device's public figures.

    time = launch + max(macs / (peak * efficiency * occupancy), bytes / (bandwidth * share reached))

S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual performance model", CACM 2009. Where each
constant comes from stands in benchmarks/estimate.md.

Glossary
    efficiency   share of the peak that kernels of a kind reach on work that fills the device
    occupancy    share of the device that a kernel's outputs keep busy: outputs / (outputs + lanes * depth)
    launch       fixed cost of one kernel, ms: dispatch by the runtime and start on the device
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwnas.errors import InputError
from hwnas.latency.estimate.work import Work
from hwnas.target import MIXED, VALUE_BYTES, Hardware, Precision, Target

LAUNCH_MS: Mapping[str, float] = {
    "cpu": 0.002, "arm-cpu": 0.002, "discrete-gpu": 0.005, "integrated-gpu": 0.010, "embedded-gpu": 0.050, "npu": 0.020,
}
# pooling and element-wise work is bound by loads, stores and index arithmetic, not by the multipliers
EFFICIENCY: Mapping[str, Mapping[str, float]] = {
    "cpu": {"dense": 0.33, "pointwise": 0.37, "depthwise": 0.10, "linear": 0.15, "pool": 0.037, "elementwise": 0.05},
    "gpu": {"dense": 0.25, "pointwise": 0.20, "depthwise": 0.04, "linear": 0.10, "pool": 0.05, "elementwise": 0.05},
    "npu": {"dense": 0.30, "pointwise": 0.25, "depthwise": 0.03, "linear": 0.10, "pool": 0.02, "elementwise": 0.02},
}
ADDING = ("pool", "elementwise")
DEPTH: Mapping[str, int] = {"cpu": 1, "gpu": 8, "npu": 4}  # independent results a lane needs to hide its latency
BANDWIDTH_REACHED = 0.7  # of the figure on the data sheet, by streaming


@dataclass(frozen=True)
class Roofline:
    """A device in the state of its target: times of kernels, ms, for one call.

    Args:
        hardware: its figures.
        precision, batch, threads: as in `Target`.
    """

    hardware: Hardware
    precision: Precision
    batch: int
    threads: int

    @classmethod
    def of(cls, target: Target, hardware: Hardware) -> Roofline:
        """The roofline of a target.

        Raises:
            InputError: it is of several precisions.
        """
        if target.precision == MIXED:
            raise InputError(f"{target} is of several precisions in one network, which are measured and not estimated: "
                             "give one of them")
        return cls(hardware, target.precision, target.batch, target.threads)

    @property
    def launch_ms(self) -> float:
        """What a kernel costs however small it is."""
        return LAUNCH_MS[self.hardware.launch]

    def running_ms(self, work: Work) -> float:
        """Arithmetic or memory, whichever takes longer."""
        return max(self.arithmetic_ms(work), self.memory_ms(work))

    def arithmetic_ms(self, work: Work) -> float:
        """Arithmetic at the efficiency of its kind and the occupancy of its size."""
        rate = self.hardware.additions if work.kind in ADDING else self.hardware.peak
        peak = rate(self.precision, self.threads)
        reached = peak * EFFICIENCY[self.hardware.processor][work.kind] * self.occupancy(work)
        return work.macs * self.batch / reached

    def memory_ms(self, work: Work) -> float:
        """Activations of the batch, and the weights once."""
        size_bytes = (work.values * self.batch + work.weights) * VALUE_BYTES[self.precision]
        return size_bytes / (self.hardware.bandwidth_gbs * 1e6 * BANDWIDTH_REACHED)

    def occupancy(self, work: Work) -> float:
        """Share of the device that the kernel keeps busy, 0..1."""
        needed = self.hardware.lanes * self.hardware.share(self.threads) * DEPTH[self.hardware.processor]
        return work.outputs * self.batch / (work.outputs * self.batch + needed)

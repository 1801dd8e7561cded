"""Public figures of a device, each with where it was read; what an estimate is made of.

Units are the vendor's: 10^12 operations a second without sparsity, a multiply-accumulate counting as two; 10^9 bytes.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hwnas.target.precision import Precision

Processor = Literal["cpu", "gpu", "npu"]
LaunchClass = Literal["cpu", "arm-cpu", "discrete-gpu", "embedded-gpu", "integrated-gpu", "npu"]
Stage = Literal[
    "x86-onnxruntime", "x86-openvino", "nvidia-gpu", "jetson-jp5", "jetson-jp6", "jetson-jp7", "raspberrypi"
]
FIGURES = ("memory_gb", "peak_tops", "bandwidth_gbs", "lanes", "add_lanes")


class Hardware(BaseModel):
    """What the vendor says of a device.

    Args:
        processor: what computes.
        launch: class of the fixed cost of one operator, see `hwnas.latency.roofline`.
        memory_gb: memory that a network can use, 10^9 bytes as the vendor counts.
        peak_tops: precision -> 10^12 operations a second of the whole device, dense. A precision that the device
            computes no faster than another is left out.
        bandwidth_gbs: memory bandwidth, 10^9 bytes a second.
        lanes: fp32 multiply-accumulates that can start in one cycle, whole device: CUDA cores, or cores x SIMD x ports.
        add_lanes: fp32 additions that can start in one cycle, where they are more than the multiply-accumulates.
        cores: CPU cores that peak and lanes stand for; 1 for other processors.
        sources: figure -> where it was read, or 'recalled', or how it was derived.

    Raises:
        ValueError: a figure has no source, or a source no figure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    processor: Processor
    launch: LaunchClass
    memory_gb: float | None = Field(default=None, gt=0, le=4096)
    peak_tops: dict[Precision, float] = Field(min_length=1)
    bandwidth_gbs: float = Field(gt=0, le=1e5)
    lanes: int = Field(ge=1, le=1_000_000)
    add_lanes: int | None = Field(default=None, ge=1, le=1_000_000)
    cores: int = Field(default=1, ge=1, le=1024)
    sources: dict[str, str]

    @property
    def machines(self) -> tuple[str, ...]:
        """What `platform.machine()` can be on such a device; empty for one that fits into any computer."""
        if self.launch in ("arm-cpu", "embedded-gpu"):
            return ("aarch64", "arm64", "armv8l")
        return ("x86_64", "amd64") if self.launch == "cpu" else ()

    @model_validator(mode="after")
    def _sourced(self) -> Self:
        stated = {name for name in FIGURES if getattr(self, name) is not None}
        if lacking := sorted(stated - set(self.sources)):
            raise ValueError(f"every figure needs a line in sources; none for {', '.join(lacking)}")
        if extra := sorted(set(self.sources) - stated):
            raise ValueError(f"sources names no figure of this file: {', '.join(extra)}")
        if wrong := {k: v for k, v in self.peak_tops.items() if not 0 < v <= 1e5}:
            raise ValueError(f"peak_tops must be above 0 and at most 100000; got {wrong}")
        return self

    def peak(self, precision: Precision, threads: int) -> float:
        """Multiply-accumulates per ms; the fp32 (or else the lowest) peak where the precision has none of its own.

        Args:
            threads: of a CPU; other processors compute as a whole.
        """
        fallback = self.peak_tops.get("fp32", min(self.peak_tops.values()))
        return self.peak_tops.get(precision, fallback) * 1e12 / 2 / 1e3 * self.share(threads)

    def additions(self, precision: Precision, threads: int) -> float:
        """Additions (or comparisons) per ms that nothing is multiplied for."""
        return self.peak(precision, threads) * (self.add_lanes or self.lanes) / self.lanes

    def share(self, threads: int) -> float:
        """Part of the device that `threads` keep busy."""
        return min(threads, self.cores) / self.cores if self.processor == "cpu" else 1.0


class Docker(BaseModel):
    """How a network for this target is packed.

    Args:
        stage: stage of the project's Dockerfile; None where there is none, and `note` says why.
        base_image: image that the stage starts from.
        note: what a user must know.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: Stage | None = None
    base_image: str | None = None
    note: str = ""

    @model_validator(mode="after")
    def _said(self) -> Self:
        if self.stage is None and not self.note:
            raise ValueError("a target without a Docker stage needs a note that says why")
        return self

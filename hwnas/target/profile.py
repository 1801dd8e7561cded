"""The target profile."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from hwnas.target.hardware import Docker, Hardware
from hwnas.target.precision import NetworkPrecision, Precision

RuntimeName = Literal[
    "onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt", "openvino", "openvino-gpu", "openvino-npu", "tensorrt"
]
NAME = r"^[a-z0-9][a-z0-9._-]*$"

__all__ = ["NAME", "Precision", "RuntimeName", "Target"]


class Target(BaseModel):
    """Where a network will run and how. Frozen; written as YAML.

    Args:
        name: short name, as in `--target NAME`.
        description: one line for people.
        runtime: the library that executes the model.
        precision: number format of weights and activations; `mixed` where the graph gives every node its own.
        batch: images per call.
        threads: threads the runtime may use inside an operator.
        cores: logical cores that the process is pinned to while it is timed; None leaves it to the system.
        aliases: other names that find it.
        hardware: public figures of the device; None where only a measurement can tell, as for this machine.
        docker: how a network for it is packed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=NAME, max_length=100)
    description: str = Field(default="", max_length=10_000)
    runtime: RuntimeName = "onnxruntime"
    precision: NetworkPrecision = "fp32"
    batch: int = Field(default=1, ge=1, le=1024)
    threads: int = Field(default=1, ge=1, le=256)
    cores: tuple[Annotated[int, Field(ge=0, le=65_535)], ...] | None = Field(default=None, max_length=4096)
    aliases: tuple[Annotated[str, Field(max_length=100)], ...] = Field(default=(), max_length=100)
    hardware: Hardware | None = None
    docker: Docker | None = None

    @property
    def key(self) -> str:
        """What makes two tables of one device differ, e.g. 'onnxruntime-fp32-b1-t1'."""
        return f"{self.runtime}-{self.precision}-b{self.batch}-t{self.threads}"

    def __str__(self) -> str:
        return f"{self.name}/{self.key}"

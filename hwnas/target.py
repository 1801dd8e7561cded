"""Targets: a device, a runtime, a precision, a batch and a number of threads; one YAML file each."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwnas.errors import InputError, UnknownName

_PACKAGE = Path(__file__).parent

RuntimeName = Literal[
    "onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt", "openvino", "openvino-gpu", "openvino-npu", "tensorrt"
]
Precision = Literal["fp32", "fp16", "bf16", "int8"]


def data_folder(name: str) -> Path:
    """The folder `targets` or `latency_tables`, inside the wheel or at the root of a checkout."""
    packaged = _PACKAGE / "_data" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name


class Target(BaseModel):
    """Where a network will run and how. Frozen; written as YAML.

    Args:
        name: short name, as in `--target NAME`.
        description: one line for people.
        runtime: the library that executes the model.
        precision: number format of weights and activations.
        batch: images per call.
        threads: threads the runtime may use inside an operator.
        cores: logical cores that the process is pinned to while it is timed; None leaves it to the system.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    description: str = ""
    runtime: RuntimeName = "onnxruntime"
    precision: Precision = "fp32"
    batch: int = Field(default=1, ge=1, le=1024)
    threads: int = Field(default=1, ge=1, le=256)
    cores: tuple[int, ...] | None = None

    @property
    def key(self) -> str:
        """What makes two tables of one device differ, e.g. 'onnxruntime-fp32-b1-t1'."""
        return f"{self.runtime}-{self.precision}-b{self.batch}-t{self.threads}"

    def __str__(self) -> str:
        return f"{self.name}/{self.key}"


def names() -> list[str]:
    """Names of the targets that ship, sorted."""
    return sorted(path.stem for path in data_folder("targets").glob("*.yaml"))


def load(name: str, **overrides: object) -> Target:
    """A target by name, or from a YAML file of the user's if `name` ends in .yaml.

    Args:
        overrides: fields to replace; None leaves a field as it is.

    Raises:
        UnknownName: no such target.
        InputError: the file is not a target.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else data_folder("targets") / f"{name}.yaml"
    try:
        found = path.is_file()
    except (OSError, ValueError):  # longer than the file system allows, or holding a zero byte
        found = False
    if not found:
        raise UnknownName("target", name, names(), "Or give the path of a .yaml file.")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        changed = {k: v for k, v in overrides.items() if v is not None}
        return Target.model_validate({**values, **changed})
    except (yaml.YAMLError, TypeError, UnicodeDecodeError) as err:
        raise InputError(f"{path} is not a target file: {err}") from err
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(map(str, first["loc"])) or "target"
        raise InputError(f"{path}: {where}: {first['msg']}; got {first.get('input')!r}") from err

"""The content of a run's run.json: configuration, versions, what every stage found, and a hash of it all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.run.reference import Reference
from hwnas.pipeline.run.spends import Line
from hwnas.validation import FileName, Sha256


class StageRecord(BaseModel):
    """A finished stage: how long it took, what it found, the hashes of the files it made.

    Args:
        beside: how many of its seconds another stage took as well, which was done at the same time.
    """

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(ge=0, le=1e12)
    beside: float = Field(default=0.0, ge=0, le=1e12)
    result: dict[str, Any]
    files: dict[FileName, Sha256]

    @property
    def own_seconds(self) -> float:
        """How much longer the run took by it: those of all stages are the time of the run."""
        return self.seconds - self.beside


class RunState(BaseModel):
    """The content of run.json.

    Args:
        hwnas_run: 1 where the configuration is flat: hwnas 0.1.
        tighten: factor on the latency budget after an exported model measured over it; `attempts`: how often it did.
        tightened: budget of `hwnas.pipeline.run.spends` -> factor, after a result measured over it.
        spends: precision -> budget -> what networks spend of it; of those that were asked for.
        reference: what percentages are of, fixed in stage profile; None before that, and in runs of hwnas 0.1.
        one_for_all: whether the network is to be that of other targets, too, which the run above this one sees to.
        refused: precisions that `auto` tried and that lost too much, or nothing, by the time the model was exported.
    """

    model_config = ConfigDict(extra="forbid")

    hwnas_run: Literal[1, 2] = 2
    config: CompressConfig
    versions: dict[str, str]
    created: str
    stages: dict[str, StageRecord] = Field(default_factory=dict)
    reference: Reference | None = None
    tighten: float = Field(default=1.0, gt=0, le=1)
    attempts: int = Field(default=0, ge=0, le=1000)
    tightened: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(default_factory=dict)
    spends: dict[str, dict[str, Line]] = Field(default_factory=dict)
    one_for_all: bool = False
    refused: list[str] = Field(default_factory=list)
    integrity: str = ""


def digest(state: Mapping[str, Any]) -> str:
    """Hash over everything in a run.json but `integrity`; as it stands there, so that new fields do not matter."""
    text = json.dumps({name: value for name, value in state.items() if name != "integrity"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def versions() -> dict[str, str]:
    """Versions of Python, hwnas and the libraries that its results depend on, of those that are here."""
    found = {"python": platform.python_version()}
    for name in ("hwnas", "numpy", "torch", "onnx", "onnxruntime", "openvino"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found

"""What the user asked of a compress: the configuration that run.json keeps and a config file spells."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from hwnas.target.find import names_a_file


class CompressConfig(BaseModel):
    """What the user asked for. Written into run.json; `--config file.yaml` takes the same keys.

    Args:
        task: `classify`, `detect` or `segment`.
        data: `digits`, a folder, a .npz or a .parquet; of the other tasks a folder, see `hwnas.data`.
        target: name of a target or path of its YAML.
        space: name of a built-in space.
        budgets: `latency`, `flops`, `params`, `memory` -> text, e.g. {"latency": "50%"}; percentages are of the
            reference in fp32, whatever ships.
        runtime, precision, batch, threads: replace those of the target; precision `auto` ships whichever precision of
            the runtime measures within the budget at the best accuracy.
        confidence: probability with which the latency budget is to be met by prediction; None is 0.5.
        require_measured: refuse to estimate the latency of a device without a measured table.
        imgsz: input size in pixels; None takes the data's own.
        width: of the input, where it is not square; of detection and segmentation.
        width_mult, depth: of the space.
        widths: shares of the reference's channels that the result may have, 1 always among them; None takes the
            task's own.
        sizes: heights of the input in pixels that the result may have besides the reference's; of classification and
            detection. None takes the reference's alone.
        init: folder of a run, e.g. of classification, whose weights the reference and the search start from.
        head, head_width: what ends a detector or a segmenter, and its channels; None takes the task's own.
        output_stride: of the coarsest map that a segmenter's head reads, 16 or 32; None takes 16.
        epochs: of training the reference and of fine-tuning the result: the same for both.
        batch_size: images per training step.
        lr: peak learning rate; None takes the task's own.
        attention: factor of the distance of attention between the maps of the reference's backbone and the result's, in
            fine-tuning a detector or a segmenter; None takes the task's own.
        mode, training, warmup, epochs_per_evaluation, cycles, keep, settle: of the search, see
            `hwnas.search.SearchConfig`.
        top: how many of the best architectures are scored again with the shared weights.
        finalists, trial_epochs: how many of those are fine-tuned for a few epochs to choose the winner.
        seed: of everything random.
        torch_threads: threads for training; None takes all cores.
        limit: use at most this many images, training and validation together.
        tables: folder of latency tables; None takes the user's cache.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    task: Literal["classify", "detect", "segment"] = "classify"
    data: str = "digits"
    target: str = "local"
    space: str = "mobile"
    budgets: dict[str, str] = Field(default_factory=lambda: {"latency": "50%"})
    runtime: str | None = None
    precision: str | None = None
    batch: int | None = Field(default=None, ge=1, le=1024)
    threads: int | None = Field(default=None, ge=1, le=256)
    confidence: float | None = Field(default=None, ge=0.5, le=0.9999)
    require_measured: bool = False
    imgsz: int | None = Field(default=None, ge=8, le=1024)
    width: int | None = Field(default=None, ge=8, le=2048)
    width_mult: float = Field(default=1.0, gt=0, le=8)
    widths: tuple[float, ...] | None = None
    sizes: tuple[Annotated[int, Field(ge=8, le=1024)], ...] | None = None
    depth: int | None = Field(default=None, ge=1, le=16)
    init: str | None = None
    head: str | None = None
    head_width: int | None = Field(default=None, ge=8, le=1024)
    output_stride: int | None = Field(default=None, ge=16, le=32)
    epochs: int = Field(default=20, ge=1, le=10**5)
    batch_size: int = Field(default=64, ge=2, le=10**5)
    lr: float | None = Field(default=None, gt=0, le=100)
    attention: float | None = Field(default=None, ge=0, le=10**6)
    mode: Literal["pooled", "corrected", "reference"] = "pooled"
    training: Literal["fair", "path"] = "fair"
    warmup: int = Field(default=10, ge=0, le=10**5)
    epochs_per_evaluation: float = Field(default=0.5, gt=0, le=1000)
    cycles: int = Field(default=2, ge=1, le=10**4)
    keep: int = Field(default=3, ge=1, le=1000)
    settle: int = Field(default=60, ge=0, le=10**6)
    top: int = Field(default=12, ge=1, le=10**4)
    finalists: int = Field(default=4, ge=1, le=10**4)
    trial_epochs: int = Field(default=3, ge=0, le=10**5)
    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    torch_threads: int | None = Field(default=None, ge=1, le=1024)
    limit: int | None = Field(default=None, ge=2, le=10**9)
    tables: str | None = None

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch(cls, given: object, info: ValidationInfo) -> object:
        """`epochs: yes` is no number, though Python takes True for 1."""
        if isinstance(given, bool) and info.field_name != "require_measured":
            raise ValueError("a value is needed, not yes or no")
        return given

    @field_validator("widths", "sizes", mode="before")
    @classmethod
    def _listed(cls, given: object) -> object:
        """'0.75,0.5' as it comes from the command line, or numbers."""
        return [part.strip() for part in given.split(",")] if isinstance(given, str) else given

    @field_validator("widths")
    @classmethod
    def _shares(cls, given: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if given is not None and not all(0 < width <= 1 for width in given):
            raise ValueError("widths are shares of the reference's channels, above 0 and at most 1, e.g. 0.75,0.5")
        return given

    @field_validator("output_stride")
    @classmethod
    def _stride(cls, given: int | None) -> int | None:
        if given not in (None, 16, 32):
            raise ValueError("the stride of the coarsest map is 16 or 32")
        return given

    def anchored(self) -> CompressConfig:
        """The same with absolute paths, so that a run does not depend on the folder where it is gone on with."""
        paths = {name: str(Path(value).expanduser().absolute()) for name in PATHS
                 if (value := getattr(self, name)) is not None and _is_path(name, value)}
        return self.model_copy(update=paths)


PATHS = ("data", "target", "tables", "init")  # fields that may name something on this disk


def _is_path(name: str, value: str) -> bool:
    if name == "target":
        return names_a_file(value)
    if name == "data":  # what is neither a named data set nor there is refused under the name that it was given
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            return value != "digits" and Path(value).expanduser().exists()
        return False
    return True

"""The options of `compress` for those who type them: names that editors and notebooks complete, types they check.

`CompressConfig` is where they are defined and explained; `tests/pipeline/test_options.py` holds the two together.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, ParamSpec, TypedDict, TypeVar

from hwnas.pipeline.config.compress_config import FIELDS

P = ParamSpec("P")
R = TypeVar("R")


class CompressOptions(TypedDict, total=False):
    """Fields of `CompressConfig` under their flat names; what is left out has its default."""

    task: str
    data: str
    target: str | Sequence[str]
    space: str
    budgets: Mapping[str, str | Sequence[str]]
    runtime: str | None
    precision: str | None
    batch: int | None
    threads: int | None
    confidence: float | None
    require_measured: bool
    one_model: bool
    give_up: float
    imgsz: int | None
    width: int | None
    width_mult: float
    widths: Sequence[float] | str | None
    sizes: Sequence[int] | str | None
    depth: int | None
    init: str | None
    head: str | None
    head_width: int | None
    output_stride: int | None
    epochs: int
    time: str | None
    recipe: str | None
    batch_size: int | None
    lr: float | None
    patience: int | None
    accumulate: int
    attention: float | None
    strategy: str
    evaluator: str
    reduce: str
    searcher: str | None
    evaluations: int | None
    evaluation_epochs: int
    evaluation_table: str | None
    bn_scope: str
    cost_target: float | None
    executor: str | None
    search_workers: int
    mode: Literal["pooled", "corrected", "reference"]
    training: Literal["fair", "path"]
    warmup: int
    epochs_per_evaluation: float
    cycles: int
    keep: int | Sequence[str] | str
    settle: int
    top: int
    finalists: int
    trial_epochs: int
    seed: int
    torch_threads: int | None
    accelerator: str
    amp: Literal["no", "bf16", "fp16"]
    compile: bool
    side_by_side: bool | None
    limit: int | None
    tables: str | None
    image_cache: str
    workers: int | None
    track: Sequence[str] | str | None
    loss: str | None
    metric: str | None
    class_weights: str | None
    model: str | None
    mean: Sequence[float] | float | str | None
    std: Sequence[float] | float | str | None
    colour: Literal["rgb", "bgr", "grey"]
    layout: Literal["nchw", "nhwc"]
    fit: Literal["crop", "letterbox", "stretch"]
    crop: float
    contract: str | None
    keep_units: Sequence[str] | str | None
    only: Sequence[str] | str | None
    precision_only: bool
    device: str | None
    device_python: str
    tune_epochs: int | None


def with_options(function: Callable[P, R]) -> Callable[P, R]:
    """Let the signature of a function show its `**options`: the flat names of `CompressConfig`, with defaults."""
    own = inspect.signature(function)
    *known, options = own.parameters.values()
    assert options.kind is options.VAR_KEYWORD, "the last parameter takes the options"
    fields = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=field.annotation,
                                default=field.get_default(call_default_factory=True))
              for name, field in FIELDS.items()]
    setattr(function, "__signature__", own.replace(parameters=[*known, *fields]))  # noqa: B010 - mypy knows no such name
    return function

"""Options as a user gives them, checked before anything is done: types, bounds, and names that must be known."""

from __future__ import annotations

from pydantic import ValidationError

from hwnas.documents import brief
from hwnas.errors import UnknownName, UsageError
from hwnas.pipeline.config.budget import parse_all
from hwnas.pipeline.config.compress_config import CompressConfig


def make_config(options: dict[str, object]) -> CompressConfig:
    """Check options.

    Raises:
        UsageError: an unknown option, a value out of range, or a budget that cannot be read.
        UnknownName: no such space, head, target or precision.
        MissingDependency: the runtime of this machine is not installed.
    """
    from hwnas.pipeline.latencies.latency_sources import targets_of  # ONNX and its helpers, when they are needed
    from hwnas.pipeline.task_setup import check_sizes, head_of
    from hwnas.space import describe

    unknown = [name for name in options if name not in CompressConfig.model_fields]
    if unknown:
        raise UnknownName("option", unknown[0], CompressConfig.model_fields)
    try:
        config = CompressConfig.model_validate(options)
    except ValidationError as err:
        first = err.errors()[0]
        name, *inside = map(str, first["loc"])
        flag = "--" + (inside[0] if name == "budgets" and inside else name).replace("_", "-")
        rule = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{flag}: {rule}; got {brief(first.get('input'))}") from err
    describe(config.space)
    head_of(config)
    check_sizes(config)
    targets_of(config)
    if not parse_all(config.budgets):
        raise UsageError("give at least one budget, e.g. --latency 50%")
    return config

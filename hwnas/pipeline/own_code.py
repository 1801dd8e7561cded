"""What users bring to a compress: a loss, a metric, weights of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hwnas.data.recipe import LOSS_RULE, LOSSES, LossPart, Recipe
from hwnas.errors import UsageError
from hwnas.pipeline.config.compress_config import CompressConfig, is_weights_file
from hwnas.plugins import source_hash
from hwnas.tasks import Words
from hwnas.tasks.own_metric import metric_of
from hwnas.tasks.registry import find
from hwnas.validation import read_yaml

EQUAL, PLAIN = LossPart(), Recipe()


class OwnCodeChanged(UserWarning):
    """A user's loss or metric is not what it was when the run began."""


def loss_of(config: CompressConfig, classes: Sequence[str], recipe: LossPart = EQUAL) -> LossPart:
    """What mistakes cost: as the configuration says, and where it does not, as the recipe.

    Raises:
        UsageError, InputError: weights that are none.
    """
    asked: dict[str, Any] = {"own": config.train.loss} if config.train.loss else {}
    if config.train.class_weights is not None:
        asked["class_weights"] = _weights(config.train.class_weights, classes)
    return recipe.model_copy(update=asked)


def _weights(text: str, classes: Sequence[str]) -> str | dict[str, float]:
    """'balanced', or class -> weight from '1,2,0.5' or a file."""
    if text == "balanced":
        return text
    given: Any = read_yaml(Path(text).expanduser()) if is_weights_file(text) else text.split(",")
    if isinstance(given, list) and len(given) != len(classes):
        raise UsageError(f"--class-weights: {len(given)} weights for {len(classes)} classes "
                         f"({', '.join(classes[:5])}{', ...' if len(classes) > 5 else ''}): give one for each in this "
                         "order, or a file with names")
    rows = dict(zip(classes, given, strict=True)) if isinstance(given, list) else given
    try:
        part = LossPart(class_weights={str(name): float(weight) for name, weight in rows.items()})
    except (AttributeError, TypeError, ValueError) as err:
        raise UsageError(f"--class-weights {text}: it takes balanced, numbers of 0 or more with commas between them, "
                         "or a .yaml or .json of such") from err
    part.weights(classes, list)  # raises for a name that there is not
    assert not isinstance(part.class_weights, str)
    return part.class_weights


def check_own(config: CompressConfig) -> None:
    """A user's loss and metric, before a run does anything.

    Raises:
        UnknownName, UsageError: there is none, it does not import, or takes other arguments.
    """
    if config.train.loss and config.train.class_weights is not None:
        raise UsageError("--class-weights weighs the loss of the task: leave it out with a --loss of your own, or "
                         "weigh in that")
    if config.train.class_weights is not None and not find(config.task).class_weights:
        raise UsageError(f"--class-weights is not for --task {config.task}, whose loss weighs no classes: leave it out")
    own_code(config)


def own_code(config: CompressConfig, recipe: Recipe = PLAIN) -> dict[str, str]:
    """'loss my.losses:focal' -> the hash of its file, empty where it cannot be read; transforms and sampler as well."""
    found = {}
    if config.train.loss:
        found[f"loss {config.train.loss}"] = source_hash(LOSSES.own(config.train.loss, 2, LOSS_RULE)) or ""
    if config.train.metric:
        found[f"metric {config.train.metric}"] = source_hash(metric_of(config.train.metric)) or ""
    return found | {name: source_hash(code) or "" for name, code in recipe.own_code().items()}


def score_words(config: CompressConfig) -> Words:
    """How a report speaks of the score."""
    words = find(config.task).words
    if not config.train.metric:
        return words
    name = config.train.metric.rpartition(":")[2]
    return replace(words, title=name, lead=f"{name} ", scope="")

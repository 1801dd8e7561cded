"""Whether reference and search are made side by side, each with half of the threads of a CPU.

It is decided once, by what does not change from one start to the next, and kept in the run: the bits of a training
depend on its threads. It pays where threads make a step hardly faster, that is for small networks; where neither
training waits long for the other; where both are long enough that a second process has begun before they are over; and
where the images lie decoded in memory twice without harm. `docs/accelerators.md` has what was measured.

Glossary
    work   multiply-accumulates of all forward and backward passes; a backward pass has twice those of a forward one
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from hwnas import launch
from hwnas.data.labelled import LabelledData
from hwnas.data.recipe import Recipe
from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.context import search_config_of
from hwnas.pipeline.duration import search_effort
from hwnas.pipeline.task_setup import training_of
from hwnas.search.evaluators.setting import EvaluatorSetting
from hwnas.search.evaluators.shared import shared_weights
from hwnas.space import Space
from hwnas.tasks import find
from hwnas.train import Accelerator, TrainConfig, Workload

SHARES = 2
SMALL = 1e9  # multiply-accumulates of the reference on a batch; a larger one makes use of more threads
SHORT = 1e11  # work that is done in about ten seconds by a core
UNEVEN = 2 / 3  # of the work of both, that one of them may have
IMAGES_BYTES = 256 * 2**20  # decoded, of one copy


def shares_of(config: CompressConfig, data: LabelledData, space: Space) -> int:
    """Among how many trainings the threads are divided.

    Args:
        data, space: of the run.

    Raises:
        UsageError: there is no accelerator such as the configuration names.
    """
    if launch.world() > 1:
        return 1
    if (asked := config.train.side_by_side) is not None:
        return SHARES if asked else 1
    cpu = Accelerator.find(config.train.accelerator).device.type == "cpu"
    threads = config.train.torch_threads or torch.get_num_threads()
    alone = not cpu or threads < SHARES or config.search.workers > 1  # workers of a search have the cores
    return 1 if alone or not _fit(config, data) or not _pay(config, data, space) else SHARES


def _fit(config: CompressConfig, data: LabelledData) -> bool:
    """Whether decoded images are few enough to lie in memory twice."""
    images = sum(math.prod(part.pixels.shape) for part in data.parts)
    return images * (1 + len(config.space.sizes or ())) <= IMAGES_BYTES


def _pay(config: CompressConfig, data: LabelledData, space: Space) -> bool:
    train = TrainConfig(**training_of(config, Recipe()))
    if train.batch * space.reference.flops > SMALL:
        return False
    work = _work(config, data, space, train)
    return min(work) >= SHORT and max(work) <= UNEVEN * sum(work)


def _work(config: CompressConfig, data: LabelledData, space: Space, train: TrainConfig) -> tuple[float, float]:
    """Of the reference, and of the search."""
    task = Workload.over(find(config.task), data.stand_in(), space)
    setting = EvaluatorSetting(space, task, search_config_of(config, space, train), config.seed)
    # Variants of a size have images of their own, and are counted as if they had not.
    evaluator = shared_weights(replace(setting, config=replace(setting.config, widths=(), sizes=())))
    effort, fold = search_effort(config, setting, evaluator), evaluator.fold
    path = (space.largest().flops + space.smallest().flops) / 2
    judged = len(fold.val_images) + evaluator.batch_norm_images
    reference = 3.0 * space.reference.flops * len(task.train_images) * config.train.epochs
    return reference, path * (3 * effort.epochs * len(fold.train_images) + effort.scores * judged)

"""A task with its data: where batches come from, what a mistake costs, what a teacher says, how good a network is.

Everything that trains or judges a network asks a workload, and knows no task itself.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor, nn

from hwnas.data.feed import WHOLE, Share
from hwnas.data.labelled import LabelledData
from hwnas.data.recipe import Recipe
from hwnas.data.views import ImageView
from hwnas.errors import DataError, UsageError
from hwnas.space import Space
from hwnas.tasks import Metric, Task, task_for
from hwnas.tasks.own_metric import OwnMetric
from hwnas.tasks.task import Batch
from hwnas.train import multilabel, segment  # noqa: F401 - register their objectives
from hwnas.train.accelerator import CPU, Accelerator
from hwnas.train.detect import objective  # noqa: F401 - registers its objective
from hwnas.train.distill import Outputs, Teacher
from hwnas.train.evaluate import outputs_of
from hwnas.train.objective import Weighed, objective_of
from hwnas.train.own_loss import OwnLoss

SMALL = Recipe()
QUICK_VAL = 2000  # validation images looked at after every epoch but the last, which takes all


class Workload:
    """Data with what is to be learnt from it.

    Args:
        task: what is learnt.
        data: as its `load` gives it.
        layout: what the maps of the networks mean, as the task gives it.
        accelerator: where its networks are trained and judged.
        recipe: what is done to training images.
        own_metric: a user's in place of the task's (`hwnas.tasks.own_metric`); empty for the task's.

    Raises:
        UsageError: a recipe that changes images, and a task whose `epoch` takes none; or that weighs mistakes, and a
            task that does not.
    """

    def __init__(self, task: Task, data: LabelledData, layout: Any = None, accelerator: Accelerator = CPU,
                 recipe: Recipe = SMALL, own_metric: str = "") -> None:
        self.task, self.data, self.layout, self.accelerator, self.recipe = task, data, layout, accelerator, recipe
        self.own_metric = own_metric
        if recipe.changes_images and not self._takes("recipe"):
            raise UsageError(f"recipe {recipe.name!r} changes images, and the `epoch` of task {task.name!r} has no "
                             "argument `recipe`: take --recipe small")
        self._objective = objective_of(task, layout, len(data.classes))
        if recipe.loss.weighs:
            if not isinstance(self._objective, Weighed):
                raise UsageError(f"recipe {recipe.name!r}: loss is not for --task {task.name}: leave it out")
            self._objective = self._objective.weighed(recipe.loss, data)
        if recipe.loss.own:
            self._objective = OwnLoss(recipe.loss.own, self._objective)

    @classmethod
    def over(cls, task: Task, data: LabelledData, space: Space, accelerator: Accelerator = CPU,
             recipe: Recipe = SMALL, own_metric: str = "") -> Workload:
        """The workload of the networks of a space."""
        return cls(task, data, task.head_layout(space), accelerator, recipe, own_metric)

    def with_recipe(self, recipe: Recipe) -> Workload:
        """The same, trained by another recipe."""
        return Workload(self.task, self.data, self.layout, self.accelerator, recipe, self.own_metric)

    @property
    def train_images(self) -> ImageView:
        """uint8 (N, H, W, C), decoded when they are indexed, unless they are kept decoded."""
        return self.data.parts[0].pixels

    @property
    def val_images(self) -> ImageView:
        """uint8 (M, H, W, C), alike."""
        return self.data.parts[1].pixels

    @cached_property
    def metric(self) -> Metric:
        """The truth about the validation images."""
        found = self.task.metric(self.data, self.layout)
        return OwnMetric(found, self.own_metric) if self.own_metric else found

    @property
    def remembers(self) -> bool:
        """Whether a teacher's outputs are small enough to be kept."""
        return self.task.remembers

    def epoch(self, batch: int, rng: np.random.Generator) -> Iterator[Batch]:
        """One pass over the augmented training images, of each batch this process' part: uint8 (n, H, W, C), targets.

        Raises:
            UsageError: several processes, and a task whose `epoch` does not share.
        """
        share = Share(self.accelerator.rank, self.accelerator.world)
        if share != WHOLE and not self._takes("share"):
            raise UsageError(f"task {self.task.name!r} is trained by one process: its `epoch` has no argument `share` "
                             "(`hwnas.data.Feed.epoch` shows what it does)")
        asked: dict[str, Any] = {} if share == WHOLE else {"share": share}
        if self.recipe.changes_images:
            asked["recipe"] = self.recipe
        return self.task.epoch(self.data, batch, rng, **asked)

    def _takes(self, argument: str) -> bool:
        """Whether the task's `epoch` has an argument that an older one may lack."""
        return argument in inspect.signature(self.task.epoch).parameters

    def loss(self, outputs: Outputs, targets: Any, smoothing: float) -> Tensor:
        """What the mistakes of a batch cost, a scalar; `smoothing` is of the labels where the task has some."""
        return self._objective.loss(outputs, targets, smoothing)

    def distilled(self, outputs: Outputs, taught: Outputs, plain: Tensor, teacher: Teacher) -> Tensor:
        """The loss with a teacher: `taught` is what it gives for the batch, `plain` the loss without it."""
        return self._objective.distilled(outputs, taught, plain, teacher)

    def prepare(self, net: nn.Module) -> None:
        """Set what a new network should start from, in place."""
        self._objective.prepare(net)

    def taken(self, train: np.ndarray, val: np.ndarray) -> Workload:
        """The same on training images `train`, judged on training images `val`; both are indices."""
        return self.on(self.data.taken(train, val))

    def on(self, data: LabelledData) -> Workload:
        """The same task on other data of its kind."""
        return Workload(self.task, data, self.layout, self.accelerator, self.recipe, self.own_metric)

    def fold(self, holdout: float, seed: int, *, turned: bool = False) -> Workload:
        """The training set split in two: weights are trained on one part, architectures judged on the other.

        The validation set is never touched by a search, so that it stays an honest judge of the result.

        Args:
            holdout: share of the training images that judges, at least one image.
            turned: the parts exchanged: batches of the images that judge, for what is learnt from these.
        """
        order = np.random.default_rng((seed, 1)).permutation(len(self.train_images))
        cut = min(max(1, round(holdout * len(order))), len(order) - 1)
        train, val = np.sort(order[cut:]), np.sort(order[:cut])
        return self.taken(val, train) if turned else self.taken(train, val)

    def steps(self, batch: int) -> int:
        """Batches an epoch."""
        return max(1, math.ceil(len(self.train_images) / batch))

    def score(self, net: nn.Module, *, quick: bool = False) -> float:
        """The metric in percent on the validation images, or on the first `QUICK_VAL` of them."""
        count = QUICK_VAL if quick else len(self.val_images)
        return self.metric.first(count).score(outputs_of(net, self.val_images[:count], self.accelerator))

    def check_trainable(self) -> None:
        """Raises DataError unless there are two images to train on."""
        if len(self.train_images) < 2:
            raise DataError(f"{self.data.source}: {len(self.train_images)} image is left to train on: add images")


def workload_of(data: LabelledData | Workload, layout: Any = None) -> Workload:
    """What a data set is made to be learnt for; a workload stays what it is.

    Args:
        layout: of the maps of a head.

    Raises:
        UsageError: no task learns from such data.
    """
    return data if isinstance(data, Workload) else Workload(task_for(data), data, layout)

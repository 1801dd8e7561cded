"""What evaluators of networks are made of, and what a pipeline asks of them beyond scores."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from hwnas.errors import InputError, UsageError
from hwnas.nets import Network
from hwnas.search.roles import Evaluator
from hwnas.search.strategy import Choice, Score
from hwnas.space import Architecture, Space
from hwnas.train import Workload

if TYPE_CHECKING:
    from hwnas.search.config import SearchConfig


@dataclass(frozen=True)
class EvaluatorSetting:
    """What an evaluator of networks may need.

    Args:
        space: what is searched.
        task: what is learnt, before it is folded.
        config: of the search.
        seed: of everything random.
        smaller: the task at every one of the sizes of `config`.
    """

    space: Space
    task: Workload
    config: SearchConfig
    seed: int = 0
    smaller: Mapping[int, Workload] = field(default_factory=dict)

    def folds(self) -> dict[int, Workload]:
        """Height of the input (0: the space's own) -> the task on the part of the training set that trains, judged on
        the other."""
        tasks = {0: self.task} | {size: self.smaller[size] for size in self.config.sizes}
        return {size: task.fold(self.config.holdout, self.seed) for size, task in tasks.items()}


class NoScore(InputError):
    """The evaluator cannot score this architecture, whatever it is worth."""


class NetworkEvaluator(Evaluator):
    """An evaluator that has the data, so that what was found can be scored again and trained on.

    Attributes:
        fold: the task as the search sees it, at the space's own size.
        searcher: who leads where none is named; empty for `weight_sharing` where weights move, else `ask_tell`.
    """

    searcher: ClassVar[str] = ""

    fold: Workload

    @abstractmethod
    def fold_of(self, space: Space) -> Workload:
        """The fold whose images have the size that networks of `space` take.

        Raises:
            UsageError: there is none.
        """

    @abstractmethod
    def score(self, choice: Sequence[int], scaled: Space | None = None) -> float:
        """The score of an architecture of the searched space, or of `scaled` where that is given.

        Raises:
            NoScore: it has none that could be told.
        """

    @abstractmethod
    def network(self, arch: Architecture) -> Network:
        """`arch` with the weights that fine-tuning starts from."""

    def evaluate(self, arch: Choice, space: Space) -> Score:
        return Score(self.score(arch))


def fold_of(space: Space, known: Sequence[tuple[Space, Workload]]) -> Workload:
    """The task whose images have the size of `space`; UsageError if there is none."""
    for other, fold in known:
        if other.config.size == space.config.size:
            return fold
    raise UsageError(f"the search knows no images of {space.config.size}: name the size when it starts (--sizes)")

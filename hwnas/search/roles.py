"""The roles around a strategy: what scores an architecture, where that is computed, what is left of a space, who leads.

    role        question                                        ours                       entry points
    Evaluator   what is this architecture worth?                shared, scratch, table,    hwnas.evaluators
                                                                bn, partial
    Executor    where is that computed?                         inline, processes          hwnas.executors
    Reducer     which candidates are left?                      migo, angle, classes,      hwnas.reducers
                                                                evolve, none
    Searcher    from a space to a distribution                  ask_tell, weight_sharing,  hwnas.searchers
                                                                additive, darts, entrannas,
                                                                fpnas, gdas, parsec, ...

A role is looked up by name: behind it is a function or class that is called with what its role needs (`create_*`).
None of them imports torch before it has to.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hwnas.errors import RunError, UsageError
from hwnas.plugins import Plugins
from hwnas.progress import Progress, silent
from hwnas.search.cycle import Protected
from hwnas.search.distribution import BoolArray, Distribution
from hwnas.search.effort import Effort
from hwnas.search.journal import Journal
from hwnas.search.strategy import Ask, Choice, Failed, Score, Strategy
from hwnas.tracking.tracker import Curve, no_curve

if TYPE_CHECKING:
    from hwnas.space import Space

Mask = Sequence[BoolArray]
"""Per choice of a space which ops are left, a row of K_i truth values with at least one True."""


class Evaluator(ABC):
    """Gives an architecture its score; larger is better.

    Attributes:
        weights_move: whether it trains weights that all architectures share, so that scores of different moments are
            not alike. Such a one is asked in this process, one architecture after the other.
    """

    weights_move: ClassVar[bool] = False

    @abstractmethod
    def evaluate(self, arch: Choice, space: Space) -> Score:
        """The score of one architecture.

        Args:
            arch: op index per choice of `space`.

        Raises:
            HwnasError: it has none, e.g. TrainingDiverged; the strategy is told that it failed.
        """

    def effort(self) -> Effort:
        """What one score takes; by itself a pass over the images that judge: an evaluator that trains says more."""
        return Effort(scores=1)


class Executor(ABC):
    """Computes evaluations. A context manager: at its end nothing of it runs any more.

    Args:
        workers: how many evaluations are out at once.
    """

    workers: int

    @abstractmethod
    def submit(self, ask: Ask) -> None:
        """Take an evaluation on."""

    @abstractmethod
    def completed(self) -> tuple[Ask, Score | Failed]:
        """Wait for one of those taken on, in any order. A worker that dies is an evaluation that failed.

        Raises:
            UsageError: nothing was taken on.
        """

    @abstractmethod
    def close(self) -> None:
        """End what runs; what was taken on is not finished."""

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class SearchOutcome:
    """What a search came to.

    Args:
        distribution: over the architectures of the space, for DPNG.
        best: the best evaluated architecture and its score; None where every evaluation failed.
        evaluated: architectures and scores in the order they were told.
        failed: architectures whose evaluation failed, and why.
    """

    distribution: Distribution
    best: tuple[Choice, float] | None
    evaluated: Sequence[tuple[Choice, float]] = ()
    failed: Sequence[tuple[Choice, str]] = ()


class Reducer(ABC):
    """Says which candidates of a space are left after a search.

    The answer is a mask: op indices, tables, logs and shared weights of the space stay what they are.
    """

    @abstractmethod
    def reduce(self, space: Space, outcome: SearchOutcome) -> Mask:
        """Which ops of every choice are left, among the live ones of the outcome."""


class StagedReducer(Reducer):
    """Shrinks a space while shared weights are trained, before a strategy is asked (`hwnas.search.shrinking`).

    Attributes:
        stages: how many there are.
        scored: architectures that are scored in each, about.
        renews: whether every stage begins with the weights that the first one began with, and trains as long; else a
            stage goes on where the one before it ended, for a few epochs.
    """

    stages: ClassVar[int] = 1
    scored: ClassVar[int] = 0
    renews: ClassVar[bool] = False

    def first(self, space: Space) -> Mask:
        """What the first stage can use; all of it, where a subclass does not say otherwise.

        Raises:
            UsageError: it is for other spaces.
        """
        return [np.ones(k, dtype=np.bool_) for k in space.sizes]

    def begin(self, evaluator: Evaluator) -> None:
        """See the weights before any of them is trained; before `load`, too."""

    def fold(self, whole: Any, stage: int) -> Any:
        """What a stage trains and judges on, a part of what the search has (a `hwnas.train.Workload`).

        Raises:
            UsageError: there is no such part of this task or these images.
        """
        return whole

    @abstractmethod
    def shrink(self, space: Space, live: Mask, stage: int, evaluator: Evaluator) -> Mask:
        """Which ops the next stage, or the search, can use after a stage has trained its own.

        With what is protected, and after the last stage a part of `live`; before it other ops may come in.

        Args:
            stage: 0-based.
        """

    def tensors(self) -> dict[str, Any]:
        """What of its state is tensors."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """The rest of it: dicts, lists, numbers and strings only."""
        return {}

    def load(self, state: Mapping[str, Any], tensors: Mapping[str, Any]) -> None:
        """Go on where `state_dict` and `tensors` were taken."""


@dataclass(frozen=True)
class SearchContext:
    """What a searcher works with.

    Args:
        space: what is searched.
        strategy: fresh, or as a killed search left it.
        evaluator, executor, reducer: the other roles; the executor was made for this evaluator.
        journal: what a killed search left, and where this one keeps what it does.
        told: called after every answer, e.g. to log it and to save the state of the strategy.
        before: architectures and scores that a killed search had told the strategy, and `failed`: those that had none,
            and why.
        progress: of the search.
        curve: told of every round of training.
    """

    space: Space
    strategy: Strategy
    evaluator: Evaluator
    executor: Executor
    reducer: Reducer
    journal: Journal = field(default_factory=Journal)
    told: Callable[[Ask, Score | Failed], None] = field(default=lambda ask, answer: None)
    before: Sequence[tuple[Choice, float]] = ()
    failed: Sequence[tuple[Choice, str]] = ()
    progress: Progress = silent
    curve: Curve = no_curve


@dataclass(frozen=True)
class SearchBudget:
    """How much a searcher may do.

    Args:
        evaluations: at most; the strategy's own plan is not exceeded either. None leaves it to the strategy.
        batch: asks that may be out at once; None takes the workers of the executor.
    """

    evaluations: int | None = None
    batch: int | None = None


class Searcher(ABC):
    """From a space to a distribution over its architectures.

    Attributes:
        asks: whether it asks the strategy; one that does not learns by itself what is worth its time.
    """

    asks: ClassVar[bool] = True

    @abstractmethod
    def run(self, context: SearchContext, budget: SearchBudget) -> SearchOutcome:
        """Search; the same context, budget and seed give the same outcome, whatever the executor.

        Raises:
            RunError: every evaluation failed.
            UsageError: roles that do not go together.
        """

    def effort(self, evaluator: Evaluator, evaluations: int) -> Effort:
        """What a search takes that scores so many architectures."""
        return evaluator.effort() * evaluations

    def state_dict(self) -> dict[str, Any]:
        """What it has learnt itself, beside strategy and shared weights: dicts, lists, numbers and strings only."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken, bit for bit.

        Raises:
            RunError: it is broken, or of another search.
        """
        if state:
            raise RunError(f"the saved search has the state of another searcher ({', '.join(sorted(state))}): start a "
                           "new run")


EVALUATORS = Plugins("evaluator", "hwnas.evaluators", {
    "bn": "hwnas.search.evaluators.batch_norm:batch_norms",
    "partial": "hwnas.search.evaluators.partial:partial_channels",
    "scratch": "hwnas.search.evaluators.scratch:ScratchEvaluator",
    "shared": "hwnas.search.evaluators.shared:shared_weights",
    "table": "hwnas.search.evaluators.table:table_of_a_log",
})
EXECUTORS = Plugins("executor", "hwnas.executors", {
    "inline": "hwnas.search.executors.inline:Inline",
    "processes": "hwnas.search.executors.processes:Processes",
})
REDUCERS = Plugins("reducer", "hwnas.reducers", {
    "angle": "hwnas.search.reducers.angle:AngleShrinking",
    "classes": "hwnas.search.reducers.classes:ClassShrinking",
    "evolve": "hwnas.search.reducers.evolve:EvolvingSubsets",
    "migo": "hwnas.search.reducers.migo:MigoPruning",
    "none": "hwnas.search.reducers.none:NoReduction",
})
SEARCHERS = Plugins("searcher", "hwnas.searchers", {
    "additive": "hwnas.search.additive:additive",
    "ask_tell": "hwnas.search.ask_tell:ask_and_tell",
    "darts": "hwnas.search.differentiable.searcher:darts",
    "darts2": "hwnas.search.differentiable.unrolled:darts2",
    "entrannas": "hwnas.search.differentiable.searcher:entrannas",
    "entrannas_dst": "hwnas.search.differentiable.searcher:entrannas_dst",
    "fpnas": "hwnas.search.differentiable.evidence:fpnas",
    "gdas": "hwnas.search.differentiable.searcher:gdas",
    "parsec": "hwnas.search.differentiable.evidence:parsec",
    "pcdarts": "hwnas.search.differentiable.searcher:pcdarts",
    "proxylessnas": "hwnas.search.differentiable.searcher:proxylessnas",
    "weight_sharing": "hwnas.search.weight_sharing:shared_weights",
})


def create_evaluator(name: str, setting: object) -> Evaluator:
    """An evaluator by name.

    Args:
        setting: what it is made of, of networks an `evaluators.setting.EvaluatorSetting`.

    Raises:
        UnknownName: no such evaluator.
        UsageError: the entry point does not import or gives no Evaluator, or the setting lacks what it needs.
    """
    made: Evaluator = _made(EVALUATORS, name, Evaluator, setting)
    return made


def create_executor(name: str, evaluator: Evaluator, space: Space, workers: int = 1) -> Executor:
    """An executor by name, for one evaluator.

    Raises:
        as `create_evaluator`; UsageError: one that computes elsewhere, or several at once, for weights that move.
    """
    if evaluator.weights_move and (name != "inline" or workers != 1):
        raise UsageError("shared weights change from one evaluation to the next, so they are scored one "
                         f"by one in this process, not {workers} at once by {name}: take the executor inline, or the "
                         "evaluator scratch")
    made: Executor = _made(EXECUTORS, name, Executor, evaluator, space, workers)
    return made


def create_reducer(name: str, keep: int, protect: Protected | None = None) -> Reducer:
    """A reducer by name; raises as `create_evaluator`.

    Args:
        keep: how many ops of every choice should be left.
        protect: per choice an op that is to stay, or several.
    """
    made: Reducer = _made(REDUCERS, name, Reducer, keep, protect)
    return made


def create_searcher(name: str, setting: object) -> Searcher:
    """A searcher by name; arguments and errors as of `create_evaluator`."""
    made: Searcher = _made(SEARCHERS, name, Searcher, setting)
    return made


def _made(plugins: Plugins, name: str, role: type, *given: Any) -> Any:
    make = plugins.find(name)
    made = make(*given) if callable(make) else make
    if not isinstance(made, role):
        raise UsageError(f"{plugins.kind} {name!r} gave {made!r}; it must give a hwnas.search.roles.{role.__name__}")
    return made

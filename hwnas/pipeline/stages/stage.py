"""What a stage of compress is: it reads what earlier ones left in the run folder and leaves its own files there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol

from hwnas.pipeline.run.results import Found, StageResult

if TYPE_CHECKING:
    from hwnas.data.reading import Reading
    from hwnas.pipeline.beside import Beside
    from hwnas.pipeline.run.folder import RunFolder
    from hwnas.tracking.record import Tracking


class StageContext(Protocol):
    """What carries out stages knows of what they share; a search and a user's own network share different things."""

    @property
    def run(self) -> RunFolder:
        """The folder."""

    @property
    def reading(self) -> Reading:
        """How images are read."""

    @property
    def tracking(self) -> Tracking:
        """Who is told."""

    def check(self) -> None:
        """Raises HwnasError where the run cannot go on, before anything is done."""

    @property
    def beside(self) -> Beside | None:
        """The second process, where a stage may be done in it at the same time."""

    def doing(self, stage: Stage[Any]) -> AbstractContextManager[None]:
        """Inside the block a stage is done."""

    def perform(self, stage: Stage[Any], following: Sequence[Stage[Any]], hook: Callable[[str, str, float], None]
                ) -> tuple[StageResult, float]:
        """Do it: what it found, and the seconds that it took."""


class Stage(ABC, Generic[Found]):
    """One step from data to report; has no state of its own, so that a killed run goes on with a new one.

    Args:
        name: as in run.json, and of what the results are told under.
        together: whether all processes that were started do it, and rank 0 alone writes; else rank 0 does it.
        beside: the stage next to it that can be done at the same time, as neither needs what the other leaves; each
            then has its share of the threads (`hwnas.pipeline.shares`). Empty for none.
    """

    name: ClassVar[str]
    together: ClassVar[bool] = False
    beside: ClassVar[str] = ""

    @abstractmethod
    def run(self, context: Any) -> Found:
        """Do it, and say what was found.

        Args:
            context: of the kind of run that its table is for.

        Raises:
            HwnasError: whatever went wrong, with the way out.
            Again: an earlier stage has to be done again first.
        """

    @abstractmethod
    def leaves(self, found: Found) -> Sequence[str]:
        """Names of the files in the run folder that it made; their hashes go on record."""


class Again(Exception):
    """What an earlier stage decided does not hold: the run goes back to it.

    Args:
        stage: the name of the first one to repeat.
    """

    stage: ClassVar[str]

    def amend(self, run: RunFolder) -> None:
        """Write into the state of a run what the stage has to do otherwise.

        Raises:
            HwnasError: there is nothing left to try.
        """
        raise NotImplementedError

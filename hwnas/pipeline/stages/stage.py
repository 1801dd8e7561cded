"""What a stage of compress is: it reads what earlier ones left in the run folder and leaves its own files there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Generic

from hwnas.pipeline.run.results import Found

if TYPE_CHECKING:
    from hwnas.pipeline.context import RunContext
    from hwnas.pipeline.run.folder import RunFolder


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
    def run(self, context: RunContext) -> Found:
        """Do it, and say what was found.

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

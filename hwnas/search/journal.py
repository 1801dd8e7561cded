"""Where a searcher keeps what it did, so that a search that was killed goes on."""

from __future__ import annotations

from hwnas.search.log import SearchLog


class Journal:
    """In memory: a search that was killed begins again. `hwnas.search.resumable` has the one in a folder.

    Attributes:
        log: every evaluation.
        rounds: of training that were made before this run of the search.
    """

    def __init__(self, log: SearchLog | None = None) -> None:
        self.log = SearchLog() if log is None else log
        self.rounds = 0

    def save(self, rounds: int) -> None:
        """So many rounds are made: keep shared weights, strategy and searcher as they are now."""

    def restore(self) -> None:
        """Bring shared weights and their statistics back to those of the last round: a score moves statistics, and a
        search that was killed later has not scored."""

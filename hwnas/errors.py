"""Every error a user can meet, and the exit code it ends the command line with.

HwnasError                    1   anything below
├── UsageError                2   a flag, a unit, a name that does not exist
│   ├── UnknownName           2   ... with the known names and the nearest one
│   └── WorkLimitReached      2   a limit on work or time ended a search before it had any answer
├── InputError                2   a file that is not what it should be
│   ├── DataError             2   images, labels, folders
│   ├── ImageError            2   an image that cannot be read; carries why
│   ├── TableError            2   a latency table: schema, broken line
│   │   └── MissingEntry      2   a signature the table does not hold
│   └── RunError              2   a run folder: tampered, incomplete, from another version
├── MissingDependency         2   an optional library that the task needs
├── BudgetInfeasible          3   no architecture meets the budgets; carries the least achievable costs
├── TrainingDiverged          1   the loss became NaN or infinite
├── VerificationFailed        4   the exported model failed its check
└── SomeBudgetsFailed         1   of several budgets not all have a network; or the highest code of theirs, 3 or 4

A message is the rule, the value and the way out, in one or two lines.
"""

from __future__ import annotations

import difflib
import os
import traceback
from collections.abc import Iterable, Mapping

_SHOWN = 100


class HwnasError(Exception):
    """Base of all errors raised on purpose by hwnas."""

    exit_code = 1

    def _render_traceback_(self) -> list[str]:
        """What IPython and Jupyter show in place of a traceback: the message, which says the way out."""
        if os.environ.get("HWNAS_DEBUG"):
            return traceback.format_exception(type(self), self, self.__traceback__)
        notes = getattr(self, "__notes__", [])
        way_in = "(%debug goes to the place; HWNAS_DEBUG=1 shows it)"
        told = "\n".join([f"{type(self).__name__}: {self}", *notes, way_in])
        return ["".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in told)]


class UsageError(HwnasError):
    """The request itself is wrong: a flag, a unit, a value out of range."""

    exit_code = 2


class UnknownName(UsageError):
    """A name that is not in a registry; lists what is and suggests the nearest."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        shown = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}..."  # it may come from a file
        nearest = difflib.get_close_matches(shown, self.known, n=1, cutoff=0.4)
        guess = f" Did you mean {nearest[0]!r}?" if nearest else ""
        tail = f" {hint}" if hint else ""
        super().__init__(
            f"unknown {kind} {shown!r}.{guess} Known: {', '.join(self.known) or 'none'}.{tail}"
        )


class WorkLimitReached(UsageError):
    """A limit on work or time ended a search before any answer was found."""


class InputError(HwnasError):
    """A file or folder that is not what it should be."""

    exit_code = 2


class DataError(InputError):
    """Images, labels or folders that cannot be used."""


class ImageError(InputError):
    """An image that cannot be read.

    Attributes:
        reason: why, without the name.
        kind: "unknown", it is no image; "large", it has too many pixels; "damaged", the rest.
    """

    def __init__(self, name: str, reason: str = "", kind: str = "damaged") -> None:
        # With one text that text is the message: a file that is missing, a pipe.
        self.reason, self.kind = reason or name, kind
        super().__init__(f"{name} cannot be read as an image: {reason}" if reason else name)


class TableError(InputError):
    """A latency table that cannot be read."""


class MissingEntry(TableError):
    """A signature that the table of a target does not hold."""

    def __init__(self, signature: str, target: str, way_out: str, others: int = 0) -> None:
        self.signature, self.target = signature, target
        more = f" (and {others} more)" if others else ""
        super().__init__(f"no entry for {signature}{more} on {target}: {way_out}")


class RunError(InputError):
    """A run folder that was tampered with, is incomplete or cannot be resumed."""


class MissingDependency(HwnasError):
    """An optional library is not installed."""

    exit_code = 2

    def __init__(self, library: str, needed_for: str, install: str) -> None:
        self.library = library
        super().__init__(f"{needed_for} needs {library}, which is not installed: {install}")


class BudgetInfeasible(HwnasError):
    """No architecture meets the budgets.

    Attributes:
        least: cost name -> least achievable total cost, fixed part included (same unit as the budget).
        budgets: cost name -> the budget asked for.
    """

    exit_code = 3

    def __init__(
        self, message: str, least: Mapping[str, float], budgets: Mapping[str, float]
    ) -> None:
        self.least, self.budgets = dict(least), dict(budgets)
        super().__init__(message)


class TrainingDiverged(HwnasError):
    """The loss became NaN or infinite."""


class VerificationFailed(HwnasError):
    """The exported model failed its check: parity, agreement or the measured budget."""

    exit_code = 4


class SomeBudgetsFailed(HwnasError):
    """Of several budgets or targets not all have a network; those of the others were made.

    Attributes:
        failed: budget, or target and budget, in words -> why it has none.
        exit_code: the highest of their errors.
    """

    def __init__(self, message: str, failed: Mapping[str, str], exit_code: int) -> None:
        self.failed, self.exit_code = dict(failed), exit_code
        super().__init__(message)

    @classmethod
    def of(cls, failed: Mapping[str, str], count: int, exit_code: int, what: str = "budgets") -> SomeBudgetsFailed:
        """Of `count` budgets, or of targets, those that failed, with the reasons."""
        others = "; the others are not touched by that" if len(failed) < count else ""
        reasons = "; ".join(f"{told}: {why}" for told, why in failed.items())
        return cls(f"{len(failed)} of {count} {what} {'has' if len(failed) == 1 else 'have'} no network{others}. "
                   f"{reasons}", failed, exit_code)

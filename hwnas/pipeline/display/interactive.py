"""Whether a person is watching, and what they see then: a notebook or an interpreter shows progress, a script is quiet.

A notebook gets one output that is rewritten in place, without a widget; an interpreter what the command line shows.
"""

from __future__ import annotations

import html
import importlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from hwnas.documents import printable
from hwnas.errors import BudgetInfeasible, SomeBudgetsFailed, TrainingDiverged
from hwnas.pipeline.display.stage_lines import branch_heading, ended, heading
from hwnas.pipeline.display.watch import Lines, Watch, watching
from hwnas.pipeline.engine import HookOf, StageHook, quiet
from hwnas.progress import Progress, silent

if TYPE_CHECKING:
    from hwnas.pipeline.run.folder import RunFolder

EVERY_SECONDS = 1.0  # between two states of an output


def session() -> Literal["notebook", "interpreter", "script"]:
    """Where this process is run. A kernel of Jupyter is a notebook, IPython or a prompt of Python an interpreter."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None and hasattr(shell, "kernel"):
        return "notebook"
    return "interpreter" if shell is not None or hasattr(sys, "ps1") else "script"


@contextmanager
def shown(run: RunFolder, progress: Progress | None, hook: StageHook | None) -> Iterator[tuple[Progress, HookOf]]:
    """What is told of a run while it works.

    Args:
        progress, hook: of the caller; what is None is chosen: something to see where a person watches, else silence.

    Yields:
        What to call, and what gives the hook of the run and of its branches.
    """
    where = session()
    if progress is not None or where == "script":
        yield progress or silent, lambda _: hook or quiet
        return
    with _watch(where) as watch:
        for line in heading(run):
            watch.say(line)
        try:
            yield watch.progress, (lambda _: hook) if hook else hooks(watch, run)
        except (Exception, KeyboardInterrupt) as err:
            _way_on(run, err)
            raise


def hooks(watch: Watch, whole: RunFolder) -> HookOf:
    """Hooks that tell a person of the stages of a run, and of those of its branches."""
    def hook_of(run: RunFolder) -> StageHook:
        if run.path != whole.path:
            watch.say(branch_heading(run))

        def tell(stage: str, event: str, seconds: float) -> None:
            if event == "start":
                watch.progress(stage, 0, 0)
                return
            for line in ended(stage, event, seconds, run):
                watch.say(line)

        return tell

    return hook_of


def _way_on(run: RunFolder, err: BaseException) -> None:
    if isinstance(err, BudgetInfeasible | SomeBudgetsFailed) and "search" in run.state.stages:
        err.add_note(f'The search is kept: ask it for another budget with hwnas.pick({str(run.path)!r}, {{"latency": '
                     '"..."}})')
    elif isinstance(err, BudgetInfeasible | SomeBudgetsFailed) and "score" in run.state.stages:
        err.add_note("Times and losses of its units are kept: another budget is quick with "
                     f'hwnas.retarget({str(run.path)!r}, "OUT", {{"latency": "..."}})')
    elif run.state.stages and not isinstance(err, TrainingDiverged):
        err.add_note(f"What is done is kept. Go on with hwnas.resume({str(run.path)!r})")


@contextmanager
def _watch(where: str) -> Iterator[Watch]:
    if where == "notebook":
        cell = Cell()
        try:
            yield cell
        finally:
            cell.close()
        return
    with watching(False) as watch:
        yield watch


class Cell(Lines):
    """One output of a notebook: a line for every finished stage, and below them how far the present one is, and what is
    done beside it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock, EVERY_SECONDS)
        self._lines: list[str] = []
        self._notes: dict[bool, str] = {}  # whether it is done beside -> how far it is
        self._shown: Any = None

    def note(self, text: str, aside: bool) -> None:
        """A line at the end, until the next one on the same."""
        self._notes[aside] = text
        self._show()

    def say(self, text: str) -> None:
        """A line that stays."""
        self._lines.append(text)
        self._notes.clear()
        self._show()

    def close(self) -> None:
        """Nothing is being done any more."""
        if self._notes:
            self._notes.clear()
            self._show()

    def _show(self) -> None:
        display = importlib.import_module("IPython.display").display
        notes = [self._notes[aside] for aside in sorted(self._notes)]
        text = "\n".join(printable(line) for line in [*self._lines, *notes])
        bundle = {"text/plain": text, "text/html": f"<pre>{html.escape(text)}</pre>"}
        if self._shown is None:
            self._shown = display(bundle, raw=True, display_id=True)
        else:
            self._shown.update(bundle, raw=True)

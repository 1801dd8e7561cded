"""Carrying out the stages of a run with a header, progress, and the way on if it ends early."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hwnas.errors import BudgetInfeasible, HwnasError, SomeBudgetsFailed, TrainingDiverged
from hwnas.pipeline.commands import resume_command, shell
from hwnas.pipeline.display.interactive import hooks
from hwnas.pipeline.display.stage_lines import heading
from hwnas.pipeline.display.watch import Watch, watching
from hwnas.pipeline.own_code import OwnCodeChanged
from hwnas.tracking.record import TrackingWarning

if TYPE_CHECKING:
    from hwnas.pipeline import RunFolder


def carry_out(run: RunFolder, *, until: str | None = None, lines: bool = False) -> None:
    """Do the stages of `run` that are not done and tell about each.

    Args:
        until: the last stage to do; None does all.
        lines: plain lines even on a terminal.
    """
    from hwnas.pipeline.job import compress_run

    with watching(lines) as watch:
        for text in heading(run):
            watch.say(text)
        try:
            with _telling(watch):
                compress_run(run, until=until, progress=watch.progress, hook_of=hooks(watch, run))
        except (Exception, KeyboardInterrupt) as err:
            _way_on(run, err)
            raise


@contextmanager
def _telling(watch: Watch) -> Iterator[None]:
    """Inside the block it is said, once each, when a tracker is left out or a user's code changed."""
    with warnings.catch_warnings():
        before = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, TrackingWarning | OwnCodeChanged):
                watch.say(f"warning: {message}")
            else:
                before(message, category, *place, **more)

        for kind in (TrackingWarning, OwnCodeChanged):
            warnings.simplefilter("always", kind)
        warnings.showwarning = show
        yield


def _way_on(run: RunFolder, err: BaseException) -> None:
    """Note on the error how to go on, where that helps."""
    if isinstance(err, SomeBudgetsFailed) and err.exit_code != BudgetInfeasible.exit_code:
        err.add_note(f"To try those again: {resume_command(run.path)}")
    elif isinstance(err, BudgetInfeasible | SomeBudgetsFailed) and "search" in run.state.stages:
        ask = shell("hwnas", "generate", run.path)
        err.add_note(f"The search is kept: ask it for another budget with `{ask} --latency ...`")
    elif isinstance(err, BudgetInfeasible | SomeBudgetsFailed) and "score" in run.state.stages:
        again = shell("hwnas", "compress", "--from", run.path)
        err.add_note(f"Times and losses of its units are kept: another budget is quick with `{again} --latency ...`")
    elif not run.state.stages or isinstance(err, TrainingDiverged):
        return  # nothing to go on from, or it would end the same way
    elif isinstance(err, KeyboardInterrupt | OSError) or "cannot write" in str(err) or _passing(err):
        err.add_note(f"What is done is kept. Go on with: {resume_command(run.path)}")
    elif not isinstance(err, HwnasError):
        err.add_note(f"What is done is kept in {run.path}; going on with it may end the same way")


def _passing(err: BaseException) -> bool:
    """Whether it need not come again: an error of hwnas that blames neither the request nor a file."""
    return isinstance(err, HwnasError) and err.exit_code == 1

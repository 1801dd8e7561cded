"""Carries out the stages of a run in their order, so that a run that was killed at any moment goes on.

A stage is done when run.json says so and its files still have the hashes that they had. Of a stage nothing is known
but `hwnas.pipeline.stages.stage`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from hwnas.data.reading import read_by
from hwnas.pipeline.run.folder import LOCK, RunFolder
from hwnas.pipeline.stages.stage import Again, Stage, StageContext
from hwnas.pipeline.tracked import tell_stage

StageHook = Callable[[str, str, float], None]
"""Called as hook(stage, 'start' | 'done' | 'kept', seconds)."""


HookOf = Callable[[RunFolder], StageHook]
"""Gives the hook of a run: of one for several budgets, or of one of them."""


def quiet(stage: str, event: str, seconds: float) -> None:
    """The default hook: say nothing."""


def carry_out(context: StageContext, stages: Sequence[Stage[Any]], hook: StageHook = quiet) -> None:
    """Do every stage that is not done, while no other process works on the run.

    Args:
        stages: the first ones of a run, in order.

    Raises:
        HwnasError: whatever went wrong, with the way out; the run can be resumed.
        UsageError: another process works on the run.
        RunError: a file of a finished stage is missing or was changed.
    """
    with context.run.locked():
        try:
            context.check()
            with read_by(context.reading), context.tracking:
                _carry_out(context, stages, hook)
        finally:
            _discard_unstarted(context.run)


def _carry_out(context: StageContext, stages: Sequence[Stage[Any]], hook: StageHook) -> None:
    run, number, kept = context.run, 0, list[str]()
    while number < len(stages):
        stage = stages[number]
        if run.done(stage.name):
            hook(stage.name, "kept", run.state.stages[stage.name].seconds)
            kept.append(stage.name)
            number += 1
            continue
        while kept:  # now that there is more to tell: what a killed run did not come to, or another run did
            tell_stage(context.tracking, run, kept.pop(0))
        began = time.monotonic()
        try:
            with context.doing(stage):
                found, seconds = context.perform(stage, stages[number + 1 : number + 2], hook)
        except Again as again:
            number = _go_back(run, [s.name for s in stages[:number]], again)
            continue
        alone = min(seconds, time.monotonic() - began)
        run.finish(stage.name, found, stage.leaves(found), seconds, beside=seconds - alone)
        tell_stage(context.tracking, run, stage.name)
        if context.beside is None or not context.beside.working:
            _forget_checkpoints(run)  # not before the stage is on record, or a kill repeats it
        hook(stage.name, "done", seconds)
        number += 1


def _go_back(run: RunFolder, done: Sequence[str], again: Again) -> int:
    """Open the stages from the one that has to be done again; its number."""
    again.amend(run)
    first = done.index(again.stage)
    run.reopen(*done[first:])
    _forget_checkpoints(run)
    return first


def _forget_checkpoints(run: RunFolder) -> None:
    for checkpoint in run.path.glob("*.checkpoint"):
        checkpoint.unlink()


def _discard_unstarted(run: RunFolder) -> None:
    """Remove a run folder in which no stage was finished: there is nothing to resume, and its name is free again."""
    if run.state.stages or {p.name for p in run.path.iterdir()} - {"run.json", LOCK}:
        return
    for name in ("run.json", LOCK):
        (run.path / name).unlink(missing_ok=True)
    run.path.rmdir()

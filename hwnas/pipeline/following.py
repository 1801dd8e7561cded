"""What the other processes of a run do: the stages that rank 0 calls them to (`hwnas.pipeline.leading`)."""

from __future__ import annotations

from pathlib import Path

from hwnas import launch
from hwnas.data.reading import read_by
from hwnas.errors import HwnasError, TrainingDiverged
from hwnas.pipeline.context import RunContext
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.stages.table import TABLE
from hwnas.progress import Progress, silent
from hwnas.tracking.record import Tracking
from hwnas.train import processes


def follow() -> Path | None:
    """Do what rank 0 calls for, until it has no more to do.

    Returns:
        The folder of the run; None where there was nothing to do.

    Raises:
        RunError: the processes do not find one another, or rank 0 is gone.
        HwnasError: this process failed alone.
    """
    processes.join()
    contexts: dict[Path, RunContext] = {}
    while called := processes.hear():
        path, parent = Path(called["run"]), called["parent"]
        try:
            _do(context_of(path, Path(parent) if parent else None, contexts), called["stage"])
        except TrainingDiverged:
            continue  # in all of them, and rank 0 says so
        except HwnasError as err:
            err.add_note(f"This was process {launch.rank()} of {launch.world()}, numbered from 0")
            raise
    return next(iter(contexts), None)


def context_of(path: Path, parent: Path | None, contexts: dict[Path, RunContext], progress: Progress = silent,
               teller: Tracking | None = None) -> RunContext:
    """The context of a run as it is now, with the images that were decoded before.

    Args:
        parent: the run for several budgets that it is a branch of.
        contexts: those that were made before, by the folders of their runs; another one is put there.
        progress, teller: of a context that is made.
    """
    for each, above in ((parent, None), (path, parent)):
        if each is None:
            continue
        if each in contexts:
            contexts[each].run.reread()
        else:
            contexts[each] = RunContext(RunFolder.open(each), progress, contexts[above] if above else None,
                                        teller=teller)
    return contexts[path]


def _do(context: RunContext, name: str) -> None:
    context.take_threads()
    stage = next(stage for stage in TABLE if stage.name == name)
    with read_by(context.reading), context.threads(shared=bool(stage.beside)):
        stage.run(context)

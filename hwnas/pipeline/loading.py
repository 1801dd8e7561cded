"""What a run left, ready to be worked with: its networks, its search, its data and spaces. Needs torch.

    network = load_network(RunFolder.open("runs/photos"))
    network(pixels)                     # float32 in 0..1, NCHW; normalisation is inside

Files are checked against the hashes that the run has of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.errors import RunError
from hwnas.pipeline.job import require_torch
from hwnas.pipeline.run.folder import RunFolder
from hwnas.progress import Progress, silent

if TYPE_CHECKING:
    from hwnas.nets import Network
    from hwnas.pipeline.context import RunContext
    from hwnas.pipeline.own_network.context import OwnContext
    from hwnas.search.resumable import SearchResult


def load_context(run: RunFolder | str | Path, progress: Progress = silent) -> RunContext:
    """The data, the task, the spaces and the targets of a run, each made when it is asked for.

    Args:
        run: a run, or its folder.

    Raises:
        MissingDependency: torch is not installed.
        RunError: no run there, or it was tampered with.
    """
    require_torch("a network of a run")
    from hwnas.pipeline.context import RunContext

    return RunContext(run if isinstance(run, RunFolder) else RunFolder.open(Path(run)), progress)


def load_own_network(run: RunFolder | str | Path, progress: Progress = silent) -> OwnContext:
    """What a run on a user's own network found: its units, what they may be and take, what makes models of plans.

    Args:
        run: a run, or its folder.

    Raises:
        RunError: no run there, it was tampered with, or it is a search in a space.
    """
    from hwnas.pipeline.own_network.context import OwnContext

    found = run if isinstance(run, RunFolder) else RunFolder.open(Path(run))
    if found.state.config.model.source is None:
        raise RunError(f"{found.path} is a search in a space, and this is for a network of your own: take load_context")
    return OwnContext(found, progress)


def load_reference(run: RunFolder | str | Path) -> Network:
    """The trained reference of a run, in eval mode; raises as `load_network`."""
    context = load_context(run)
    _check(context.run, "reference")
    return context.reference


def load_network(run: RunFolder | str | Path) -> Network:
    """The fine-tuned result of a run, in eval mode: the network itself, in fp32 whatever ships.

    Raises:
        MissingDependency: torch is not installed.
        RunError: it is not trained yet, or a file was changed.
        UsageError: the images of the run changed.
    """
    context = load_context(run)
    _check(context.run, "finetune")
    return context.network_of(context.architecture, context.run.path / "model.safetensors")


def load_search(run: RunFolder | str | Path) -> SearchResult:
    """The finished search of a run: its distribution, and the shared weights that train and score architectures.

    Raises:
        MissingDependency: torch is not installed.
        RunError: the search is not finished, or a file was changed.
        UsageError: the images of the run changed.
    """
    context = load_context(run)
    _check(context.run, "search")
    return context.searched


def _check(run: RunFolder, stage: str) -> None:
    run.result(stage)  # raises where it is not finished
    run.done(stage)

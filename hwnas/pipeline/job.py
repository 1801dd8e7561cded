"""compress: the stages in order over a run folder, resumable after a kill at any moment."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Unpack

from hwnas import launch
from hwnas.errors import MissingDependency, RunError, UnknownName
from hwnas.pipeline.beside import beside
from hwnas.pipeline.commands import resume_command
from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.config.make_config import go_on_with, make_config
from hwnas.pipeline.config.options import CompressOptions, with_options
from hwnas.pipeline.display.interactive import shown
from hwnas.pipeline.engine import HookOf, StageHook, carry_out, quiet
from hwnas.pipeline.leading import leading
from hwnas.pipeline.run.folder import STAGES, RunFolder
from hwnas.progress import Progress, plural, silent


def compress_run(run: RunFolder, *, until: str | None = None, progress: Progress = silent,
                 hook: StageHook = quiet, hook_of: HookOf | None = None) -> RunFolder:
    """Do every stage of `run` that is not done.

    Args:
        until: the last stage to do; None does all.
        hook: told of the stages; of a run for several budgets those after the search are done for every budget.
        hook_of: gives the hook of such a run and of those of its budgets; None takes `hook` for all.

    An exported model that measures over its latency budget sends the run back to `generate` with a tighter budget,
    at most three times; a precision of `auto` that turns out to lose too much sends it back without that precision.

    Raises:
        HwnasError: whatever went wrong, with the way out; the run can be resumed.
        VerificationFailed: the model is still over its budget after three tries.
        SomeBudgetsFailed: of several budgets not all have a network.
        RunError: the network is to be the same for several targets, and this is the run of one of them.
    """
    if run.state.config.model.source is not None:
        return _compress_own_network(run, until, progress, hook_of or (lambda _: hook))
    _check_alone(run)
    require_torch("hwnas compress")
    from hwnas.pipeline.context import RunContext  # torch: after the check, and only where there is something to train
    from hwnas.pipeline.several_budgets import carry_out_branches
    from hwnas.pipeline.stages.table import TABLE

    stages = TABLE[: STAGES.index(until) + 1 if until else None]
    with leading() as lead, beside(progress) as other:
        context = RunContext(run, other.progress, lead=lead, beside=other)
        context.take_threads()
        if run.branches:
            carry_out_branches(context, stages, hook_of or (lambda _: hook))
        else:
            carry_out(context, stages, hook_of(run) if hook_of else hook)
    return run


def _check_alone(run: RunFolder) -> None:
    """Raises RunError for one of the runs of `--one-model`: alone it would choose a network that suits it alone."""
    if run.state.one_for_all and STAGES[-1] not in run.state.stages:
        whole = run.path.parent.parent
        where = whole if (whole / "run.json").is_file() else Path("RUN")
        raise RunError(f"{run.path} is the run of one target, and one network is chosen for all of them together: go "
                       f"on with the whole run, `{resume_command(where)}`")


def _compress_own_network(run: RunFolder, until: str | None, progress: Progress, hook_of: HookOf) -> RunFolder:
    """The stages of a run on a user's own network."""
    from hwnas.pipeline.own_network.context import OwnContext
    from hwnas.pipeline.own_network.table import OWN_TABLE
    from hwnas.pipeline.several_budgets import carry_out_branches

    names = [stage.name for stage in OWN_TABLE]
    if until is not None and until not in names:
        raise UnknownName("stage of a run on a network of your own", until, names)
    stages, context = OWN_TABLE[: names.index(until) + 1 if until else None], OwnContext(run, progress)
    if run.branches:
        carry_out_branches(context, stages, hook_of)
    else:
        carry_out(context, stages, hook_of(run))
    return run


def followed(work: Callable[[], RunFolder]) -> RunFolder:
    """What rank 0 makes of a run; the other processes that were started follow it.

    Raises:
        RunError: rank 0 made nothing.
    """
    if not launch.follows():
        return work()
    from hwnas.pipeline.following import follow

    path = follow()
    if path is None:
        raise RunError("the process that leads had nothing for the others to do: its message says why")
    return RunFolder.open(path)


def require_torch(needed_for: str) -> None:
    """Raises MissingDependency unless torch is installed; does not import it."""
    if importlib.util.find_spec("torch") is None:
        raise MissingDependency("torch", needed_for, 'pip install "hwnas[train]"')


@with_options
def compress(out: str | Path | None = None, *, until: str | None = None, progress: Progress | None = None,
             hook: StageHook | None = None, **options: Unpack[CompressOptions]) -> RunFolder:
    """Find, train, export and check a network within budgets.

    Args:
        out: the run folder; None takes the next free `hwnas-runs/<data>-<target>-<n>`.
        until: the last stage to do; None does all.
        progress, hook: told how far it is; None shows it in a notebook or an interpreter and is silent in a script.
        options: fields of `CompressConfig`, e.g. data="digits", budgets={"latency": "50%"}, seed=0. Several budgets,
            {"latency": ["25%", "50%"]}, share one search, and each has a run of its own: `run.branches`.

    Returns:
        The finished run.

    Raises:
        UnknownName: no such option.
        UsageError: an option is wrong, or `out` is taken.
        BudgetInfeasible: no architecture meets the budgets.
        VerificationFailed: the exported model failed its check.
        SomeBudgetsFailed: of several budgets not all have a network; the others have theirs.
    """
    config = make_config(dict(options))
    return followed(lambda: _watched(RunFolder.create(Path(out) if out else next_folder(config), config), until,
                                     progress, hook))


def _watched(run: RunFolder, until: str | None, progress: Progress | None, hook: StageHook | None) -> RunFolder:
    with shown(run, progress, hook) as (telling, hook_of):
        return compress_run(run, until=until, progress=telling, hook_of=hook_of)


def retarget(source: str | Path, out: str | Path, budgets: Mapping[str, str | Sequence[str]], *,
             precision: str | None = None, until: str | None = None, progress: Progress | None = None,
             hook: StageHook | None = None, **changes: object) -> RunFolder:
    """Another network from a finished search, for other budgets or another device: no search, the same reference.

    Of a user's own network, units, their forms, times and losses are taken over; for another target or in other
    precisions, units are timed anew, and of the losses those are taken over that hold there.

    Args:
        source: a run whose search, or whose stage score, is finished (for another target: stage fit); not changed.
        out: the new run folder.
        budgets: as in `CompressConfig`; a percentage is of the reference on the device that the network is for.
        precision: None takes over that of `source`, 'auto' included, or with another target that one's.
        changes: any of `CHANGES`, or of a user's own network of `OWN_CHANGES`, e.g. target="raspberry-pi-5", threads=2.

    Raises:
        RunError: `source` has no finished search.
        UsageError: a change that the search would have to be made anew for.
        UnknownName: no such target; or without one, `source` has no latencies of this precision.
        BudgetInfeasible: no architecture meets the budgets.
    """
    return followed(lambda: _watched(branch(source, out, budgets, precision, **changes), until, progress, hook))


DEVICE = ("target", "runtime", "batch", "threads", "tables", "require_measured", "one_model", "give_up")
CHANGES = (*DEVICE, "confidence", "epochs", "batch_size", "lr", "patience", "accumulate", "attention", "top",
           "finalists", "trial_epochs", "torch_threads", "accelerator", "amp", "compile", "image_cache",
           "workers", "track", "side_by_side")
"""Options that may differ from those of the run whose search is taken over, besides budgets and precision."""
OWN_DEVICE = ("target", "runtime", "batch", "threads", "tables", "device", "device_python")
OWN_CHANGES = (*OWN_DEVICE, "tune_epochs", "accelerator", "amp", "track")
"""The same of a run on a user's own network."""


def changes_of(config: CompressConfig) -> tuple[str, ...]:
    """Options that may differ in a run that takes over what another made for all budgets."""
    return CHANGES if config.model.source is None else OWN_CHANGES


def branch(source: str | Path, out: str | Path, budgets: Mapping[str, str | Sequence[str]],
           precision: str | None = None, **changes: object) -> RunFolder:
    """A new run that takes over the search of another; none of its own stages is done yet.

    Args:
        precision, changes: as in `retarget`.

    Raises:
        RunError: `source` has no finished search.
        UsageError: `out` is taken, a budget cannot be read, a change needs another search, or `source` has no latencies
            of this precision.
    """
    from hwnas.errors import UsageError
    from hwnas.pipeline.latencies.unit_precisions import target_of
    from hwnas.pipeline.run.own_results import ReadResult
    from hwnas.pipeline.run.results import described

    begun = begin_with(source, budgets, precision, **changes)
    run, other = begun.run, described(target_of(begun.config)) if begun.elsewhere else None
    own = run.state.config.model.source is not None
    if own and other is not None and other["batch"] != (before := run.found(ReadResult).target["batch"]):
        raise UsageError(f"{run.path} was read for {plural(before, 'image')} a call, and this would be for "
                         f"{other['batch']}: give --batch {before}, or start a new run")
    return run.branch(Path(out), begun.config, other)


class Begun(NamedTuple):
    """What a run that takes over the search of another begins with.

    Args:
        run: whose search is taken over.
        config: of the new run.
        elsewhere: whether it is for another device, or another way of running, so that what depends on it is done anew.
    """

    run: RunFolder
    config: CompressConfig
    elsewhere: bool


def begin_with(source: str | Path, budgets: Mapping[str, str | Sequence[str]], precision: str | None = None,
               **changes: object) -> Begun:
    """What `branch` would begin with; writes nothing. Arguments and errors as there, but for `out`."""
    from hwnas.errors import UsageError
    from hwnas.pipeline.selection.retargeting import asked_of

    found = RunFolder.open(Path(source))
    own = found.state.config.model.source is not None
    wrong = [name for name in changes if name not in changes_of(found.state.config)]
    if wrong:
        by = "with the forms and losses of units, which are" if own else "by the search, which is"
        raise UsageError(f"{wrong[0]} was decided {by} taken over: start a new run for another")
    elsewhere = any(name in changes for name in (OWN_DEVICE if own else DEVICE)) or (own and precision is not None)
    if not own and precision is not None and precision != found.state.config.target.precision and not elsewhere:
        found.lane(precision)  # says which there are
    config = asked_of(found.state.config, {**changes, "precision": precision, "budgets": dict(budgets)})
    return Begun(found, config, elsewhere)


def resume(path: str | Path, *, until: str | None = None, progress: Progress | None = None,
           hook: StageHook | None = None, **changes: object) -> RunFolder:
    """Go on with a run that was cut off; finished stages are not repeated.

    Args:
        changes: what may be another than when the run began, as it changes no result: `image_cache`, `workers`,
            `track`, `side_by_side`.

    Raises:
        RunError: no run there, or it was tampered with.
        UsageError: another change, or a value out of range.
    """
    return followed(lambda: _watched(resumed(Path(path), changes), until, progress, hook))


def resumed(path: Path, changes: Mapping[str, object]) -> RunFolder:
    """A run to go on with; changes as of `resume`, which run.json keeps from its next stage on.

    Raises:
        RunError, UsageError: as `resume`.
    """
    run = RunFolder.open(path)
    run.state.config = go_on_with(run.state.config, dict(changes))
    return run


def next_folder(config: CompressConfig) -> Path:
    """The first free `hwnas-runs/<data>-<target>-<n>`."""
    what = config.model.source or config.data.source
    names = config.target.names
    where = Path(names[0]).stem if len(names) == 1 else f"{len(names)}-targets"
    stem = f"{Path(what).stem.replace(':', '-')}-{where}"
    number = 1
    while (path := Path("hwnas-runs") / f"{stem}-{number}").exists():
        number += 1
    return path

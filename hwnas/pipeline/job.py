"""compress: the stages in order over a run folder, resumable after a kill at any moment."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from hwnas.documents import brief
from hwnas.errors import MissingDependency, VerificationFailed
from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.config.options import CompressOptions, with_options
from hwnas.pipeline.display.interactive import shown
from hwnas.pipeline.run.folder import STAGES, RunFolder
from hwnas.progress import Progress, silent

if TYPE_CHECKING:
    from hwnas.pipeline.context import RunContext
    from hwnas.pipeline.stages.export import OverBudget, Refused

StageHook = Callable[[str, str, float], None]
"""Called as hook(stage, 'start' | 'done' | 'kept', seconds)."""


def quiet(stage: str, event: str, seconds: float) -> None:
    """The default hook: say nothing."""


def compress_run(run: RunFolder, *, until: str | None = None, progress: Progress = silent,
                 hook: StageHook = quiet) -> RunFolder:
    """Do every stage of `run` that is not done.

    Args:
        until: the last stage to do; None does all.

    An exported model that measures over its latency budget sends the run back to `generate` with a tighter budget,
    at most three times; a precision of `auto` that turns out to lose too much sends it back without that precision.

    Raises:
        HwnasError: whatever went wrong, with the way out; the run can be resumed.
        VerificationFailed: the model is still over its budget after three tries.
    """
    require_torch("hwnas compress")
    import torch  # after the check, and only where there is something to train

    from hwnas.pipeline.context import RunContext

    torch.set_num_threads(run.state.config.torch_threads or torch.get_num_threads())
    with run.locked():
        try:
            _carry_out(run, RunContext(run, progress), until, hook)
        finally:
            _discard_unstarted(run)
    return run


def require_torch(needed_for: str) -> None:
    """Raises MissingDependency unless torch is installed; does not import it."""
    if importlib.util.find_spec("torch") is None:
        raise MissingDependency("torch", needed_for, 'pip install "hwnas[train]"')


def _carry_out(run: RunFolder, stages: RunContext, until: str | None, hook: StageHook) -> None:
    from hwnas.pipeline.stages.export import OverBudget, Refused

    todo = {
        "data": stages.data, "profile": stages.profile, "reference": stages.train_reference,
        "search": stages.search, "generate": stages.generate, "finetune": stages.finetune,
        "export": stages.export, "report": stages.report,
    }
    queue = list(STAGES[: STAGES.index(until) + 1] if until else STAGES)
    while queue:
        stage = queue[0]
        if run.done(stage):
            hook(stage, "kept", run.state.stages[stage].seconds)
            queue.pop(0)
            continue
        began = time.monotonic()
        hook(stage, "start", 0.0)
        try:
            result, files = todo[stage]()
        except (OverBudget, Refused) as failed:
            _back_to_generate(run, failed)
            queue = ["generate", "finetune", *queue]
            continue
        run.finish(stage, result, files, time.monotonic() - began)
        for checkpoint in run.path.glob("*.checkpoint"):  # not before the stage is on record, or a kill repeats it
            checkpoint.unlink()
        hook(stage, "done", time.monotonic() - began)
        queue.pop(0)


def _back_to_generate(run: RunFolder, failed: OverBudget | Refused) -> None:
    """Choose again: within a tighter budget, or without the precision that did not hold.

    Raises:
        VerificationFailed: this was the last try.
    """
    from hwnas.pipeline.selection.model_selector import TRIES
    from hwnas.pipeline.stages.export import OverBudget

    if isinstance(failed, OverBudget):
        if run.state.attempts >= TRIES:
            latency = failed.verdict.latency
            median = latency.median_ms if latency else float("nan")
            raise VerificationFailed(
                f"over budget after {TRIES} tries: median {median:.3f} ms, budget {failed.limit_ms:.3f} ms beside the "
                f"reference; the model is in {run.path / 'model.onnx'}: measure the table "
                "again (`hwnas profile --again`) or raise the budget"
            )
        run.state.tighten *= failed.factor
        run.state.attempts += 1
    else:
        run.state.refused.append(failed.precision)
    run.reopen("generate", "finetune")
    (run.path / "model.checkpoint").unlink(missing_ok=True)


def _discard_unstarted(run: RunFolder) -> None:
    """Remove a run folder in which no stage was finished: there is nothing to resume, and its name is free again."""
    if run.state.stages or {p.name for p in run.path.iterdir()} - {"run.json", ".lock"}:
        return
    for name in ("run.json", ".lock"):
        (run.path / name).unlink(missing_ok=True)
    run.path.rmdir()


@with_options
def compress(out: str | Path | None = None, *, until: str | None = None, progress: Progress | None = None,
             hook: StageHook | None = None, **options: Unpack[CompressOptions]) -> RunFolder:
    """Find, train, export and check a network within budgets.

    Args:
        out: the run folder; None takes the next free `hwnas-runs/<data>-<target>-<n>`.
        until: the last stage to do; None does all.
        progress, hook: told how far it is; None shows it in a notebook or an interpreter and is silent in a script.
        options: fields of `CompressConfig`, e.g. data="digits", budgets={"latency": "50%"}, seed=0.

    Returns:
        The finished run.

    Raises:
        UnknownName: no such option.
        UsageError: an option is wrong, or `out` is taken.
        BudgetInfeasible: no architecture meets the budgets.
        VerificationFailed: the exported model failed its check.
    """
    config = make_config(dict(options))
    run = RunFolder.create(Path(out) if out else next_folder(config), config)
    return _watched(run, until, progress, hook)


def _watched(run: RunFolder, until: str | None, progress: Progress | None, hook: StageHook | None) -> RunFolder:
    with shown(run, progress, hook) as (telling, hooked):
        return compress_run(run, until=until, progress=telling, hook=hooked)


def retarget(source: str | Path, out: str | Path, budgets: Mapping[str, str], *, precision: str | None = None,
             until: str | None = None, progress: Progress | None = None, hook: StageHook | None = None,
             **changes: object) -> RunFolder:
    """Another network from a finished search, for other budgets or another device: no search, the same reference.

    Args:
        source: a run whose search is finished; not changed.
        out: the new run folder.
        budgets: as in `CompressConfig`; a percentage is of the reference on the device that the network is for.
        precision: None takes over that of `source`, 'auto' included, or with another target that one's.
        changes: any of `CHANGES`, e.g. target="raspberry-pi-5", threads=2.

    Raises:
        RunError: `source` has no finished search.
        UsageError: a change that the search would have to be made anew for.
        UnknownName: no such target; or without one, `source` has no latencies of this precision.
        BudgetInfeasible: no architecture meets the budgets.
    """
    return _watched(branch(source, out, budgets, precision, **changes), until, progress, hook)


DEVICE = ("target", "runtime", "batch", "threads", "tables", "require_measured")
CHANGES = (*DEVICE, "confidence", "epochs", "batch_size", "lr", "attention", "top", "finalists", "trial_epochs",
           "torch_threads")
"""Options that may differ from those of the run whose search is taken over, besides budgets and precision."""


def branch(source: str | Path, out: str | Path, budgets: Mapping[str, str], precision: str | None = None,
           **changes: object) -> RunFolder:
    """A new run that takes over the search of another; none of its own stages is done yet.

    Args:
        precision, changes: as in `retarget`.

    Raises:
        RunError: `source` has no finished search.
        UsageError: `out` is taken, a budget cannot be read, a change needs another search, or `source` has no latencies
            of this precision.
    """
    from hwnas.errors import UsageError
    from hwnas.pipeline.exported.provenance import described
    from hwnas.pipeline.latencies.latency_sources import targets_of
    from hwnas.pipeline.selection.retargeting import asked_of

    wrong = [name for name in changes if name not in CHANGES]
    if wrong:
        raise UsageError(f"{wrong[0]} was decided by the search, which is taken over: start a new run for another")
    found = RunFolder.open(Path(source))
    elsewhere = any(name in changes for name in DEVICE)
    if precision is not None and precision != found.state.config.precision and not elsewhere:
        precision = str(found.lane(precision)["precision"])
    asked = asked_of(found.state.config, {**changes, "precision": precision})
    config = make_config({**asked.model_dump(), "budgets": dict(budgets)})
    return found.branch(Path(out), config, described(targets_of(config)[0]) if elsewhere else None)


def resume(path: str | Path, *, until: str | None = None, progress: Progress | None = None,
           hook: StageHook | None = None) -> RunFolder:
    """Go on with a run that was cut off; finished stages are not repeated.

    Raises:
        RunError: no run there, or it was tampered with.
    """
    return _watched(RunFolder.open(Path(path)), until, progress, hook)


def make_config(options: dict[str, object]) -> CompressConfig:
    """Check options.

    Raises:
        UsageError: an unknown option, a value out of range, or a budget that cannot be read.
        UnknownName: no such space, head, target or precision.
        MissingDependency: the runtime of this machine is not installed.
    """
    from pydantic import ValidationError

    from hwnas.errors import UnknownName, UsageError
    from hwnas.pipeline.config.budget import parse_all
    from hwnas.pipeline.latencies.latency_sources import targets_of
    from hwnas.pipeline.task_setup import check_sizes, head_of
    from hwnas.space import describe

    unknown = [name for name in options if name not in CompressConfig.model_fields]
    if unknown:
        raise UnknownName("option", unknown[0], CompressConfig.model_fields)
    try:
        config = CompressConfig.model_validate(options)
    except ValidationError as err:
        first = err.errors()[0]
        name, *inside = map(str, first["loc"])
        flag = "--" + (inside[0] if name == "budgets" and inside else name).replace("_", "-")
        rule = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{flag}: {rule}; got {brief(first.get('input'))}") from err
    describe(config.space)
    head_of(config)
    check_sizes(config)
    targets_of(config)
    if not parse_all(config.budgets):
        raise UsageError("give at least one budget, e.g. --latency 50%")
    return config


def next_folder(config: CompressConfig) -> Path:
    """The first free `hwnas-runs/<data>-<target>-<n>`."""
    stem = f"{Path(config.data).stem}-{Path(config.target).stem}"
    number = 1
    while (path := Path("hwnas-runs") / f"{stem}-{number}").exists():
        number += 1
    return path

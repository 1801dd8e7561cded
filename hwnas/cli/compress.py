"""hwnas compress"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli.completing import runs
from hwnas.cli.options import OPTIONS, Config, Json, Out, Resume, config_options, refuse_with_resume, spelled, takes
from hwnas.errors import SomeBudgetsFailed, UsageError

if TYPE_CHECKING:
    from hwnas.pipeline import CompressConfig, RunFolder

EPILOG = "Example: hwnas compress --data photos --latency 8ms --epochs 30 --out runs/photos"

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Source = Annotated[Path | None, typer.Option("--from", metavar="RUN", show_default=False, autocompletion=runs,
                                             help="Reuse what a run made for all budgets for others, or "
                                                                    "with --target for another device.")]


@takes(*OPTIONS)
def command(
    given: dict[str, Any], out: Out = None, resume: Resume = None, source: Source = None, config: Config = None,
    dry_run: DryRun = False, json: Json = False,
) -> None:
    """Find, train, export and check a network within your budgets.

    Without a budget: half the latency of the reference, which is the largest network of the space in fp32. Another
    precision ships quantised after training; table, budget, score and latency are of the precision that ships.
    Several budgets, as in --latency 4ms,8ms, make a network each from one search, in RUN/budgets; lists of several
    flags are taken side by side.
    """
    if resume is not None:
        refuse_with_resume(given, out=out, config=config, **{"from": source}, dry_run=dry_run)
        _go_on(resume, given, json)
        return
    options = config_options(given, config)
    if dry_run:
        _dry_run(options, out, source, json)
    elif source is not None:
        _finish(_branch(source, out, options), json)
    else:
        _finish(_new(options, out), json)


def _go_on(path: Path, changes: dict[str, Any], json: bool) -> None:
    from hwnas.cli.console import note
    from hwnas.pipeline.job import require_torch, resumed
    from hwnas.pipeline.report.summary import is_finished

    run = resumed(path, changes)
    if not is_finished(run):
        if run.state.config.model.source is None:
            require_torch("hwnas compress")
        _finish(run, json)
        return
    if not json:
        note(f"{path} is finished: nothing is left to do")
    _say(run, json)


def _new(options: dict[str, Any], out: Path | None) -> RunFolder:
    from hwnas.pipeline import RunFolder, make_config
    from hwnas.pipeline.job import next_folder, require_torch

    config = make_config(options)
    if config.model.source is None:
        require_torch("hwnas compress")
    return RunFolder.create(out or next_folder(config), config)


def _branch(source: Path, out: Path | None, options: dict[str, Any]) -> RunFolder:
    from hwnas.pipeline.job import branch, next_folder, require_torch

    config, budgets, changes = _asked_of(source, options)
    if config.model.source is None:
        require_torch("hwnas compress")
    out = out or next_folder(config.replaced(target=options.get("target", config.target.name)))
    return branch(source, out, budgets, options.get("precision"), **changes)


def _asked_of(source: Path, options: dict[str, Any]) -> tuple[CompressConfig, Any, dict[str, Any]]:
    """The configuration of a run that is taken over, and budgets and changes for the new one."""
    from hwnas.pipeline import RunFolder
    from hwnas.pipeline.job import changes_of

    config = RunFolder.open(source).state.config
    own = config.model.source is not None
    takes = changes_of(config)
    extra = [spelled(name) for name in options if name not in (*takes, "budgets", "precision")]
    changes = {name: value for name, value in options.items() if name in takes}
    budgets = options.get("budgets") or (config.budgets if "target" in options or (own and "device" in options)
                                         else None)
    if budgets is None or extra:
        raise UsageError("--from RUN takes a budget or --target, --out, --precision and "
                         f"{', '.join(map(spelled, takes))}; the {'run' if own else 'search'} decided the rest"
                         f"{f': leave out {extra[0]}' if extra else ''}")
    return config, budgets, changes


def _finish(run: RunFolder, json: bool) -> None:
    from hwnas.cli.work import carry_out

    try:
        carry_out(run, lines=json)
    except SomeBudgetsFailed:
        _say(run, json)  # the others were made
        raise
    _say(run, json)


def _say(run: RunFolder, json: bool) -> None:
    from hwnas.cli.console import say_json
    from hwnas.cli.result import say_overview, say_result
    from hwnas.pipeline.report.documents import overview_json, summary_json
    from hwnas.pipeline.report.overview import overview
    from hwnas.pipeline.report.summary import summary

    if run.branches:
        every = overview(run)
        say_json(overview_json(every)) if json else say_overview(every)
        return
    if run.state.config.model.source is not None:
        from hwnas.cli.own_result import say_own_result

        say_own_result(run, json)
        return
    found = summary(run)
    if json:
        say_json(summary_json(found))
    else:
        say_result(found)


def _dry_run(options: dict[str, Any], out: Path | None, source: Path | None, json: bool) -> None:
    from hwnas.cli.plan import say_plan
    from hwnas.pipeline import make_config
    from hwnas.pipeline.display.watch import watching
    from hwnas.pipeline.job import begin_with, next_folder
    from hwnas.pipeline.plan import plan

    if source is None:
        config, begun = make_config(options), None
    else:
        config, budgets, changes = _asked_of(source, options)
        if config.model.source is None:
            begun = begin_with(source, budgets, options.get("precision"), **changes)
            config = begun.config
    if config.model.source is not None:
        raise UsageError("--dry-run looks at a search: `hwnas inspect` shows what can become of a network of your own")
    with watching(json) as watch:
        found = plan(config, out or next_folder(config), watch.progress, begun)
    say_plan(found, json)
    if found.refusal is not None:
        raise found.refusal

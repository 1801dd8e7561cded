"""hwnas search"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.cli.options import OPTIONS, Config, Json, Out, Resume, config_options, refuse_with_resume, takes
from hwnas.errors import UsageError

if TYPE_CHECKING:
    from hwnas.pipeline import CompressConfig, RunFolder

EPILOG = "Example: hwnas search --data photos --out runs/photos, then hwnas generate runs/photos --latency 8ms"


@takes(*OPTIONS)
def command(given: dict[str, Any], out: Out = None, resume: Resume = None, config: Config = None,
            json: Json = False) -> None:
    """Learn which operations are worth their time.

    The same as compress, up to its stage search; `hwnas compress --resume RUN` goes on from there.
    """
    from hwnas.cli.work import carry_out
    from hwnas.pipeline import RunFolder, make_config
    from hwnas.pipeline.job import next_folder, require_torch

    if resume is not None:
        refuse_with_resume(given, out=out, config=config)
        run = RunFolder.open(resume)
        _of_a_search(run.state.config)
        require_torch("hwnas search")
    else:
        checked = make_config(config_options(given, config))
        _of_a_search(checked)
        require_torch("hwnas search")
        run = RunFolder.create(out or next_folder(checked), checked)
    carry_out(run, until="search", lines=json)
    _say(run, json)


def _of_a_search(config: CompressConfig) -> None:
    """Raises UsageError for a network of the user's own, before a folder is made."""
    if config.model.source is not None:
        raise UsageError("a run on a network of your own has no search: leave out --model, or take `hwnas compress`")


def _say(run: RunFolder, json: bool) -> None:
    from hwnas.cli.console import say, say_json, say_table
    from hwnas.pipeline.commands import resume_command, shell
    from hwnas.pipeline.run.results import SearchResult
    from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver

    solver = ArchitectureSolver.of_run(run)
    effects = solver.distribution.utilities("effect")
    live = [[(op.label, float(e)) for op, e in zip(choice.ops, row, strict=True) if e > float("-inf")]
            for choice, row in zip(solver.space.choices, effects, strict=True)]
    if json:
        kept = {c.name: dict(ops) for c, ops in zip(solver.space.choices, live, strict=True)}
        say_json({"run": str(run.path), **run.found(SearchResult).to_json(), "effects": kept})
        return
    metric = run.found(SearchResult).metric
    rows = [(c.name, "  ".join(f"{label} {effect:+.2f}" for label, effect in sorted(ops, key=lambda o: -o[1])))
            for c, ops in zip(solver.space.choices, live, strict=True)]
    say_table(("choice", f"operations that are left, with their effect on {metric} in points"), rows)
    say("", f"ask it:  {shell('hwnas', 'generate', run.path, '--latency', '50%')}",
        f"go on:   {resume_command(run.path)}")

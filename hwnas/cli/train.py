"""hwnas train"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.cli.options import Json, Run, takes

if TYPE_CHECKING:
    from hwnas.pipeline import RunFolder

EPILOG = "Example: hwnas train runs/photos"


@takes("image_cache", "workers", "track", "side_by_side")
def command(given: dict[str, Any], run: Run, json: Json = False) -> None:
    """Pick the network of a run and fine-tune it.

    The reference is its teacher. The same as compress, up to its stage finetune; `hwnas compress --resume RUN` goes
    on from there.
    """
    from hwnas.cli.console import say, say_json
    from hwnas.cli.work import carry_out
    from hwnas.errors import SomeBudgetsFailed
    from hwnas.pipeline.commands import resume_command
    from hwnas.pipeline.display.score_lines import score
    from hwnas.pipeline.job import require_torch, resumed
    from hwnas.pipeline.run.results import FinetuneResult, ReferenceResult

    found = resumed(run, given)
    require_torch("hwnas train")
    try:
        carry_out(found, until="finetune", lines=json)
    except SomeBudgetsFailed:
        _say_all(found, json)  # the others are trained
        raise
    if found.branches:
        _say_all(found, json)
        return
    result, reference = found.found(FinetuneResult), found.found(ReferenceResult)
    if json:
        say_json({"run": str(run), "finetune": result.to_json(), "reference": reference.to_json()})
        return
    say(f"{result.metric} {score(result)}, reference {reference.score:.2f} %")
    say(f"weights  {run / 'model.safetensors'}", f"go on:   {resume_command(run)}")


def _say_all(run: RunFolder, json: bool) -> None:
    """What every one of several budgets came to."""
    from hwnas.cli.console import say, say_json
    from hwnas.pipeline import RunFolder
    from hwnas.pipeline.commands import resume_command
    from hwnas.pipeline.display.score_lines import score
    from hwnas.pipeline.run.results import FinetuneResult, ReferenceResult

    reference = run.found(ReferenceResult)
    made = [branch for branch in run.branches if (branch.path / "run.json").is_file()]
    trained = [(branch, found) for branch in made
               if (found := RunFolder.open(branch.path).found_if_done(FinetuneResult)) is not None]
    if json:
        say_json({"run": str(run.path), "reference": reference.to_json(),
                  "networks": [{"run": str(b.path), "finetune": found.to_json()} for b, found in trained]})
        return
    for branch, found in trained:
        say(f"{branch.told}: {found.metric} {score(found)}, reference {reference.score:.2f} %")
        say(f"weights  {branch.path / 'model.safetensors'}")
    say(f"go on:   {resume_command(run.path)}")

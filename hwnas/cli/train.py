"""hwnas train"""

from __future__ import annotations

from hwnas.cli.options import Json, Run

EPILOG = "Example: hwnas train runs/photos"


def command(run: Run, json: Json = False) -> None:
    """Pick the network of a run and fine-tune it.

    The reference is its teacher. The same as compress, up to its stage finetune; `hwnas compress --resume RUN` goes
    on from there.
    """
    from hwnas.cli.console import say, say_json
    from hwnas.cli.work import carry_out
    from hwnas.pipeline import RunFolder
    from hwnas.pipeline.commands import resume_command
    from hwnas.pipeline.display.score_lines import score
    from hwnas.pipeline.job import require_torch
    from hwnas.pipeline.run.results import FinetuneResult, ReferenceResult

    found = RunFolder.open(run)
    require_torch("hwnas train")
    carry_out(found, until="finetune", lines=json)
    result, reference = found.found(FinetuneResult), found.found(ReferenceResult)
    if json:
        say_json({"run": str(run), "finetune": result.to_json(), "reference": reference.to_json()})
        return
    say(f"{result.metric} {score(result)}, reference {reference.score:.2f} %")
    say(f"weights  {run / 'model.safetensors'}", f"go on:   {resume_command(run)}")

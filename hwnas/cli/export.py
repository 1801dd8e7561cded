"""hwnas export"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.options import Json, Run

EPILOG = "Example: hwnas export runs/photos -o photos.onnx"


def command(
    run: Run,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Where to write the model.",
                                             show_default="RUN/model.onnx")] = None,
    json: Json = False,
) -> None:
    """Write the fine-tuned network of a run as ONNX and check it.

    What the run has not done yet is done first.
    """
    from hwnas.cli.console import say, say_json
    from hwnas.cli.watch import watching
    from hwnas.cli.work import carry_out
    from hwnas.pipeline import RunFolder
    from hwnas.pipeline.job import require_torch
    from hwnas.pipeline.standalone import export_run

    found = RunFolder.open(run)
    require_torch("hwnas export")
    if "export" not in found.state.stages:
        carry_out(found, until="export", lines=json)
    with watching(json) as watch:
        path, verdict = export_run(found, out, watch.progress)
    if json:
        say_json({"model": str(path), **verdict.to_json()})
        return
    latency = f"{verdict.latency.median_ms:.3f} ms" if verdict.latency else "not measured on the device"
    loss = f", {0 - verdict.loss.drop:+.2f} points against fp32" if verdict.loss else ""
    say(f"{path}: {verdict.precision}, logits within {verdict.max_difference:.0e} of torch's, "
        f"{verdict.agreement:.0f} % the same answers{loss}, {latency}")

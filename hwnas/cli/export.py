"""hwnas export"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.options import OUT, Json, Run
from hwnas.errors import UsageError

EPILOG = "Example: hwnas export runs/photos -o photos.onnx"
BODY = "backbone"


def command(
    run: Run,
    out: Annotated[Path | None, typer.Option(*OUT, help="Where to write the model.",
                                             show_default="RUN/model.onnx, RUN/backbone")] = None,
    features: Annotated[bool, typer.Option("--features", help="Write the bare backbone, maps at several strides, as "
                                           "ONNX and as weights with a model.py that needs no hwnas.")] = False,
    nms: Annotated[bool, typer.Option("--nms", help="End a detector's graph in boxes, not maps; needs -o.")] = False,
    json: Json = False,
) -> None:
    """Write a run's network as ONNX and check it.

    What the run has not done yet is done first. With --features the backbone alone, for other code.
    """
    from hwnas.cli.console import say, say_json
    from hwnas.cli.work import carry_out
    from hwnas.pipeline import RunFolder
    from hwnas.pipeline.display.watch import watching
    from hwnas.pipeline.job import require_torch
    from hwnas.pipeline.single_stage import export_features, export_run, export_with_nms

    if nms and (features or out is None):
        raise UsageError("--nms writes a model of its own: give -o FILE, and leave out --features")
    found = RunFolder.open(run)
    require_torch("hwnas export")
    found.one_network()
    if "export" not in found.state.stages:
        carry_out(found, until="export", lines=json)
    if features:
        files = export_features(found, out or run / BODY)
        say_json({"files": [str(file) for file in files]}) if json else say(*files)
        return
    if nms and out is not None:
        export_with_nms(found, out)
        say_json({"model": str(out)}) if json else say(f"{out}: boxes in pixels of the network's input")
        return
    with watching(json) as watch:
        path, verdict = export_run(found, out, watch.progress)
    if json:
        say_json({"model": str(path), **verdict.to_json()})
        return
    latency = f"{verdict.latency.median_ms:.3f} ms" if verdict.latency else "not measured on the device"
    loss = f", {0 - verdict.loss.drop:+.2f} points against fp32" if verdict.loss else ""
    say(f"{path}: {verdict.precision}, logits within {verdict.max_difference:.0e} of torch's, "
        f"{verdict.agreement:.0f} % the same answers{loss}, {latency}")

"""hwnas predict"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hwnas.cli.options import OUT, Json, takes
from hwnas.errors import InputError
from hwnas.progress import plural

EPILOG = "Example: hwnas predict runs/cells photos/ -o looked-at"


@takes("target", "runtime", "threads")
def command(
    given: dict[str, Any],
    model: Annotated[Path, typer.Argument(metavar="RUN|MODEL.onnx", help="A run folder or an exported model.",
                                          show_default=False)],
    source: Annotated[Path, typer.Argument(metavar="IMAGE|FOLDER|VIDEO", help="What to look at.",
                                           show_default=False)],
    out: Annotated[Path | None, typer.Option(*OUT, help="Folder for pictures, masks and predictions.jsonl.",
                                             show_default=False)] = None,
    threshold: Annotated[float, typer.Option("--threshold", min=0.0, max=1.0, help="Least score of a box.")] = 0.3,
    tiled: Annotated[bool, typer.Option("--tiled", help="Segment images at their own size, in tiles.")] = False,
    json: Json = False,
) -> None:
    """Show what an exported model says of images; needs no torch.

    Classes with their scores, boxes in pixels of the image, or the class of every pixel; of your own network outputs
    that are none of these as they are, in .npz with -o. A file of a folder that cannot be read is named, the others are
    predicted, and the exit code is 2.
    """
    from hwnas.cli.console import note, say, say_json
    from hwnas.pipeline.display.watch import watching
    from hwnas.pipeline.exported.predicting import Predictor, predict_files
    from hwnas.tasks.readout import in_words

    overrides = {name: given.get(name) for name in ("runtime", "threads")}
    with watching(json) as watch:
        predictor = Predictor.of(model, target=given.get("target"), overrides=overrides, threshold=threshold,
                                 tiled=tiled)
        found = [p.facts for p in predict_files(predictor, source, out, watch.progress, watch.say)]
    good, failed = ([facts for facts in found if ("error" in facts) is bad] for bad in (False, True))
    if json:
        say_json({"predictions": found})
    else:
        for facts in good:
            say(f"{facts['file']}: {in_words(facts)}")
        if out is not None:
            say(f"{plural(len(good), 'image')}, written to {out}")
    if failed:
        first = "" if len(failed) == 1 else ", the first"
        note(f"error: {len(failed)} of {len(found)} files cannot be read as images{first}: {failed[0]['file']}: "
             f"{failed[0]['error']}; replace or remove them")
        raise typer.Exit(InputError.exit_code)

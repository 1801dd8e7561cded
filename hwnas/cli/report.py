"""hwnas report"""

from __future__ import annotations

from hwnas.cli.options import Json, Run

EPILOG = "Example: hwnas report runs/photos"


def command(run: Run, json: Json = False) -> None:
    """Write report.html and report.json of a run again."""
    from hwnas.cli.console import say, say_json
    from hwnas.pipeline import RunFolder
    from hwnas.pipeline.single_stage import rewrite_report

    paths = rewrite_report(RunFolder.open(run))
    if json:
        say_json({"written": [str(path) for path in paths]})
        return
    for path in paths:
        say(str(path))

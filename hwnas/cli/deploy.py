"""hwnas deploy"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hwnas.cli.options import Json, Run, takes

EPILOG = "Example: hwnas deploy runs/cells -o cells-bundle"


@takes("target")
def command(
    given: dict[str, Any],
    run: Run,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="BUNDLE", help="Folder to make.", show_default=False)],
    json: Json = False,
) -> None:
    """Pack a model for a device that has no hwnas.

    The folder holds the model, how it is used, samples, and a runner that needs Python 3.8, numpy and the runtime. For
    another target than the run's, no latency is promised.
    """
    from hwnas.cli.console import say_facts, say_json
    from hwnas.deploy import deploy_run
    from hwnas.pipeline import RunFolder

    made = deploy_run(RunFolder.open(run), out, given.get("target"))
    if json:
        say_json({"bundle": str(made.path), "target": str(made.target), "size_bytes": made.size_bytes,
                  "promise_ms": made.promise_ms, "check": made.finding.to_json()})
        return
    promise = f"a median of at most {made.promise_ms:.3f} ms" if made.promise_ms is not None else "nothing"
    say_facts([("bundle", made.path), ("target", made.target), ("size", f"{made.size_bytes / 1e6:.2f} MB"),
               ("promised", promise), ("checked here", made.finding.verdict()),
               ("on the device", "python3 bundle.py verify")])

"""hwnas deploy"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwnas.cli.options import OUT, Json, Run

if TYPE_CHECKING:
    from hwnas.deploy import Deployed

EPILOG = "Example: hwnas deploy runs/cells -o cells-bundle"


def command(
    *,
    run: Run,
    out: Annotated[Path, typer.Option(*OUT, metavar="BUNDLE", help="Folder to make.", show_default=False)],
    target: Annotated[str | None, typer.Option("--target", help="Another target than the run's (hwnas targets).",
                                               show_default="the run's")] = None,
    json: Json = False,
) -> None:
    """Pack a model for a device that has no hwnas.

    The folder holds the model, how it is used, samples, and a runner that needs Python 3.8, numpy and the runtime. For
    another target than the run's, no latency is promised; one that would run the model in another way than the run
    chose is refused.
    """
    from hwnas.cli.console import say_facts, say_json
    from hwnas.deploy import deploy_run
    from hwnas.pipeline import RunFolder

    made = deploy_run(RunFolder.open(run), out, target)
    if json:
        say_json({"bundle": str(made.path), "target": str(made.target), "size_bytes": made.size_bytes,
                  "promise_ms": made.promise_ms, "basis": made.basis, "reference_ms": made.reference_ms,
                  "check": made.finding.to_json()})
        return
    say_facts([("bundle", made.path), ("target", made.target), ("size", f"{made.size_bytes / 1e6:.2f} MB"),
               ("promised", _promised(made)), ("checked here", made.finding.verdict()),
               ("on the device", "python3 bundle.py verify")])


def _promised(made: Deployed) -> str:
    if made.promise_ms is None:
        return "nothing"
    limit = f"a median of at most {made.promise_ms:.3f} ms"
    if made.basis != "measured":
        return f"{limit}: {made.basis}, not measured"
    if made.reference_ms is None:
        return f"{limit}, in milliseconds alone: this is not the device that was measured"
    return f"{limit}, while the reference beside it takes {made.reference_ms:.3f} ms"

"""hwnas generate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hwnas.cli.answering import Asks, Found, asked_about, found_by, found_json, say_found
from hwnas.cli.options import BUDGETS, OUT, TARGET, Json, Run, takes

EPILOG = "Example: hwnas generate runs/photos --latency 2ms --flops 20M --top 5"


@takes(*BUDGETS, "target", *TARGET, "one_model", "give_up", "tables", "confidence")
def command(
    given: dict[str, Any],
    run: Run,
    top: Annotated[int, typer.Option("--top", min=1, max=10_000, help="How many architectures, best first.")] = 1,
    min_distance: Annotated[int, typer.Option("--min-distance", min=0, max=1000,
                                              help="Choices in which any two differ.")] = 0,
    front: Annotated[bool, typer.Option("--front", help="The whole front, too; alone if no budget is given.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="What each budget does: whether it binds, what more of "
                                          "it buys; if none can be met, why and the cheapest way out.")] = False,
    out: Annotated[Path | None, typer.Option(*OUT, help="Write the best architecture as JSON.",
                                             show_default=False)] = None,
    json: Json = False,
) -> None:
    """Pick the best architectures within budgets from a search.

    Exact, in milliseconds and without torch. Without a budget: the front of score and latency; scores are those before
    rounding. --target asks for another device, --runtime, --threads, --batch and another --precision for
    another way of running: from its table or estimated, and a percentage of latency is of the reference there.
    Several targets are answered one after the other, with --one-model by one architecture within the budgets of all.
    """
    from hwnas.cli.console import say_json
    from hwnas.errors import UsageError
    from hwnas.files import write_json
    from hwnas.pipeline.config.budget import parse_all, target_names
    from hwnas.pipeline.run.folder import RunFolder

    names, source = target_names(given.get("target", "")), RunFolder.open(run)
    asks = Asks(top, min_distance, front, explain, out is not None)
    if len(names) > 1:
        from hwnas.cli.generate_several import generate_several

        generate_several(source, names, given, asks, out, json=json)
        return
    if "one_model" in given or "give_up" in given:
        raise UsageError("--one-model is of several targets: name them, e.g. --target local,raspberry-pi-4")
    budgets = parse_all({name: given.get(name) for name in BUDGETS})
    there, solvers = asked_about(source, given)

    def tell(found: Found) -> None:
        say_json(found_json(found)) if json else say_found(found)

    found = found_by(source, solvers, there, budgets, asks, tell)
    if out is not None:
        write_json(out, found.picks[0].architecture.to_json())
    tell(found)

"""hwnas tables adapt"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli.options import TARGET, Json, takes
from hwnas.cli.profile import SIZE, Channels, Classes, asked

if TYPE_CHECKING:
    from hwnas.pipeline.latencies.measured_elsewhere import Elsewhere
    from hwnas.target import Target

EPILOG = "Example: hwnas tables adapt networks.csv --target my-board.yaml --space nasbench201 --imgsz 32 --classes 10"


@takes("target", *TARGET, "tables", *SIZE, "seed")
def adapt(
    given: dict[str, Any],
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False,
                                         help=".csv, .tsv, .jsonl, .json or .parquet: an arch, index or choice and a "
                                              "latency_ms a row.")],
    column: Annotated[str | None, typer.Option("--column", help="The column of times, in ms.",
                                               show_default="latency_ms, latency_us or latency_s")] = None,
    channels: Channels = None,
    classes: Classes = None,
    json: Json = False,
) -> None:
    """Adapt the estimate of a target to networks that others timed, and say how those were executed.

    Five networks of one space are enough, 20 say most. How they were executed, by a compiler or a framework, is found
    from their latencies. What a runtime ran is kept for other commands, as by `hwnas profile --adapt`.
    """
    from hwnas.cli.console import say_json
    from hwnas.pipeline.latencies.measured_elsewhere import adapt_to_file

    space, target = asked(given, channels, classes)
    found = adapt_to_file(file, space, target, column=column, seed=given.get("seed", 0),
                          tables=Path(given["tables"]) if "tables" in given else None)
    if json:
        say_json({"target": str(target), "space": space.name, **found.to_json()})
    else:
        _say(found, target, file)


def _say(found: Elsewhere, target: Target, file: Path) -> None:
    from hwnas.cli.console import say, say_facts, say_table
    from hwnas.latency.estimate.rules import SAYS

    given, held_out = found.given, found.held_out
    spread = math.exp(found.model.calibration.log_spread)
    more = len(given.networks) - found.fitted
    say_facts([
        ("target", target), ("networks", f"{len(given.networks)} of {file.name}, column {given.column}"
                                         f"{f'; {found.fitted} of them, drawn at random, are fitted' if more else ''}"),
        *([("left out", f"{given.cut} whose output no image reaches")] if given.cut else []),
        *([("repeated", f"{given.repeated} rows; the median counts")] if given.repeated else []),
        ("executed", f"{found.model.rule}: {SAYS[found.model.rule]}"),
        ("error", f"{found.error:.1f} % mean, each network predicted from the others; a line in FLOPs "
                  f"{found.line_error:.1f} %"),
        ("interval", f"90 % of networks within a factor of {spread:.3f}"),
        *([("the others", f"{held_out.networks} of them are predicted with {held_out.mape:.1f} %, Kendall tau "
                          f"{held_out.kendall_tau:.3f}")] if held_out else []),
        ("model", found.path or f"not kept: {found.why_not}"),
    ])
    if len(found.rules) > 1:
        say("", "what each rule of execution would mean")
        say_table(("rule", "error", ""), [(rule, f"{fit.error:.1f} %", SAYS[rule])
                                          for rule, fit in found.rules.items()])

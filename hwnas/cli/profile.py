"""hwnas profile"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli.options import Json, takes

if TYPE_CHECKING:
    from hwnas.pipeline.standalone import Profiled

EPILOG = "Example: hwnas profile --target local --space mobile --data digits"


@takes("target", "precision", "batch", "threads", "tables", "space", "width_mult", "depth", "data", "imgsz", "seed")
def command(
    given: dict[str, Any],
    channels: Annotated[int | None, typer.Option("--channels", min=1, help="Channels of the input image.",
                                                 show_default="3", rich_help_panel="Data")] = None,
    classes: Annotated[int | None, typer.Option("--classes", min=1, help="Number of classes.", show_default="1000",
                                                rich_help_panel="Data")] = None,
    again: Annotated[bool, typer.Option("--again", help="Measure what the table has, too.")] = False,
    max_seconds: Annotated[float, typer.Option("--max-seconds", min=1, help="Of timing, at most.")] = 60.0,
    json: Json = False,
) -> None:
    """Time the blocks of a space on this machine, and check the sums.

    Only what the table of the target lacks is measured.
    """
    from hwnas.cli.watch import watching
    from hwnas.pipeline.standalone import profile_target, space_for
    from hwnas.target import load

    where = load(given.get("target", "local"), **{k: given.get(k) for k in ("precision", "batch", "threads")})
    space = space_for(given.get("space", "mobile"), data=given.get("data"), imgsz=given.get("imgsz"),
                      channels=channels, classes=classes, width_mult=given.get("width_mult", 1.0),
                      depth=given.get("depth"))
    tables = Path(given["tables"]) if "tables" in given else None
    with watching(json) as watch:
        found = profile_target(space, where, tables=tables, seed=given.get("seed", 0), again=again,
                               max_seconds=max_seconds, progress=watch.progress)
    _say(found, json)


def _say(found: Profiled, json: bool) -> None:
    from hwnas.cli.console import say, say_facts, say_json, say_table

    report = found.result.report
    if json:
        say_json({**report, "table": str(found.path), "largest_ms": found.largest_ms, "smallest_ms": found.smallest_ms})
        return
    measured = f"{report['measured']} blocks and {report['networks']} networks in {report['seconds']:.0f} s"
    say_facts([
        ("target", report["target"]), ("space", report["space"]),
        ("measured", measured if report["measured"] else "nothing: the table has it all (--again measures anew)"),
        ("largest", f"{found.largest_ms:.3f} ms predicted"), ("smallest", f"{found.smallest_ms:.3f} ms predicted"),
        ("table", found.path),
    ])
    kinds = (("calibrated", "held_out"), ("plain sum", "held_out_plain_sum"),
             ("sum of isolated blocks", "held_out_isolated_sum"))
    rows = [(name, e["networks"], f"{e['mape']:.1f} %", f"{e['bias']:+.1f} %", f"{e['within_5']:.0f} %",
             f"{e['within_10']:.0f} %", f"{e['kendall_tau']:.3f}")
            for name, key in kinds if (e := report.get(key))]
    if rows:
        say("\nerror on networks that were held out")
        say_table(("prediction", "networks", "mean", "bias", "within 5 %", "within 10 %", "Kendall tau"), rows)

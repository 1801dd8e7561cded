"""hwnas profile"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli.options import TARGET, Json, takes
from hwnas.progress import Progress, plural

if TYPE_CHECKING:
    from hwnas.pipeline.single_stage import Profiled
    from hwnas.runtime import Device
    from hwnas.space import Space, Variant
    from hwnas.target import Target

EPILOG = "Example: hwnas profile --target local --space mobile --data digits"

SIZE = ("space", "width_mult", "depth", "head", "head_width", "output_stride", "data", "task", "imgsz", "width")
VARIANTS = ("widths", "sizes")
Channels = Annotated[int | None, typer.Option("--channels", min=1, max=16, help="Channels of the input image.",
                                              show_default="3", rich_help_panel="Data")]
Classes = Annotated[int | None, typer.Option("--classes", min=1, max=100_000, help="Number of classes.",
                                             show_default="1000", rich_help_panel="Data")]
MaxSeconds = Annotated[float, typer.Option("--max-seconds", min=1, max=1e6, help="Of timing, at most.")]


@takes("target", *TARGET, "tables", *SIZE, *VARIANTS, "seed")
def command(
    given: dict[str, Any],
    channels: Channels = None,
    classes: Classes = None,
    device: Annotated[str | None, typer.Option("--device", help="Where to measure: ssh://[user@]host[:port].",
                                               show_default="this machine", rich_help_panel="Target")] = None,
    device_python: Annotated[str, typer.Option("--device-python", help="Python 3.8 or newer on the device.",
                                               rich_help_panel="Target")] = "python3",
    again: Annotated[bool, typer.Option("--again", help="Measure what the table has, too.")] = False,
    max_seconds: MaxSeconds = 60.0,
    adapt: Annotated[int | None, typer.Option("--adapt", metavar="N", show_default="time the blocks",
                                              help="Time N whole networks, 8 to 20, and adapt what is known from "
                                                   "elsewhere.")] = None,
    prior: Annotated[str | None, typer.Option("--prior", help="With --adapt: a table of elsewhere, or estimate.",
                                              show_default="the nearest at hand")] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Refuse if another process measures this table.")] = False,
    json: Json = False,
) -> None:
    """Time the blocks of a space on a device, and check the sums.

    Only what the table of the target lacks is measured. A table has one campaign at a time: a second process waits for
    the first and adds what is still missing. With --adapt some whole networks are timed in under 20 s, and no blocks:
    a table of another version, clock or device, or an estimate, becomes a model of this one. A detector or a segmenter
    is measured at every width that a compress would choose from.
    """
    from hwnas.errors import UsageError
    from hwnas.pipeline.display.watch import watching
    from hwnas.pipeline.single_stage import profile_target, spaces_for

    if adapt is None and prior is not None:
        raise UsageError("--prior is what --adapt starts from: add --adapt 20")
    if adapt is not None and again:
        raise UsageError("--again is of blocks, and --adapt measures none: leave one of them out")
    space, target = asked(given, channels, classes)
    spaces = spaces_for({name: given[name] for name in VARIANTS if name in given}, space)
    tables = Path(given["tables"]) if "tables" in given else None
    with watching(json) as watch:
        where = None
        if device is not None:
            from hwnas.pipeline.latencies.behind_ssh import ssh_device

            where = ssh_device(target, device, python=device_python, progress=watch.progress)
        if adapt is not None:
            _adapt(spaces, target, tables, where, adapt, prior, given.get("seed", 0), json, watch.progress)
            return
        try:
            first, *others = [
                (variant, profile_target(of, target, tables=tables, device=where, seed=given.get("seed", 0),
                                         again=again, max_seconds=max_seconds, wait=not no_wait,
                                         progress=watch.progress))
                for variant, of in spaces.items()
            ]
        except KeyboardInterrupt as err:
            err.add_note("What was timed so far is in the table: the same command, without --again, adds the rest")
            raise
    tell(first[1], json, dict(others))


def _adapt(spaces: Mapping[Variant, Space], target: Target, tables: Path | None, device: Device | None, count: int,
           prior: str | None, seed: int, json: bool, progress: Progress) -> None:
    from hwnas.cli.adapting import tell as tell_adapted
    from hwnas.pipeline.latencies.adapting import adapt_target

    made = {variant: adapt_target(of, target, tables=tables, device=device, count=count, prior=prior, seed=seed,
                                  progress=progress) for variant, of in spaces.items()}
    tell_adapted(made, next(iter(spaces.values())), target, json)


def asked(given: dict[str, Any], channels: int | None, classes: int | None) -> tuple[Space, Target]:
    """The space and the target that the flags describe."""
    from hwnas.pipeline.single_stage import space_for
    from hwnas.target import load

    target = load(given.get("target", "local"), **{name: given.get(name) for name in TARGET})
    space = space_for({name: given[name] for name in SIZE if name in given}, channels=channels, classes=classes)
    return space, target


def tell(found: Profiled, json: bool, others: Mapping[Variant, Profiled] | None = None) -> None:
    """Print what was measured and how well it predicts; of other variants of the space in a few words."""
    from hwnas.cli.console import note, say, say_facts, say_json, say_table

    report = found.result.report
    if json:
        more = {v.key: {**p.result.report, "largest_ms": p.largest_ms, "smallest_ms": p.smallest_ms}
                for v, p in (others or {}).items()}
        say_json({**report, "table": str(found.path), "largest_ms": found.largest_ms, "smallest_ms": found.smallest_ms,
                  "origin": found.origin, "warnings": list(found.warnings), "variants": more})
        return
    measured = (f"{plural(report['measured'], 'block')} and {plural(report['networks'], 'network')} in "
                f"{report['seconds']:.0f} s")
    say_facts([
        ("target", report["target"]), ("space", report["space"]),
        ("measured", measured if report["measured"] else "nothing: the table has it all (--again measures anew)"),
        *([("latencies", found.origin)] if found.origin else []),
        ("largest", f"{found.largest_ms:.3f} ms predicted"), ("smallest", f"{found.smallest_ms:.3f} ms predicted"),
        ("table", found.path),
    ])
    kinds = (("calibrated", "held_out"), ("plain sum", "held_out_plain_sum"),
             ("sum of isolated blocks", "held_out_isolated_sum"))
    rows = [(name, e["networks"], f"{e['mape']:.1f} %", f"{e['bias']:+.1f} %", f"{e['within_5']:.0f} %",
             f"{e['within_10']:.0f} %", f"{e['kendall_tau']:.3f}")
            for name, key in kinds if (e := report.get(key))]
    if rows:
        say("", "error on networks that were held out")
        say_table(("prediction", "networks", "mean", "bias", "within 5 %", "within 10 %", "Kendall tau"), rows)
    for variant, other in (others or {}).items():
        error = other.result.report.get("held_out")
        said = f", mean error {error['mape']:.1f} %" if error else ""
        say(f"{variant.told}: {plural(other.result.report['measured'], 'block')} measured; largest "
            f"{other.largest_ms:.3f} ms, smallest {other.smallest_ms:.3f} ms predicted{said}")
    for warning in dict.fromkeys(text for each in (found, *(others or {}).values()) for text in each.warnings):
        note(f"warning: {warning}")

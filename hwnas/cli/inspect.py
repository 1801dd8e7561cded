"""hwnas inspect"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli.options import Json, takes

if TYPE_CHECKING:
    from hwnas.pipeline.own_network.inspecting import Inspection

EPILOG = "Example: hwnas inspect net.onnx --imgsz 224"

Model = Annotated[str, typer.Argument(metavar="NETWORK", show_default=False,
                                      help="An .onnx or .pt2, module:factory, torchvision:NAME, timm:NAME.")]
Seconds = Annotated[float, typer.Option("--seconds", min=0, max=3600, help="Of timing its units; 0 times nothing.")]


@takes("imgsz", "width", "target", "runtime", "precision", "threads", "tables")
def command(given: dict[str, Any], network: Model, seconds: Seconds = 15.0, json: Json = False) -> None:
    """Show the units of your own trained network and what they take.

    Also what is in no unit, and why. `hwnas compress --model` chooses for every unit what it becomes and in which
    precision; --keep and --only take their names.
    """
    from hwnas.cli.console import say_json
    from hwnas.pipeline.display.watch import watching
    from hwnas.pipeline.own_network.inspecting import inspect_network

    with watching(json) as watch:
        found = inspect_network(network, seconds=seconds, progress=watch.progress, **given)
    if json:
        say_json(found.to_json())
    else:
        _say(found)


def _say(found: Inspection) -> None:
    from hwnas.cli.console import note, say, say_facts, say_table
    from hwnas.cli.result import count

    flow, times = found.cut.flow, found.times
    held = sum(flow.is_weighted(node) for unit in found.cut.units for node in unit.region.nodes)
    weighted = sum(map(flow.is_weighted, range(len(flow.nodes))))
    say_facts([
        ("network", found.network.name), ("input", " x ".join(map(str, found.network.input_shape))),
        ("outputs", ", ".join(f"{n} {' x '.join(map(str, flow.shapes.get(n, ('?',))))}" for n in flow.outputs)),
        ("nodes", len(flow.nodes)), ("multiply-accumulates", count(flow.work)),
        ("in units", f"{held} of {weighted} convolutions and products, in {len(found.cut.units)} units"),
        *([("as it is", f"{times.whole_ms:.3f} ms")] if times else []),
    ])
    precisions = list(dict.fromkeys(p for unit in found.cut.units for p in found.alone_ms(unit.name)))
    rows = []
    for unit in found.cut.units:
        alone = found.alone_ms(unit.name)
        shapes = " > ".join("x".join(map(str, shape[1:])) for shape in (unit.source_shape, unit.target_shape))
        rows.append((unit.name, shapes, f"{100 * unit.region.work / max(flow.work, 1):.1f} %", count(unit.params),
                     *(f"{alone[p]:.3f}" if p in alone else "" for p in precisions), unit.label))
    say_table(("unit", "shape", "work", "parameters", *(f"{p} alone, ms" for p in precisions), "what it is"), rows)
    note(*(f"warning: {warning}" for warning in found.warnings))
    if kept := found.kept():
        say("", "in no unit")
        say_table(("type", "nodes", "why"), kept)

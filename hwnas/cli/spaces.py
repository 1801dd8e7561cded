"""hwnas spaces"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hwnas.cli.completing import spaces
from hwnas.cli.options import OUT, Json, takes

EPILOG = "Example: hwnas spaces show mobile --imgsz 96 --classes 6"

Name = Annotated[str, typer.Argument(metavar="SPACE", help="A name of `hwnas spaces`, a .json or module:function.",
                                     show_default=False, autocompletion=spaces)]
Channels = Annotated[int | None, typer.Option("--channels", min=1, max=16, help="Channels of the input image.",
                                              show_default="3")]
Classes = Annotated[int | None, typer.Option("--classes", min=1, max=100_000, help="Number of classes.",
                                             show_default="1000")]


Out = Annotated[Path | None, typer.Option(*OUT, help="Write the space as a JSON file.", show_default=False)]


def make_group() -> typer.Typer:
    """`hwnas spaces` and what is below it."""
    group = typer.Typer(help="List what can be built; show prints one space.", invoke_without_command=True)
    group.callback()(command)
    group.command("list", epilog="Example: hwnas spaces list --json")(listing)
    group.command("show", epilog=EPILOG)(show)
    return group


def command(context: typer.Context, json: Json = False) -> None:
    """List what can be built."""
    if context.invoked_subcommand is None:
        listing(json)


def listing(json: Json = False) -> None:
    """List what can be built.

    Figures are for the default input, RGB, with 1000 classes.
    """
    from hwnas.cli.console import say, say_json, say_table
    from hwnas.cli.result import count
    from hwnas.pipeline.machine.inventory import spaces

    found = spaces()
    if json:
        say_json(found)
        return
    for broken in (s for s in found if "error" in s):
        say(f"space {broken['name']} does not build: {broken['error']}")
    rows = [(s["name"], s["imgsz"], s["choices"], s["ops"], f"{float(s['architectures']):.1e}",
             " - ".join(map(count, s["flops"])), " - ".join(map(count, s["params"])), s["about"])
            for s in found if "error" not in s]
    say_table(("space", "px", "choices", "ops", "networks", "FLOPs", "parameters", "about"), rows)


@takes("imgsz", "width", "width_mult", "depth", "head", "head_width", "output_stride")
def show(given: dict[str, Any], space: Name, channels: Channels = None, classes: Classes = None,
         out: Out = None, json: Json = False) -> None:
    """Print one space: its positions, what each may be, the shapes, and the range of its networks' costs.

    --out writes it as a file that --space takes, for you to change; --json prints the same, with its figures under
    the key facts.
    """
    from hwnas.cli.console import say, say_json
    from hwnas.files import write_json
    from hwnas.pipeline.machine.inventory import space_facts
    from hwnas.pipeline.single_stage import space_for
    from hwnas.space import space_to_json

    found = space_for({"space": space, **given}, channels=channels, classes=classes)
    document = space_to_json(found)
    if out is not None:
        write_json(out, document)
    if json:
        say_json({**document, "facts": space_facts(found)})
    else:
        _say(space_facts(found))
        if out is not None:
            say(f"written to {out}")


def _say(found: dict[str, Any]) -> None:
    from hwnas.cli.console import say_facts, say_table
    from hwnas.cli.result import count, size

    config = found["space"]
    width = config["width"] or config["imgsz"]
    say_facts([
        ("space", config["name"]), ("input", f"{config['in_channels']} x {config['imgsz']} x {width}"),
        ("classes", config["classes"]), ("choices", found["choices"]),
        ("networks", f"{int(found['architectures']):,}"), ("FLOPs", " to ".join(map(count, found["flops"]))),
        ("parameters", " to ".join(map(count, found["params"]))),
        ("activations", " to ".join(map(size, found["memory_bytes"]))),
    ])
    shape = " x ".join
    rows = [(p["name"], shape(map(str, p["reads"])), shape(map(str, p["writes"])), len(p["ops"]),
             " - ".join(map(count, sorted({min(p["flops"]), max(p["flops"])}))), ", ".join(p["ops"]))
            for p in found["positions"]]
    say_table(("position", "reads", "writes", "ops", "FLOPs", "which"), rows)

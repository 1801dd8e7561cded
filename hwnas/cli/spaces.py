"""hwnas spaces"""

from __future__ import annotations

from hwnas.cli.options import Json

EPILOG = "Example: hwnas spaces"


def command(json: Json = False) -> None:
    """List what can be built.

    Figures are for the default input, RGB, with 1000 classes.
    """
    from hwnas.cli.console import say_json, say_table
    from hwnas.cli.result import count
    from hwnas.pipeline.inventory import spaces

    found = spaces()
    if json:
        say_json(found)
        return
    rows = [(s["name"], s["imgsz"], s["choices"], s["ops"], f"{float(s['architectures']):.1e}",
             " - ".join(map(count, s["flops"])), " - ".join(map(count, s["params"])), s["about"]) for s in found]
    say_table(("space", "px", "choices", "ops", "networks", "FLOPs", "parameters", "about"), rows)

"""hwnas targets"""

from __future__ import annotations

from hwnas.cli.options import Json

EPILOG = "Example: hwnas targets --json"


def command(json: Json = False) -> None:
    """List the devices that networks can be made for."""
    from hwnas.cli.console import say_json, say_table
    from hwnas.pipeline.inventory import targets

    found = targets()
    if json:
        say_json(found)
        return
    rows = [(t["name"], t["runtime"], t["precision"], t["batch"], t["threads"], "yes" if t["table"] else "not yet",
             t["description"]) for t in found]
    say_table(("target", "runtime", "precision", "batch", "threads", "table", "description"), rows)

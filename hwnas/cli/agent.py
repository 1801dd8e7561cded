"""hwnas agent"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hwnas.cli.options import TARGET, Json, takes
from hwnas.cli.profile import SIZE, Channels, Classes, MaxSeconds, asked, tell

EPILOG = "Example: hwnas agent export orin-job --target jetson-orin-nano --space mobile"
IMPORT_EPILOG = "Example: hwnas agent import orin-job"


def make_group() -> typer.Typer:
    """`hwnas agent export` and `hwnas agent import`."""
    group = typer.Typer(help="Measure a device by a folder that is carried there.",
                        no_args_is_help=True)
    group.command("export", epilog=EPILOG)(_export)
    group.command("import", epilog=IMPORT_EPILOG)(_import)
    return group


@takes("target", *TARGET, *SIZE, "seed")
def _export(
    given: dict[str, Any],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to make.", show_default=False)],
    channels: Channels = None,
    classes: Classes = None,
    max_seconds: MaxSeconds = 60.0,
    runtime_version: Annotated[str, typer.Option("--runtime-version", help="Of TensorRT on the device, e.g. 10.3.",
                                                 rich_help_panel="Target", show_default="the newest")] = "",
    json: Json = False,
) -> None:
    """Make the folder to copy to the device.

    It holds the agent, the models and what to type. `hwnas profile --device` does the same over ssh.
    """
    from hwnas.cli.console import say_facts, say_json
    from hwnas.pipeline.commands import shell
    from hwnas.pipeline.latencies.remote_profiling import export_job

    space, target = asked(given, channels, classes)
    job = export_job(space, target, folder, seed=given.get("seed", 0), max_seconds=max_seconds,
                     runtime_version=runtime_version)
    models = sum(len(part.models) for part in job.job.parts)
    size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if json:
        say_json({"folder": str(folder), "target": str(target), "space": space.name, "models": models,
                  "size_bytes": size_bytes})
        return
    say_facts([("target", target), ("space", space.name), ("models", models), ("size", f"{size_bytes / 1e6:.0f} MB"),
               ("on the device", "python3 hwnas-agent.pyz"), ("then here", shell("hwnas", "agent", "import", folder))])


def _import(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The exported folder, with results.jsonl copied back.",
                                           show_default=False)],
    tables: Annotated[Path | None, typer.Option("--tables", help="Folder of latency tables.",
                                                show_default="the user's cache")] = None,
    json: Json = False,
) -> None:
    """Turn what came back into the table of the target."""
    from hwnas.pipeline.display.watch import watching
    from hwnas.pipeline.latencies.remote_profiling import import_job

    with watching(json) as watch:
        found = import_job(folder, tables=tables, progress=watch.progress)
    tell(found, json)

"""Tables of devices that are not this machine, by a folder that is carried there and back."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from hwnas.device import FolderJob
from hwnas.device.folder import EXPORT
from hwnas.errors import InputError
from hwnas.files import write_bytes
from hwnas.latency import LatencyModel, table_path
from hwnas.latency.header import device_differences
from hwnas.latency.merge import merge
from hwnas.pipeline.exported.inference import fingerprint
from hwnas.pipeline.latencies.behind_ssh import check_elsewhere
from hwnas.pipeline.latencies.origin import device_name, misfit, origin
from hwnas.pipeline.latencies.tables import default_folder
from hwnas.pipeline.single_stage import Profiled
from hwnas.profile import ProfileResult, measure, planned
from hwnas.progress import Progress, silent
from hwnas.runtime.agent_job import Setup
from hwnas.space import Space, SpaceConfig, build
from hwnas.target import Target
from hwnas.validation import Count, Name, Schema, checked


class AboutSchema(Schema):
    """What a job was made from."""

    space: dict[Name, Any]
    target: dict[Name, Any]
    seed: Count
    max_seconds: Annotated[float, Field(ge=0, le=1e7)]


def export_job(space: Space, target: Target, folder: Path, *, seed: int = 0, max_seconds: float = 60.0,
               runtime_version: str = "") -> FolderJob:
    """A folder to carry to the device of a target: all that a new table of a space takes.

    Args:
        max_seconds: of timing there, at most.
        runtime_version: of the library there, where the form of the models depends on it and it is not installed here.

    Raises:
        UsageError: the target is this machine.
        InputError: the folder is not empty or cannot be written.
    """
    check_elsewhere(target)
    setup = Setup(target.runtime, target.threads, target.precision, target.batch, target.cores)
    about = {"space": space.config.to_json(), "target": target.model_dump(mode="json"), "seed": seed,
             "max_seconds": max_seconds}
    parts = planned(space, target, seed=seed, max_seconds=max_seconds, runtime_version=runtime_version)
    return FolderJob.write(folder, setup, parts, about)


def import_job(folder: Path, *, tables: Path | None = None, progress: Progress = silent) -> Profiled:
    """Turn the results of an exported folder into the table of its target; merged into the table there is, if any.

    Args:
        tables: folder of tables; None takes the user's cache.

    Raises:
        InputError: the folder is none, or its results are missing, broken, of other models or of another device.
        TableError: the table that is there is of another device, or the times contradict each other.
    """
    job = FolderJob.read(folder)
    about = checked(AboutSchema, dict(job.about), f"{folder / EXPORT}: about", way_out="export and measure again")
    space = build(SpaceConfig.from_json(about.space, f"{folder / EXPORT}: about.space"))
    target = checked(Target, about.target, f"{folder / EXPORT}: about.target")
    seed, max_seconds = about.seed, about.max_seconds
    device = job.results()
    made_on = device.fingerprint().to_json()
    if why := misfit(target, made_on):
        raise InputError(f"the results in {folder} were measured on {device_name(made_on)}, which is no {target.name}: "
                         f"{why}. Run the agent on the device, or give that one a target of its own and export for it")
    path = table_path(tables or default_folder(), target)
    with tempfile.TemporaryDirectory() as scratch:
        new = Path(scratch) / path.name
        found = measure(space, target, new, device=device, seed=seed, max_seconds=max_seconds, progress=progress)
        if path.is_file():
            table, _ = merge([path, new], progress=progress)
            found = ProfileResult(LatencyModel.from_table(table, space), found.report)
        else:
            write_bytes(path, new.read_bytes())
    largest, smallest = (found.model.predict(a).latency_ms for a in (space.largest(), space.smallest()))
    return Profiled(found, path, largest, smallest, _origin(target, made_on))


def _origin(target: Target, made_on: Mapping[str, Any]) -> str:
    machine = fingerprint(target)
    here = machine is not None and not device_differences(made_on, machine.to_json())
    return origin("measured", target, made_on, here=here)

"""A job for a device that cannot be reached: a folder to copy there by hand, and the sweeps that come back.

    hwnas-agent.pyz   the agent, one file
    job.json          what it measures: setting, parts, plans
    models/           what it loads, by sha256
    export.json       what the job was made from; only the way back reads it
    README.txt        what to type on the device
    results.jsonl     written there
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.device.bundle import bundle
from hwnas.documents import read_json
from hwnas.errors import InputError
from hwnas.files import read_lines, write_bytes, write_json
from hwnas.progress import plural
from hwnas.runtime import Device, Fingerprint, Sweep, SweepPlan
from hwnas.runtime.agent import JOB, read_job
from hwnas.runtime.agent_job import SCHEMA, Job, Part, Setup, digest
from hwnas.runtime.agent_store import RESULTS, job_hash
from hwnas.runtime.device import check_sweep
from hwnas.validation import Name, Schema, checked

AGENT, EXPORT, README = "hwnas-agent.pyz", "export.json", "README.txt"
_TEXT = """Measures {models} models on a device ({runtime}, {precision}, {threads} thread(s)), for hwnas.

1. Copy this folder to the device. It needs Python 3.8 or newer, numpy and {runtime}, and no rights.
2. Type there, in this folder:

       python3 {agent}

   It takes at most {minutes} of measuring, plus loading. Leave the device alone meanwhile. A run that was
   stopped goes on where it was when the same command is typed again.
3. Copy {results} back into this folder and type:

       hwnas agent import {folder}
"""


class ExportSchema(Schema):
    """The keys of export.json beside its version; who reads the results reads `about`."""

    about: dict[Name, Any]


@dataclass(frozen=True)
class FolderJob:
    """An exported folder.

    Args:
        folder: where it lies.
        job: what is measured.
        about: what `write` was given for the way back.
    """

    folder: Path
    job: Job
    about: Mapping[str, Any]

    @classmethod
    def write(
        cls, folder: Path, setup: Setup, parts: Iterable[tuple[Mapping[str, bytes], SweepPlan]],
        about: Mapping[str, Any],
    ) -> FolderJob:
        """Export a job.

        Args:
            folder: made; must not exist, or be empty.
            parts: models that are swept together, and how.
            about: JSON for whoever reads the results.

        Raises:
            InputError: the folder is not empty or cannot be written.
        """
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} is there and is not an empty folder: give another one")
        found = []
        for models, plan in parts:
            names = {name: digest(model) for name, model in models.items()}
            for name, model in models.items():
                path = folder / "models" / f"{names[name]}.onnx"
                if not path.exists():
                    write_bytes(path, model)
            found.append(Part(names, plan))
        job = Job(setup, tuple(found))
        write_bytes(folder / AGENT, bundle())
        write_json(folder / EXPORT, {"hwnas_export": SCHEMA, "about": dict(about)})
        write_bytes(folder / README, _readme(folder, job).encode())
        write_json(folder / JOB, job.to_json())
        return cls(folder, job, dict(about))

    @classmethod
    def read(cls, folder: Path) -> FolderJob:
        """Read an exported folder.

        Raises:
            InputError: it is none.
        """
        job, export = read_job(folder), read_json(folder / EXPORT)
        if not isinstance(export, dict) or export.get("hwnas_export") != SCHEMA:
            raise InputError(f"{folder / EXPORT} is not of schema {SCHEMA}: export the job again with this version")
        return cls(folder, job, checked(ExportSchema, export, str(folder / EXPORT), way_out="export it again").about)

    def results(self) -> RecordedDevice:
        """The device as it was recorded.

        Raises:
            InputError: there are no results, or they are of another job, broken or incomplete.
        """
        path = self.folder / RESULTS
        if not path.is_file():
            raise InputError(f"no {RESULTS} in {self.folder}: run `python3 {AGENT}` on the device and copy it back")
        header, *lines = read_lines(path) or [None]
        if not isinstance(header, dict) or header.get("hwnas_results") != SCHEMA:
            raise InputError(f"{path}, line 1: not results of schema {SCHEMA}")
        if header.get("job") != job_hash(self.job):
            raise InputError(f"{path} is of another job than {self.folder / JOB}: copy the one of this folder back")
        made = [_sweeps_of(path, lines, index, part) for index, part in enumerate(self.job.parts)]
        return RecordedDevice(Fingerprint.from_json(header.get("device")), self.job.parts, made)


class RecordedDevice(Device):
    """Sweeps that were made before; each job of models gives those of the part with the same models, and ends.

    Args:
        fingerprint: the device that made them.
        parts: what was measured.
        made: the sweeps of each part.
    """

    def __init__(self, fingerprint: Fingerprint, parts: tuple[Part, ...], made: list[list[Sweep]]) -> None:
        self._fingerprint, self._parts, self._made = fingerprint, parts, made

    def fingerprint(self) -> Fingerprint:
        return self._fingerprint

    @contextmanager
    def sweeps(self, models: Mapping[str, bytes], plan: SweepPlan) -> Iterator[Iterator[Sweep]]:
        wanted = {name: digest(model) for name, model in models.items()}
        for part, made in zip(self._parts, self._made, strict=True):
            if part.models == wanted and part.plan.sentinels == plan.sentinels:
                yield iter(made)
                return
        raise InputError(
            "these results are not of the models that are asked for: they were exported by another version of hwnas or "
            "of onnx, or with other options; import with those, or export and measure again"
        )


def _sweeps_of(path: Path, lines: list[Any], index: int, part: Part) -> list[Sweep]:
    """The sweeps of one part, in order and each once."""
    made = []
    for number, line in enumerate(lines, 2):
        if not isinstance(line, dict) or not isinstance(line.get("part"), int):
            raise InputError(f"{path}, line {number} is no sweep of a part: copy it again")
        if line["part"] == index:
            made.append(_sweep(f"{path}, line {number}", line, part))
    if not made:
        raise InputError(f"{path} lacks part {index + 1}: run the agent on the device until it says done")
    if [sweep.number for sweep in made] != list(range(len(made))):
        raise InputError(f"{path}: the sweeps of part {index + 1} are not numbered one after the other: copy it again")
    return made


def _sweep(where: str, line: Any, part: Part) -> Sweep:
    try:
        sweep = Sweep.from_json(line)
        check_sweep(sweep, part.models, part.plan)
    except InputError as err:
        raise InputError(f"{where}: {err}: copy it again") from err
    return sweep


def _readme(folder: Path, job: Job) -> str:
    setup = job.setup
    return _TEXT.format(
        models=sum(len(part.models) for part in job.parts), runtime=setup.runtime, precision=setup.precision,
        threads=setup.threads, agent=AGENT, results=RESULTS, folder=folder.name,
        minutes=plural(round(sum(part.plan.max_seconds for part in job.parts) / 60 + 0.5), "minute"),
    )

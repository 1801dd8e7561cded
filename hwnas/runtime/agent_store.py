"""A job's folder on the device: models by their hash, and the sweeps that were made.

    models/<sha256>.onnx
    results.jsonl          a header, then one line a sweep; a torn last line is cut off
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hwnas.documents import json_value, read_bytes
from hwnas.errors import InputError
from hwnas.runtime.agent_job import SCHEMA, Job, check_digest, digest
from hwnas.runtime.device import Sweep
from hwnas.runtime.fingerprint import Fingerprint
from hwnas.runtime.onnx_file import LARGEST_MODEL

RESULTS = "results.jsonl"


class Store:
    """The folder.

    Args:
        folder: made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._models = folder / "models"

    def stored(self) -> list[str]:
        """Hashes of the models that are there."""
        return sorted(path.stem for path in self._models.glob("*.onnx"))

    def put(self, name: str, blocks: Iterable[bytes]) -> None:
        """Store a model under its hash; whole or not at all.

        Raises:
            InputError: the bytes do not have that hash, or the disk is full.
        """
        data = b"".join(blocks)
        if digest(data) != check_digest(name):
            raise InputError(f"model {name[:12]}... did not arrive whole")
        path = self._models / f"{name}.onnx"
        beside = path.with_suffix(".part")
        try:
            self._models.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(data)
            os.replace(beside, path)
        except OSError as err:
            raise InputError(disk_error(self.folder, err)) from err

    def model(self, name: str) -> bytes:
        """A model by its hash.

        Raises:
            InputError: it is not there, or is not what its name says.
        """
        path = self._models / f"{check_digest(name)}.onnx"
        try:
            data = read_bytes(path, LARGEST_MODEL)
        except InputError as err:
            raise InputError(f"{err}; copy the whole folder") from err
        if digest(data) != name:
            raise InputError(f"{path} is not what was exported: copy it again")
        return data

    def begin(self, job: Job, device: Fingerprint) -> list[dict[str, Any]]:
        """Make the results of `job` the ones that are appended to.

        Returns:
            What was measured for the same job on the same device before; else nothing, and the file is begun anew.

        Raises:
            InputError: the disk is full or the folder not writable.
        """
        header = {"hwnas_results": SCHEMA, "job": job_hash(job), "device": device.to_json()}
        lines = self._whole_lines()
        if lines and _continues(lines[0], header, device):
            return lines[1:]
        path = self.folder / RESULTS
        try:
            if lines:
                os.replace(path, path.with_suffix(".old.jsonl"))
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_line(header))
        except OSError as err:
            raise InputError(disk_error(self.folder, err)) from err
        return []

    def append(self, line: Mapping[str, Any]) -> None:
        """Append one sweep.

        Raises:
            InputError: the disk is full, or the folder is gone.
        """
        try:
            with (self.folder / RESULTS).open("rb+") as file:  # not 'ab': a folder that is gone stays gone
                file.seek(0, os.SEEK_END)
                file.write(_line(line))
                file.flush()
        except OSError as err:
            raise InputError(disk_error(self.folder, err)) from err

    def _whole_lines(self) -> list[dict[str, Any]]:
        """Lines of the results, after a torn last one was cut off; none if the file is not there or broken."""
        try:
            with (self.folder / RESULTS).open("rb+") as file:
                data = file.read()
                whole = data.rfind(b"\n") + 1
                file.truncate(whole)
            lines = [json_value(line, str(self.folder / RESULTS)) for line in data[:whole].splitlines()]
            return lines[:1] + [_checked(line) for line in lines[1:]]
        except (OSError, InputError):
            return []


def _continues(found: Any, header: Mapping[str, Any], device: Fingerprint) -> bool:
    """Whether results are of the same job and device; the clock of the moment may differ."""
    if not isinstance(found, dict) or any(found.get(key) != header[key] for key in ("hwnas_results", "job")):
        return False
    try:
        return not Fingerprint.from_json(found.get("device")).same_device(device)
    except InputError:
        return False


def _checked(line: Any) -> dict[str, Any]:
    """A line of results, if it is a sweep."""
    Sweep.from_json(line)
    found: dict[str, Any] = line
    return found


def job_hash(job: Job) -> str:
    """What says that results belong to a job."""
    return digest(json.dumps(job.to_json(), sort_keys=True).encode())


def disk_error(folder: Path, err: OSError) -> str:
    """One line on a failed write, with what to do."""
    if err.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(folder if folder.exists() else folder.parent).free
        return f"the disk is full ({free / 1e6:.0f} MB free at {folder}): make room, or set TMPDIR to a larger disk"
    return f"cannot write to {folder}: {err.strerror or err}"


def _line(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, allow_nan=False) + "\n").encode()

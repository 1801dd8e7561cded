"""What a device compiles from a model, kept for the next start: OpenVINO's blobs, TensorRT's engines.

It is of use with this model, these versions, this device and these settings alone: each combination has a folder of
its own, others are removed, and one that is damaged or was cut off is emptied and filled anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.documents import read_json
from hwnas.errors import InputError
from hwnas.files import sha256, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "HWNAS_BUNDLE_CACHE"
SEAL = "sealed.json"
_NAME_DIGITS = 16
KEPT, BUILT, REBUILT, NONE = "kept", "built", "rebuilt", "none"


class Cache:
    """A folder of compiled models.

    Args:
        folder: made when it is first used; where it cannot be, nothing is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def place(self, made_for: Mapping[str, Any]) -> Iterator[tuple[Path | None, str]]:
        """The folder for what is compiled in this block, and whether it is there already.

        Args:
            made_for: all that the compiled form depends on, as JSON values.

        Yields:
            (folder, 'kept', 'built' or 'rebuilt'); (None, 'none') where nothing can be written.
        """
        name = hashlib.sha256(json.dumps(made_for, sort_keys=True).encode()).hexdigest()[:_NAME_DIGITS]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = open(self.folder / ".lock", "a")  # noqa: SIM115 - closed below
        except OSError:
            yield None, NONE
            return
        with lock:
            _wait_for(lock)
            found = self.folder / name
            state = self._ready(found)
            yield found, state
            if state != KEPT:
                with contextlib.suppress(OSError, InputError):  # a full disk: the next start compiles again
                    _seal(found, made_for)

    def _ready(self, found: Path) -> str:
        """Keep `found` if it is whole, else make it empty; remove what was made for something else."""
        others = [p for p in self.folder.iterdir() if p.is_dir() and len(p.name) == _NAME_DIGITS and p != found]
        for other in others:
            shutil.rmtree(str(other), ignore_errors=True)
        if _whole(found):
            return KEPT
        state = REBUILT if others or found.is_dir() else BUILT
        shutil.rmtree(str(found), ignore_errors=True)
        found.mkdir()
        return state


def _whole(folder: Path) -> bool:
    """Whether the block that filled it ended, and its files are as they were then."""
    try:
        told = read_json(folder / SEAL)
        return bool(told["files"]) and all(sha256(folder / name) == digest for name, digest in told["files"].items())
    except Exception:  # missing, torn, or of another form: all mean the same
        return False


def _seal(folder: Path, made_for: Mapping[str, Any]) -> None:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    if files:
        sums = {path.relative_to(folder).as_posix(): sha256(path) for path in files}
        write_json(folder / SEAL, {"made_for": dict(made_for), "files": sums})


def _wait_for(lock: Any) -> None:
    """One process compiles, the others wait; where the system has no such locks they all compile."""
    try:
        import fcntl
    except ImportError:
        return
    with contextlib.suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX)


def folder_of(bundle: Path) -> Path:
    """$HWNAS_BUNDLE_CACHE, or `cache` in the bundle."""
    return Path(os.environ.get(VARIABLE) or bundle / "cache")

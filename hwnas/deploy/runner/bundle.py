"""A bundle on disk: what it says of itself, and whether its files are those that were written.

| file                 | what                                                                  |
|----------------------|-----------------------------------------------------------------------|
| model.onnx           | the network; model.xml and model.bin beside it for OpenVINO            |
| model.json           | inputs, outputs, preprocessing, classes, task, promise, provenance     |
| samples.npz          | images and the outputs that the model must give for them               |
| anchors.npz          | of a detector: where its predictions stand                             |
| reference.onnx       | where the promise was measured: what tells how fast the device is now  |
| bundle.py, runner/   | predict and verify, for the device                                     |
| Dockerfile           | an image of the bundle; beside it what the image leaves out            |
| README.md            | what to type there                                                     |
| SHA256SUMS           | of all of these; `sha256sum -c` reads it                               |
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.documents import read_json
from hwnas.errors import InputError
from hwnas.files import sha256

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

SCHEMA, VERSION = "hwnas_bundle", 1
SUMS, DESCRIPTION, MODEL, IR, SAMPLES, ANCHORS, REFERENCE = (
    "SHA256SUMS", "model.json", "model.onnx", "model.xml", "samples.npz", "anchors.npz", "reference.onnx"
)
NEEDED = (DESCRIPTION, MODEL, SAMPLES)
_DIGITS = 64


class Bundle:
    """A folder that `hwnas deploy` wrote.

    Args:
        folder: where it lies; every file is compared with its hash.

    Attributes:
        facts: content of model.json.

    Raises:
        InputError: no bundle, one of another version, or a file that is missing or was changed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        check_files(self.folder)
        self.facts: dict[str, Any] = _described(self.folder / DESCRIPTION)

    @property
    def task(self) -> str:
        """'classify', 'detect' or 'segment'."""
        return str(self.facts["task"])

    @property
    def classes(self) -> list[str]:
        return [str(name) for name in self.facts["classes"]]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input, px."""
        wanted = self.facts["preprocessing"]
        return int(wanted["height"]), int(wanted["width"])

    @property
    def model(self) -> bytes:
        """The ONNX file."""
        return (self.folder / MODEL).read_bytes()

    @property
    def reference(self) -> bytes | None:
        """The ONNX file that is timed beside the model; None where none travels with it."""
        path = self.folder / REFERENCE
        known = self.facts["latency"].get("reference_ms") is not None
        return path.read_bytes() if known and path.is_file() else None

    def arrays(self, name: str) -> dict[str, Array]:
        """The arrays of an .npz of the bundle.

        Raises:
            InputError: it holds anything but plain arrays.
        """
        path = self.folder / name
        try:
            with np.load(str(path), allow_pickle=False) as stored:
                return {key: stored[key] for key in stored.files}
        except Exception as err:  # numpy and zipfile raise nearly every type on damaged bytes
            raise InputError(f"{path} cannot be read: {err}; copy the bundle again") from err


def check_files(folder: Path) -> None:
    """Compare every file of a bundle with its hash.

    Raises:
        InputError: SHA256SUMS is missing or broken, or a file is missing or was changed; names the first.
    """
    sums = _sums(folder)
    for name in NEEDED:
        if name not in sums:
            raise InputError(f"{folder / SUMS} does not list {name}: copy the bundle again")
    for name, wanted in sums.items():
        path = folder / name
        if not path.is_file():
            raise InputError(f"{path}, which {SUMS} lists, is missing: copy the bundle again")
        try:
            found = sha256(path)
        except OSError as err:
            raise InputError(f"cannot read {path}: {err.strerror or err}") from err
        if found != wanted:
            raise InputError(f"{path} is not the file that was deployed (SHA-256 {found[:12]}, not {wanted[:12]}): "
                             "copy the bundle again")


def _sums(folder: Path) -> dict[str, str]:
    path = folder / SUMS
    if not path.is_file():
        raise InputError(f"{folder} is not a bundle: it has no {SUMS}; make one with `hwnas deploy RUN -o BUNDLE`")
    found = {}
    for number, line in enumerate(path.read_bytes().decode("utf-8", "replace").splitlines(), 1):
        digest, _, name = line.partition("  ")
        inside = name and not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts
        if len(digest) != _DIGITS or not inside:
            raise InputError(f"{path}, line {number} is not 'hash  file': copy the bundle again")
        found[name] = digest
    return found


def _described(path: Path) -> dict[str, Any]:
    facts = read_json(path)
    if not isinstance(facts, dict) or facts.get(SCHEMA) != VERSION:
        raise InputError(f'{path}: the key "{SCHEMA}" must be {VERSION}: make the bundle again with this version')
    return facts

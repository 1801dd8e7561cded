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

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from hwnas.deploy.runner.schema import check_facts, check_places, check_samples, contract_of, read_arrays
from hwnas.documents import MIB, read_bytes, read_json, read_text
from hwnas.errors import InputError
from hwnas.files import sha256
from hwnas.runtime.onnx_file import LARGEST_MODEL

if TYPE_CHECKING:
    from hwnas.deploy.runner.schema import Array
    from hwnas.imaging.contract import InputContract

SCHEMA, VERSION = "hwnas_bundle", 1
SUMS, DESCRIPTION, MODEL, IR, SAMPLES, ANCHORS, REFERENCE = (
    "SHA256SUMS", "model.json", "model.onnx", "model.xml", "samples.npz", "anchors.npz", "reference.onnx"
)
NEEDED = (DESCRIPTION, MODEL, SAMPLES)
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_INSIDE = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._/@+-]{0,300}\Z")  # never absolute, on no system


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
        """What the model is for; how it answers is told by `schema.kind_of`."""
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
    def contract(self) -> InputContract:
        """How an image becomes the input."""
        return contract_of(self.facts["preprocessing"])

    @property
    def model(self) -> bytes:
        """The ONNX file."""
        return read_bytes(self.folder / MODEL, LARGEST_MODEL)

    @property
    def reference(self) -> bytes | None:
        """The ONNX file that is timed beside the model; None where none travels with it."""
        path = self.folder / REFERENCE
        known = self.facts["latency"].get("reference_ms") is not None
        return read_bytes(path, LARGEST_MODEL) if known and path.is_file() else None

    def arrays(self, name: str) -> dict[str, Array]:
        """The arrays of an .npz of the bundle.

        Raises:
            InputError: it holds anything but plain arrays.
        """
        return read_arrays(self.folder / name)

    def samples(self) -> tuple[Array, list[Array]]:
        """Images, uint8 (N, H, W, C), and the outputs that the model must give for them.

        Raises:
            InputError: they are not of this model.
        """
        return check_samples(self.arrays(SAMPLES), self.facts, str(self.folder / SAMPLES))

    def places(self) -> dict[str, Array]:
        """Where the predictions of a detector stand.

        Raises:
            InputError: they are not of this model.
        """
        found = self.arrays(ANCHORS)
        check_places(found, self.facts["detection_head"], str(self.folder / ANCHORS))
        return found


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
    for number, line in enumerate(read_text(path, MIB).splitlines(), 1):
        digest, _, name = line.partition("  ")
        if not _DIGEST.match(digest) or not _INSIDE.match(name) or ".." in PurePosixPath(name).parts:
            raise InputError(f"{path}, line {number} is not 'hash  file': copy the bundle again")
        found[name] = digest
    return found


def _described(path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = read_json(path)
    if not isinstance(facts, dict) or facts.get(SCHEMA) != VERSION:
        raise InputError(f'{path}: the key "{SCHEMA}" must be {VERSION}: make the bundle again with this version')
    check_facts(facts, str(path))
    return facts

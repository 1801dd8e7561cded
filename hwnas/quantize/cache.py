"""Quantised models on disk, so that a network is calibrated once."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from hwnas.errors import InputError
from hwnas.files import write_bytes
from hwnas.quantize.forms import Samples, to_form

LIMIT_BYTES = 512 * 2**20
_DIGEST = 32


def cached(model: bytes, form: str, *, samples: Samples | None = None, variant: str = "u8s8",
           folder: Path | None = None) -> bytes:
    """`to_form`, or what it gave before for the same model, samples and versions.

    An entry that is damaged is made again; those not used for longest go when the folder exceeds 512 MiB. Where the
    folder cannot be written nothing is kept.

    Args:
        samples: read once to name the entry and once to calibrate, so a generator is turned into a list.
        folder: None takes hwnas/quantized in the user's cache folder.

    Raises:
        UnknownName, InputError: as `to_form`.
    """
    if form == "fp32":
        return model
    kept = None if samples is None else list(samples)
    where = folder or default_folder()
    path = where / f"{_key(model, form, kept, variant)}.onnx"
    if (found := _read(path)) is not None:
        return found
    made = to_form(model, form, samples=kept, variant=variant)
    with contextlib.suppress(InputError):
        write_bytes(path, hashlib.sha256(made).digest() + made)
        _trim(where, path)
    return made


def default_folder() -> Path:
    """hwnas/quantized in $XDG_CACHE_HOME or ~/.cache."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "hwnas" / "quantized"


def _key(model: bytes, form: str, samples: Iterable[Mapping[str, NDArray[Any]]] | None, variant: str) -> str:
    digest = hashlib.sha256(f"{_code()} {onnxruntime.__version__} {form} {variant} {samples is None}".encode())
    digest.update(hashlib.sha256(model).digest())
    for sample in samples or ():
        for name in sorted(sample):
            values = np.ascontiguousarray(sample[name])
            digest.update(f"{name} {values.dtype.str} {values.shape}".encode() + values.tobytes())
    return digest.hexdigest()


@functools.cache
def _code() -> str:
    """Hash of this room: another quantiser gives other models."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _read(path: Path) -> bytes | None:
    try:
        data = path.read_bytes()
        os.utime(path)  # what is used stays
    except OSError:
        return None
    body = data[_DIGEST:]
    return body if hashlib.sha256(body).digest() == data[:_DIGEST] else None


def _trim(folder: Path, keep: Path) -> None:
    """Remove the entries that were not used for longest while the folder is over its limit."""
    known = []
    for path in folder.glob("*.onnx"):
        try:
            known.append((path.stat().st_mtime, path.stat().st_size, path))
        except FileNotFoundError:  # another process trims, too
            continue
    total = sum(size for _, size, _ in known)
    for _, size, path in sorted(known, key=lambda item: item[0]):
        if total <= LIMIT_BYTES:
            return
        if path != keep:
            path.unlink(missing_ok=True)
            total -= size

"""TensorRT engines on disk: building one takes seconds to minutes, and it is of use on this GPU and version alone."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from hwnas.files import write_bytes

_DIGEST_BYTES = hashlib.sha256().digest_size


def default_folder() -> Path:
    """$HWNAS_ENGINES, or hwnas/engines in the user's cache folder."""
    if folder := os.environ.get("HWNAS_ENGINES"):
        return Path(folder)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "hwnas" / "engines"


class EngineCache:
    """Engines by what they were built from. An engine that is damaged is absent.

    Args:
        folder: where they lie; made when the first one is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, model: bytes, made_for: Mapping[str, str | int]) -> Path:
        """Where the engine of a model lies.

        Args:
            model: ONNX bytes.
            made_for: all else that the engine depends on: version, GPU, precision, batch.
        """
        words = json.dumps({**made_for, "model": hashlib.sha256(model).hexdigest()}, sort_keys=True)
        return self.folder / f"{hashlib.sha256(words.encode()).hexdigest()}.engine"

    def read(self, path: Path) -> bytes | None:
        """The engine, or None if there is none or its digest does not fit."""
        try:
            data = path.read_bytes()
        except OSError:
            return None
        digest, engine = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        return engine if engine and hashlib.sha256(engine).digest() == digest else None

    def write(self, path: Path, engine: bytes) -> None:
        """Keep an engine, whole or not at all.

        Raises:
            InputError: the folder is not writable or the disk is full.
        """
        write_bytes(path, hashlib.sha256(engine).digest() + engine)

"""hwnas: a network within your latency budget, measured on your device.

    import hwnas
    run = hwnas.compress(data="digits", budgets={"latency": "50%"})
    run = hwnas.load("hwnas-runs/digits-local-1")

The stages are verbs in their rooms: `hwnas.profile.measure`, `hwnas.search.run`, `hwnas.generate.solve` and `front`,
`hwnas.export.to_onnx` and `verify`. Nothing heavy is imported before it is used.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwnas.pipeline import RunFolder, compress, pick, resume

__version__ = "0.1.0"
__all__ = ["RunFolder", "compress", "load", "pick", "resume"]

_ROOMS = ("bench", "data", "deploy", "export", "generate", "latency", "nets", "pipeline", "profile", "runtime",
          "search", "space", "tasks", "train")


def load(run: str | Path) -> RunFolder:
    """A run folder that exists.

    Raises:
        hwnas.errors.RunError: no run there, or it was tampered with.
    """
    from hwnas.pipeline import RunFolder

    return RunFolder.open(Path(run))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("hwnas.pipeline"), name)
    if name in _ROOMS:
        return importlib.import_module(f"hwnas.{name}")
    raise AttributeError(f"module 'hwnas' has no attribute {name!r}")

"""How a model leaves for its device and answers there: bundles, their check, and an HTTP server. No torch.

    deploy_run(RunFolder.open("runs/cells"), Path("cells-bundle"))
    verify(Bundle(Path("cells-bundle"))).verdict()

`hwnas.deploy.runner` travels in every bundle and runs under Python 3.8 with numpy and the runtime alone;
`hwnas.deploy.server.serving` needs `pip install "hwnas[serve]"`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwnas.deploy.bundle_writer import Deployed, deploy_run, write_bundle
    from hwnas.deploy.runner.bundle import Bundle
    from hwnas.deploy.runner.checking import Finding, verify

__all__ = ["Bundle", "Deployed", "Finding", "deploy_run", "verify", "write_bundle"]

_HOMES = {"Bundle": "runner.bundle", "Finding": "runner.checking", "verify": "runner.checking"}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """On first use: the process that listens shall not hold what packs a run."""
    if name not in __all__:
        raise AttributeError(f"module 'hwnas.deploy' has no attribute {name!r}")
    return getattr(importlib.import_module(f"hwnas.deploy.{_HOMES.get(name, 'bundle_writer')}"), name)

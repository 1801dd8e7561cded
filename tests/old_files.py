"""A run folder and a bundle that hwnas 0.1.0 made, before its formats had schemas.

They were made at commit d125b7f by

    hwnas compress --data digits --limit 200 --depth 1 --width-mult 0.12 --target raspberry-pi-4 --flops 60% \
        --epochs 2 --warmup 1 --cycles 1 --settle 4 --top 2 --finalists 1 --trial-epochs 1 --torch-threads 1 --out run
    hwnas deploy run -o bundle --target raspberry-pi-4

and packed without report.html.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import tarfile
import tempfile
from pathlib import Path

ARCHIVE = Path(__file__).parent / "files_of_0_1" / "run-and-bundle.tar.xz"


@functools.cache
def unpacked() -> Path:
    """A folder that holds `run` and `bundle`; only to be read. It goes with the process."""
    folder = tempfile.mkdtemp(prefix="hwnas-old-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return Path(folder)


def copy_of(name: str, where: Path) -> Path:
    """A copy of `run` or `bundle` that a test may change."""
    shutil.rmtree(where, ignore_errors=True)
    return Path(shutil.copytree(unpacked() / name, where))

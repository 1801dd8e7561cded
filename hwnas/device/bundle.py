"""The agent as one file: a zipapp of what travels, without onnx, pydantic or anything else that a device may lack."""

from __future__ import annotations

import functools
import io
import zipfile
from pathlib import Path

TRAVELS = ("__init__.py", "documents.py", "errors.py", "files.py", "progress.py")  # and all of runtime/
_MAIN = "import sys\n\nfrom hwnas.runtime.agent import main\n\nsys.exit(main(sys.argv[1:]))\n"
_SHEBANG = b"#!/usr/bin/env python3\n"


@functools.cache
def bundle() -> bytes:
    """The zipapp: what travels and a start. The same bytes for the same sources."""
    root = Path(__file__).parents[1]
    paths = [*(root / name for name in TRAVELS), *sorted((root / "runtime").glob("*.py"))]
    out = io.BytesIO(_SHEBANG)
    out.seek(0, io.SEEK_END)
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_entry("__main__.py"), _MAIN)
        for path in paths:
            archive.writestr(_entry(f"hwnas/{path.relative_to(root).as_posix()}"), path.read_bytes())
    return out.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    """An entry with a fixed date, so that equal sources give equal bytes."""
    info = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info

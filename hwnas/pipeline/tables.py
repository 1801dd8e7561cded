"""Where latency tables of this user live."""

from __future__ import annotations

import os
from pathlib import Path


def default_folder() -> Path:
    """$HWNAS_TABLES, or hwnas/latency_tables in the user's cache folder."""
    if folder := os.environ.get("HWNAS_TABLES"):
        return Path(folder)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "hwnas" / "latency_tables"

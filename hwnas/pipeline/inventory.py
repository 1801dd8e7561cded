"""What is at hand: targets, spaces, latency tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.errors import TableError
from hwnas.latency import Table, table_path
from hwnas.pipeline.tables import default_folder
from hwnas.space import SPACES, SpaceConfig, build
from hwnas.target import data_folder, load, names


@dataclass(frozen=True)
class FoundTable:
    """A table file; `error` says why it cannot be read, and `table` is None then."""

    path: Path
    shipped: bool
    table: Table | None
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        if self.table is None:
            return {"path": str(self.path), "shipped": self.shipped, "error": self.error}
        return {
            "path": str(self.path), "shipped": self.shipped, "target": self.table.target,
            "source": self.table.source, "entries": len(self.table.entries), "device": self.table.device,
            "created": self.table.header.get("created"), "content_hash": self.table.content_hash,
        }


def tables(folder: Path | None = None) -> list[FoundTable]:
    """Tables of the user's folder, then those that ship.

    Args:
        folder: None takes the user's cache.
    """
    mine = _tables(sorted((folder or default_folder()).rglob("*.jsonl")), shipped=False)
    return mine + _tables(sorted(data_folder("latency_tables").rglob("*.jsonl")), shipped=True)


def _tables(paths: Iterable[Path], shipped: bool) -> list[FoundTable]:
    found = []
    for path in paths:
        try:
            found.append(FoundTable(path, shipped, Table.read(path)))
        except TableError as err:
            found.append(FoundTable(path, shipped, None, str(err)))
    return found


def targets(folder: Path | None = None) -> list[dict[str, Any]]:
    """Targets that ship, each with the path of its table, or None where it has none yet."""
    found = []
    for name in names():
        target = load(name)
        path = table_path(folder or default_folder(), target)
        found.append({**target.model_dump(), "table": str(path) if path.is_file() else None})
    return found


def spaces() -> list[dict[str, Any]]:
    """Built-in spaces at their default input, with 1000 classes and RGB."""
    found = []
    for name, about in SPACES.items():
        space = build(SpaceConfig(name, about.imgsz))
        largest, smallest = space.largest(), space.smallest()
        found.append({
            "name": name, "about": about.about, "imgsz": about.imgsz, "choices": len(space.choices),
            "ops": max(space.sizes), "architectures": str(space.size), "blocks": len(space.signatures),
            "flops": [smallest.flops, largest.flops], "params": [smallest.params, largest.params],
        })
    return found

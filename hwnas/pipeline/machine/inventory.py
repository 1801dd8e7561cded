"""What is at hand: targets, spaces, latency tables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.errors import HwnasError, TableError, UsageError
from hwnas.latency import Table, table_path
from hwnas.latency.header import runtime_name
from hwnas.pipeline.latencies.tables import default_folder, shipped_folder
from hwnas.space import SPACES, Architecture, Op, Position, Space, SpaceConfig, build, describe
from hwnas.space.builders import names as space_names
from hwnas.target import load, names


@dataclass(frozen=True)
class FoundTable:
    """A table file; `error` says why it cannot be read, and `table` is None then."""

    path: Path
    shipped: bool
    table: Table | None
    error: str = ""

    @property
    def where(self) -> str:
        """'yours' or 'shipped'."""
        return "shipped" if self.shipped else "yours"

    def to_json(self) -> dict[str, Any]:
        if self.table is None:
            return {"path": str(self.path), "shipped": self.shipped, "error": self.error}
        header = self.table.header
        return {
            "path": str(self.path), "shipped": self.shipped, "target": self.table.target,
            "runtime": runtime_name(header), **{k: header[k] for k in ("precision", "batch", "threads")},
            "precisions": list(self.table.precisions),
            "source": self.table.source, "entries": len(self.table.every_entry), "device": self.table.device,
            "created": self.table.header.get("created"), "content_hash": self.table.content_hash,
        }


def tables(folder: Path | None = None) -> list[FoundTable]:
    """Tables of the user's folder, then those that ship.

    Args:
        folder: None takes the user's cache.
    """
    mine = _tables(sorted((folder or default_folder()).rglob("*.jsonl")), shipped=False)
    return mine + _tables(sorted(shipped_folder().rglob("*.jsonl")), shipped=True)


def _tables(paths: Iterable[Path], shipped: bool) -> list[FoundTable]:
    found = []
    for path in paths:
        try:
            found.append(FoundTable(path, shipped, Table.read(path)))
        except TableError as err:
            found.append(FoundTable(path, shipped, None, str(err)))
    return found


def targets(folder: Path | None = None) -> list[dict[str, Any]]:
    """Targets at hand, each with the path of the table it has, the user's or a shipped one, or None."""
    found = []
    for name in names():
        target = load(name)
        places = [table_path(place, target) for place in (folder or default_folder(), shipped_folder())]
        path = next((str(place) for place in places if place.is_file()), None)
        found.append({**target.model_dump(), "table": path})
    return found


def coverage(signatures: Collection[str]) -> list[dict[str, Any]]:
    """How much of each built-in space a table covers, at the input size and classes where it covers the most.

    Returns:
        One mapping a space that it covers at least half of: space, imgsz, classes, held, blocks, missing.
    """
    ops = [Op.parse(signature) for signature in signatures]
    sizes = {op.height for op in ops if op.in_channels in (1, 3)}
    classes = {op.out_channels for op in ops if op.steps and op.steps[-1].flat} or {1000}
    found = []
    for name, about in SPACES.items():
        configs = [SpaceConfig(name, size, classes=k) for size in sorted(sizes | {about.imgsz}) for k in classes]
        best = max(filter(None, (_covered(config, signatures) for config in configs)), key=lambda c: c["held"],
                   default=None)
        if best is not None and 2 * best["held"] >= best["blocks"]:
            found.append(best)
    return found


def _covered(config: SpaceConfig, signatures: Collection[str]) -> dict[str, Any] | None:
    try:
        needed = build(config).signatures
    except UsageError:  # the space is not for inputs of this size
        return None
    missing = [s for s in needed if s not in signatures]
    return {"space": config.name, "imgsz": config.imgsz, "classes": config.classes,
            "held": len(needed) - len(missing), "blocks": len(needed), "missing": missing}


def spaces() -> list[dict[str, Any]]:
    """Spaces that have a name here, at their default input, with 1000 classes and RGB.

    One of another package that does not build has its name and the error alone.
    """
    found: list[dict[str, Any]] = []
    for name in space_names():
        try:
            about = describe(name)
            space = build(SpaceConfig(name, about.imgsz))
        except HwnasError as err:
            found.append({"name": name, "error": str(err)})
            continue
        largest, smallest = space.largest(), space.smallest()
        found.append({
            "name": name, "about": about.about, "imgsz": about.imgsz, "choices": len(space.choices),
            "ops": max(space.sizes), "architectures": str(space.size), "blocks": len(space.signatures),
            "flops": [smallest.flops, largest.flops], "params": [smallest.params, largest.params],
        })
    return found


def space_facts(space: Space) -> dict[str, Any]:
    """Everything about a space: its positions with shapes and candidates, and the range of its networks' costs."""
    ends = {"least": space.smallest(), "most": space.largest()}
    config = {key: value for key, value in space.config.to_json().items() if key != "graph"}
    return {
        "space": config, "choices": len(space.choices), "architectures": str(space.size),
        **{cost: [amount(ends["least"]), amount(ends["most"])] for cost, amount in _COSTS.items()},
        "positions": [_position(p, choice, space) for p, choice in zip(space.positions, space.choice_of, strict=True)],
    }


_COSTS: dict[str, Callable[[Architecture], int]] = {
    "flops": lambda arch: arch.flops, "params": lambda arch: arch.params,
    "memory_bytes": lambda arch: arch.memory_bytes(),
}


def _position(position: Position, choice: int | None, space: Space) -> dict[str, Any]:
    first = position.ops[0]
    return {
        "name": position.name, "choice": None if choice is None else space.choices[choice].name,
        "reads": [first.in_channels, first.height, first.width], "writes": [first.out_channels, *first.out_hw],
        "ops": [op.label for op in position.ops], "flops": [op.flops for op in position.ops],
    }

"""Which tables make a cost model of several precisions together, and what they must hold of changes between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import permutations

from hwnas.errors import TableError
from hwnas.latency.header import device_differences, differences
from hwnas.latency.table import Table
from hwnas.space import Change, Space
from hwnas.space.graph import shape_in, shape_out
from hwnas.target import Precision


def changes_of(space: Space, precisions: Iterable[Precision]) -> tuple[Change, ...]:
    """Every change of precision that a network of a space can need: what a table has to hold beside its ops.

    These are of every map that an op reads from another or adds to what a node holds, between any two precisions.
    """
    pairs = list(permutations(dict.fromkeys(precisions), 2))
    shapes: dict[tuple[int, ...], None] = {}
    written = set[str]()
    for position, edge in zip(space.positions, space.edges, strict=True):
        if edge.source in written:
            shapes[shape_in(position.ops[0])] = None
        if edge.target in written or edge.part is not None:
            shapes[shape_out(position.ops[0])] = None
        written.add(edge.target)
    return tuple(Change(a, b, shape) for shape in shapes for a, b in pairs)


def check_alike(tables: Sequence[Table]) -> None:
    """Whether tables can be added up.

    Raises:
        TableError: they are not of one target, device, runtime version and source.
    """
    for other in tables[1:]:
        first = tables[0]
        found = differences(first.header, other.header, ("target", "batch", "threads"))
        found += device_differences(first.device, other.device)
        if first.source != other.source:
            found.append(f"source: {first.source} / {other.source}")
        versions = [_runtime_version(table) for table in (first, other)]
        if all(versions) and versions[0] != versions[1] and not any("version" in text for text in found):
            found.append(f"runtime version: {versions[0]} / {versions[1]}")
        if found:
            raise TableError(f"tables of one cost model must be of one target, device, runtime version and source; "
                             f"{first.path} and {other.path} differ ({'; '.join(found)}): measure both precisions in "
                             "one state of one machine")


def _runtime_version(table: Table) -> str:
    runtime = table.header["runtime"]
    return str(runtime.get("version", "")) if isinstance(runtime, dict) else ""

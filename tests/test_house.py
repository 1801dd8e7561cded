"""What keeps the house readable: no circle of files, no reach into another file's private names, files of a screenful.

A private name is one with a leading underscore. A class that others extend in other files offers them public names:
what a subclass needs is part of the class's contract. Names of libraries that have no public twin stand in
`LIBRARIES`, with the reason.
"""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import grimp
import networkx
import pytest

from tests.conftest import SLOWEST_FIRST

REPOSITORY = Path(__file__).parents[1]
SOURCES = sorted((REPOSITORY / "hwnas").rglob("*.py"))
BENCHMARKS = sorted((REPOSITORY / "benchmarks").glob("*.py"))
LIBRARIES = {
    "os._exit": "a child that must not run the exit handlers it inherited; Python documents it under this name",
    "_BatchNorm": "torch.nn: the one base of batch norms of 1, 2 and 3 dimensions",
    "self._unset_keepalive_if_required": "uvicorn's protocol: what its own data_received calls first",
}
INNER_ROOMS = ("hwnas.pipeline.", "hwnas.cli.")  # benchmarks use what these offer themselves, nothing inside
ROOMS_THEMSELVES = tuple(room.removesuffix(".") for room in INNER_ROOMS)


def test_the_tests_that_are_put_first_exist() -> None:
    assert [name for name in SLOWEST_FIRST if not (REPOSITORY / name).is_file()] == []


def test_no_circle_of_files() -> None:
    """Imports inside functions and for types alone count as well."""
    graph = grimp.build_graph("hwnas", include_external_packages=False, exclude_type_checking_imports=False,
                              cache_dir=None)
    arrows = networkx.DiGraph([(module, imported) for module in graph.modules
                               for imported in graph.find_modules_directly_imported_by(module)])
    circles = [sorted(found) for found in networkx.strongly_connected_components(arrows) if len(found) > 1]
    assert circles == []


def test_no_file_reads_private_names_of_another() -> None:
    read = {path.relative_to(REPOSITORY).as_posix(): found for path in [*SOURCES, *BENCHMARKS]
            if (found := sorted(set(foreign_private_names(path.read_text(encoding="utf-8")))))}
    assert read == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from hwnas.x import _y", ["_y"]),
        ("from hwnas._x import y", ["_x"]),
        ("import hwnas.x._z", ["_z"]),
        ("from hwnas import x\nx._y()", ["x._y"]),
        ("def _y(): ...\nfrom hwnas import x\nx._y()", ["x._y"]),
        ("class A(B):\n    def f(self): return self._y", ["self._y"]),
        ("class A:\n    def __init__(self): self._y = 1\n    def same(self, other): return self._y == other._y", []),
        ("class A:\n    _y: int = 0\n    def f(self): return self._y", []),
        ("class A:\n    @property\n    def _y(self): return 1\n\ndef f(a: A): return a._y", []),
        ("def f(a): a._y = 1", ["a._y"]),
        ("class A:\n    def f(self, other): other._y = 1", ["other._y"]),
        ("class A:\n    def f(self): self.x._y, self._x = 1, 2", ["self.x._y"]),
        ("class A:\n    __slots__ = ('_y',)\n    def f(self): return self._y", []),
        ("import os\nos._exit(1)", []),
        ("print(x.__name__, __file__)", []),
    ],
)
def test_what_counts_as_a_foreign_private_name(source: str, found: list[str]) -> None:
    assert list(foreign_private_names(source)) == found


def test_benchmarks_use_what_users_can() -> None:
    """Names of a room's `__all__`, or public names where a module of a room defines them; nothing inside pipeline."""
    inside = {path.name: found for path in BENCHMARKS
              if (found := [name for name in imported(path.read_text(encoding="utf-8")) if not offered(*name)])}
    assert inside == {}


@pytest.mark.parametrize(
    ("module", "name", "public"),
    [
        ("hwnas.latency", "Table", True), ("hwnas.latency", "table_file", True), ("hwnas.latency", "LEAST_MS", False),
        ("hwnas.latency.model", "WEIGHT_BYTES", True), ("hwnas.latency.model", "Table", False),
        ("hwnas.pipeline", "Picker", True), ("hwnas.pipeline.run", "digest", False), ("hwnas", "pick", True),
    ],
)
def test_what_a_benchmark_is_offered(module: str, name: str, public: bool) -> None:
    assert offered(module, name) == public


def test_a_file_is_a_screenful_of_thought() -> None:
    lines = [len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES if path.name != "__init__.py"]
    assert 60 <= statistics.median(lines) <= 250


def foreign_private_names(source: str) -> Iterator[str]:
    """Private names that a file reads without defining them, in the order of the file."""
    tree = ast.parse(source)
    own = set(_defined(tree))
    for node in sorted((n for n in ast.walk(tree) if hasattr(n, "lineno")), key=lambda n: (n.lineno, n.col_offset)):
        if isinstance(node, ast.ImportFrom | ast.Import):
            parts = (getattr(node, "module", "") or "").split(".")
            parts += [part for alias in node.names for part in alias.name.split(".")]
            yield from (part for part in parts if _private(part) and part not in LIBRARIES)
        elif isinstance(node, ast.Attribute) and _private(node.attr) and node.attr not in own:
            yield from {ast.unparse(node)} - LIBRARIES.keys()


def _private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name != "_"


def _defined(tree: ast.Module) -> Iterator[str]:
    """Names that the classes of a file give their instances or themselves."""
    for owner in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        for node in owner.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.name
            names = list(_assigned(node))
            yield from ast.literal_eval(node.value) if "__slots__" in names else names  # type: ignore[attr-defined]
        for node in ast.walk(owner):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("self", "cls"):
                yield from [node.attr] if isinstance(node.ctx, ast.Store) else []


def _assigned(node: ast.stmt) -> Iterator[str]:
    """Names that a statement gives values, or types."""
    targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
    yield from (name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name))


def imported(source: str) -> Iterator[tuple[str, str]]:
    """(module, name) of everything that is imported from hwnas; the name is empty for a whole module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "hwnas":
            yield from ((str(node.module), alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] == "hwnas")


def offered(module: str, name: str) -> bool:
    """Whether a name is one that users may import: of a room's `__all__`, or defined by a public module of a room."""
    if f"{module}.{name}".startswith(INNER_ROOMS) and module not in ROOMS_THEMSELVES:
        return False
    place = REPOSITORY.joinpath(*module.split("."))
    if not name or (place / f"{name}.py").is_file() or (place / name / "__init__.py").is_file():
        return f"{module}." not in INNER_ROOMS
    statements = ast.parse((place / "__init__.py" if place.is_dir() else place.with_suffix(".py")).read_text()).body
    given = {name: node for node in statements for name in _assigned(node)}
    if "__all__" in given:
        return name in ast.literal_eval(given["__all__"].value)  # type: ignore[attr-defined]
    defined = {node.name for node in statements if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return not name.startswith("_") and name in defined | set(given)

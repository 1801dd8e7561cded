"""What travels to a device must run there under Python 3.8, with numpy and a runtime alone."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import hwnas

ROOT = Path(hwnas.__file__).parent
FILES = [ROOT / "__init__.py", ROOT / "documents.py", ROOT / "errors.py", ROOT / "files.py", ROOT / "progress.py",
         *sorted((ROOT / "imaging").glob("*.py")), *sorted((ROOT / "runtime").glob("*.py"))]
HERE = {"hwnas.documents", "hwnas.errors", "hwnas.files", "hwnas.progress"}
# modules of the library, attributes and methods that came after 3.8
MODULES = {"tomllib", "zoneinfo", "graphlib", "annotationlib"}
NAMES = {
    "datetime.UTC", "functools.cache", "math.lcm", "itertools.pairwise", "itertools.batched",
    "contextlib.chdir", "contextlib.aclosing", "typing.Self", "typing.TypeAlias", "typing.ParamSpec",
    "typing.Concatenate", "typing.assert_never", "typing.override", "enum.StrEnum", "random.randbytes", "ast.unparse",
    "types.NoneType", "types.UnionType", "hashlib.file_digest", "asyncio.to_thread", "asyncio.TaskGroup",
    "dataclasses.KW_ONLY",
    "importlib.resources.files", "os.waitstatus_to_exitcode", "sys.stdlib_module_names", "sys.orig_argv",
}
METHODS = {"removeprefix", "removesuffix", "is_relative_to", "readlink", "with_stem", "hardlink_to", "bit_count",
           "add_note", "walk_up", "is_junction"}
KEYWORDS = {"zip": {"strict"}, "dataclass": {"slots", "kw_only", "weakref_slot"},
            "shutdown": {"cancel_futures"}, "TemporaryDirectory": {"ignore_cleanup_errors", "delete"}}
GENERIC = {"list", "dict", "tuple", "set", "frozenset", "type"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
class TestFile:
    def test_is_python_3_8(self, path: Path) -> None:
        tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))
        assert [f"line {line}: {what}" for line, what in too_new(tree)] == []

    def test_imports_nothing_that_stays_behind(self, path: Path) -> None:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        outside = sorted(name for name in imported(tree)
                         if name.startswith("hwnas") and name not in HERE
                         and not name.startswith(("hwnas.runtime", "hwnas.imaging.")))
        assert outside == [] or path == ROOT / "__init__.py"  # which loads the rooms on use


def too_new(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, what) of everything that is evaluated and not in 3.8. Annotations are not evaluated, by __future__."""
    origins = origin_of_names(tree)
    skipped = {id(part) for root in [*annotations(tree), *only_for_types(tree)] for part in ast.walk(root)}
    for node in ast.walk(tree):
        if id(node) not in skipped and (what := reason(node, origins)):
            yield getattr(node, "lineno", 0), what


def reason(node: ast.AST, origins: dict[str, str]) -> str | None:
    if isinstance(node, (ast.Attribute, ast.Name)):
        full = dotted(node, origins)
        if full in NAMES or full.split(".")[0] in MODULES:
            return full
        if isinstance(node, ast.Attribute) and node.attr in METHODS:
            return f".{node.attr}"
    if isinstance(node, ast.Subscript):
        full = dotted(node.value, origins)
        if full in GENERIC or full.startswith(("collections.", "contextlib.", "re.", "os.PathLike")):
            return f"{full}[...] at run time"
    if isinstance(node, ast.Call):
        name = dotted(node.func, origins).split(".")[-1]
        new = KEYWORDS.get(name, set()) & {keyword.arg for keyword in node.keywords}
        if new:
            return f"{name}({', '.join(sorted(map(str, new)))}=)"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr) and is_type(node.left, origins):
        return "X | Y of types at run time"
    if isinstance(node, ast.Import) and {alias.name for alias in node.names} & MODULES:
        return "a module that 3.8 has not"
    return None


def is_type(node: ast.expr, origins: dict[str, str]) -> bool:
    builtin = {"int", "str", "float", "bytes", "bool", *GENERIC}
    return (isinstance(node, ast.Constant) and node.value is None) or dotted(node, origins) in builtin


def dotted(node: ast.AST, origins: dict[str, str]) -> str:
    """Full name of what an expression names; empty if it names nothing."""
    if isinstance(node, ast.Name):
        return origins.get(node.id, node.id)
    if isinstance(node, ast.Attribute) and (left := dotted(node.value, origins)):
        return f"{left}.{node.attr}"
    return ""


def origin_of_names(tree: ast.Module) -> dict[str, str]:
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update({alias.asname or alias.name: alias.name for alias in node.names})
        if isinstance(node, ast.ImportFrom):
            found.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return found


def annotations(tree: ast.Module) -> Iterator[ast.AST]:
    future = any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)
    annotated = any(isinstance(node, (ast.FunctionDef, ast.AnnAssign)) for node in ast.walk(tree))
    assert future or not annotated, "without `from __future__ import annotations` they are evaluated"
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            if (found := getattr(node, name, None)) is not None:
                yield found


def only_for_types(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from node.body


def imported(tree: ast.Module) -> Iterator[str]:
    """Modules that are imported at run time."""
    skipped = {id(part) for root in only_for_types(tree) for part in ast.walk(root)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.module == "hwnas":
            yield from (f"hwnas.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            room = node.module == "hwnas.runtime"
            yield from (f"{node.module}.{alias.name}" if room else node.module for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("source, what", [
    ("import datetime\ndatetime.UTC", "datetime.UTC"), ("from datetime import UTC\nUTC", "datetime.UTC"),
    ("from functools import cache\ncache(len)", "functools.cache"), ("'a'.removeprefix('b')", ".removeprefix"),
    ("x = list[int]", "list"),
    ("from collections.abc import Mapping\nX = Mapping[str, int]", "collections.abc.Mapping"),
    ("zip([], [], strict=True)", "zip(strict=)"), ("isinstance(1, int | str)", "X | Y"),
    ("from dataclasses import dataclass\n@dataclass(slots=True)\nclass A: pass", "dataclass(slots=)"),
])
def test_the_check_finds(source: str, what: str) -> None:
    tree = ast.parse(f"from __future__ import annotations\n{source}", feature_version=(3, 8))
    assert any(text.startswith(what) for _, text in too_new(tree))


def test_the_check_refuses_newer_syntax() -> None:
    with pytest.raises(SyntaxError):
        ast.parse("match x:\n    case 1: pass", feature_version=(3, 8))


def test_runs_under_python_3_8() -> None:
    """Where there is one with numpy: $HWNAS_PYTHON38, or python3.8."""
    python = os.environ.get("HWNAS_PYTHON38") or shutil.which("python3.8")
    probe = [str(python), "-c", "import sys, numpy; print(sys.version_info[:2])"]
    asked = subprocess.run(probe, capture_output=True, text=True, timeout=240, check=False) if python else None
    if asked is None or asked.returncode or not re.match(r"\(3, 8\)", asked.stdout):
        pytest.skip("no Python 3.8 with numpy is at hand")
    modules = [f"hwnas.runtime.{path.stem}" for path in FILES if path.parent.name == "runtime"]
    code = ("import importlib, sys\n"
            "for name in sys.argv[1:]:\n"
            "    try:\n        importlib.import_module(name)\n"
            "    except ModuleNotFoundError as err:\n        assert err.name == 'onnxruntime', err\n")
    done = subprocess.run([str(python), "-W", "error", "-c", code, *modules], capture_output=True, text=True,
                          timeout=240, env={**os.environ, "PYTHONPATH": str(ROOT.parent)}, check=False)
    assert done.returncode == 0, done.stderr

"""What a strategy is made of, as a hash: results of other code must not pass for those of this one."""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, resolve_name
from pathlib import Path

OURS = "hwnas"


@functools.cache
def code_of(kind: type) -> str:
    """A hash of the source of the class' module and of every module it imports from its own package or from ours.

    Imports inside functions count; the `__init__` of packages and other libraries do not.
    """
    packages = {kind.__module__.partition(".")[0], OURS}
    waiting, sources = [kind.__module__], dict[str, str]()
    while waiting:
        name = waiting.pop()
        spec = _spec(name) if name not in sources and name.partition(".")[0] in packages else None
        if spec is not None and spec.origin and spec.origin.endswith(".py"):
            sources[name] = Path(spec.origin).read_text(encoding="utf-8")
            waiting += _imported(sources[name], spec, packages)
    text = "\0".join(f"{name}\0{source}" for name, source in sorted(sources.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _spec(name: str) -> ModuleSpec | None:
    try:
        return find_spec(name)
    except (ImportError, ValueError):  # an optional one that is not installed; __main__
        return None


def _imported(source: str, spec: ModuleSpec, packages: set[str]) -> Iterator[str]:
    """Modules that a module imports; of packages those below, since to look up `a.b` imports `a`."""
    within = spec.name if spec.submodule_search_locations is not None else spec.name.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), within) if node.level else node.module or ""
            found = _spec(origin) if origin.partition(".")[0] in packages else None
            if found is not None and found.submodule_search_locations is not None:
                yield from (f"{origin}.{alias.name}" for alias in node.names)
            else:
                yield origin

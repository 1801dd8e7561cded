"""The sources that travel in a bundle: the runner, and what it imports of the runtimes, as a package of its own.

They are the files that hwnas itself runs, under other names: `hwnas.deploy.runner.main` is `runner.main` in a bundle,
`hwnas.runtime.timing` is `runner.runtime.timing`. So a device measures and answers as the machine that made the bundle.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from hwnas.runtime.runtime import RUNTIMES

PACKAGE = "runner"
_ROOT = Path(__file__).parents[1]
_OURS = "hwnas.deploy.runner"
_NAME = re.compile(r"\bhwnas\.(?:deploy\.runner\.)?(?=[a-z_])")
ENTRY = '''#!/usr/bin/env python3
"""Predict with this model, or check it on this device: python3 bundle.py --help

It needs Python 3.8 or newer, numpy and the runtime; Pillow to read images. From Python:

    from bundle import load
    print(load().predict("photo.jpg").facts)
"""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))

from runner.main import main  # noqa: E402
from runner.predicting import load_model  # noqa: E402


def load(runtime=None):
    """The model, its files checked."""
    return load_model(FOLDER, runtime)


if __name__ == "__main__":
    sys.exit(main(FOLDER, sys.argv[1:]))
'''


def sources(runtimes: Iterable[str]) -> dict[str, bytes]:
    """Files of a bundle by their path in it: bundle.py and the package beside it.

    Args:
        runtimes: names of those that it can run on.
    """
    found = {"bundle.py": ENTRY.encode()}
    for module in sorted(closure(runtimes)):
        path = _file(module)
        text = path.read_text(encoding="utf-8")
        found[_place(module, path)] = _NAME.sub(f"{PACKAGE}.", text).encode()
    for name in {str(Path(place).parent) for place in found} - {"."}:
        found.setdefault(f"{name}/__init__.py", b"")
    return found


def closure(runtimes: Iterable[str]) -> set[str]:
    """Modules of hwnas that the runner needs for these runtimes."""
    left = [f"{_OURS}.{path.stem}" for path in (_ROOT / "deploy" / "runner").glob("*.py") if path.stem != "__init__"]
    left += [RUNTIMES[name].module for name in runtimes]
    found: set[str] = set()
    while left:
        module = left.pop()
        if module not in found:
            found.add(module)
            left += _imports(ast.parse(_file(module).read_text(encoding="utf-8")))
    return found


def _imports(tree: ast.Module) -> Iterator[str]:
    """Modules of hwnas that are imported at run time."""
    branches = [node for node in ast.walk(tree) if isinstance(node, ast.If)]
    unread = {id(part) for node in branches if ast.unparse(node.test) == "TYPE_CHECKING"
              for root in node.body for part in ast.walk(root)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in unread and (node.module or "").startswith("hwnas."):
            named = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
            yield from (name for name in named if _file(name).is_file())


def _file(module: str) -> Path:
    return _ROOT.joinpath(*module.split(".")[1:]).with_suffix(".py")


def _place(module: str, path: Path) -> str:
    inside = path.relative_to(_ROOT / "deploy" / "runner" if module.startswith(_OURS) else _ROOT)
    return f"{PACKAGE}/{inside.as_posix()}"

"""reference/api/*.md: a page a room; mkdocstrings fills it from the docstrings of what its `__init__` exports."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "hwnas"
_WITHOUT = ("cli",)  # its reference is that of the commands
_ERRORS = "errors"


def rooms() -> list[str]:
    """Packages of hwnas that export names, and the errors."""
    found = [path.parent.name for path in sorted(PACKAGE.glob("*/__init__.py")) if exported(path)]
    return [*(name for name in found if name not in _WITHOUT), _ERRORS]


def exported(path: Path) -> list[str]:
    """The names in `__all__` of a file; none where it has no `__all__`."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and [getattr(target, "id", "") for target in node.targets] == ["__all__"]:
            return [str(name) for name in ast.literal_eval(node.value)]
    return []


def pages() -> dict[str, str]:
    """File name without its ending -> Markdown."""
    front = _page("hwnas", PACKAGE / "__init__.py", exported(PACKAGE / "__init__.py"))
    found = {name: _page(f"hwnas.{name}", PACKAGE / name / "__init__.py", exported(PACKAGE / name / "__init__.py"))
             for name in rooms() if name != _ERRORS}
    errors = PACKAGE / f"{_ERRORS}.py"
    classes = [node.name for node in ast.parse(errors.read_text("utf-8")).body if isinstance(node, ast.ClassDef)]
    return {"index": front, **found, _ERRORS: _page(f"hwnas.{_ERRORS}", errors, classes)}


def _page(module: str, path: Path, names: list[str]) -> str:
    """The docstring of a module as it stands, its indented examples with it, then its names in order."""
    # not cleaned: that would take the indentation from a docstring of one line and an example
    told = ast.get_docstring(ast.parse(path.read_text("utf-8")), clean=False) or ""
    # a file of the room hides a name that it shares: then the name is that of the file
    homes = [f"{module}.{name}" if (path.parent / f"{name}.py").is_file() else module for name in names]
    asked = [f"::: {home}.{name}" for home, name in zip(homes, names, strict=True)]
    return "\n\n".join([f"# {module}", _fenced(told), *asked])


def _fenced(text: str) -> str:
    """A tree of errors is drawn with lines: it stands between fences, as it would in a terminal."""
    drawn = [paragraph for paragraph in text.split("\n\n") if "├" in paragraph]
    for paragraph in drawn:
        text = text.replace(paragraph, f"```text\n{paragraph}\n```")
    return text.strip()

"""The messages of docs/troubleshooting.md are those of the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GAP = "…"
HEADINGS = re.findall(r"^#### `([^`]+)`", (ROOT / "docs" / "troubleshooting.md").read_text("utf-8"), re.MULTILINE)


def texts() -> list[str]:
    """Every string of the program, with a gap for what is filled in; strings that are joined by + are one."""
    found = []
    for path in sorted((ROOT / "hwnas").rglob("*.py")):
        found += [text for node in ast.walk(ast.parse(path.read_text("utf-8"))) if (text := read(node))]
    return found


def read(node: ast.AST) -> str | None:
    """The text of a string expression; None of others."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else GAP for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = read(node.left), read(node.right)
        return (left or GAP) + (right or GAP) if left or right else None
    return None


@pytest.fixture(scope="module")
def program() -> list[str]:
    return texts()


@pytest.mark.parametrize("message", HEADINGS)
def test_the_program_says_so(message: str, program: list[str]) -> None:
    parts = [part for part in message.removeprefix("error: ").split(GAP) if part.strip()]
    assert parts
    pattern = re.compile(".*".join(re.escape(part) for part in parts), re.DOTALL)
    assert any(pattern.search(text) for text in program), f"no string of hwnas holds {message!r}"


def test_there_are_messages_and_each_stands_once() -> None:
    assert len(HEADINGS) > 50
    assert len(HEADINGS) == len(set(HEADINGS))

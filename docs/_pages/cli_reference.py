"""reference/cli.md: every command with its arguments and flags, as the program itself knows them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from html import escape
from typing import Any

from typer.main import get_command

from hwnas.cli.app import make_app

_OPENING = """# Commands

Written from the program at build time; `hwnas COMMAND --help` prints the same. Most commands take `--json`.

| exit code | means |
| --- | --- |
| 0 | done |
| 1 | something failed, e.g. the disk is full or the loss became infinite |
| 2 | a flag, a file or a folder is wrong, or something is not installed |
| 3 | no architecture meets the budgets |
| 4 | a model failed its check |
| 130 | Ctrl-C |
"""


def page() -> str:
    """The whole page, in Markdown."""
    root = get_command(make_app())
    parts = [_OPENING]
    for path, command in commands(root, ("hwnas",)):
        if command is not root:
            parts.append(_section(path, command))
    return "\n".join(parts)


def commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """A command and all below it, each with the words that call it."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))


def _section(path: tuple[str, ...], command: Any) -> str:
    context = command.make_context(path[-1], [], resilient_parsing=True)
    words = " ".join((*path, *command.collect_usage_pieces(context)))
    lines = [f"{'#' * len(path)} {' '.join(path[1:])}", "", f"`{words}`", "", inspect.cleandoc(command.help or "")]
    rows = [_row(parameter, context) for parameter in command.params if parameter.get_help_record(context)]
    if rows:
        lines += ["", "| flag | meaning | default, bounds |", "| --- | --- | --- |", *rows]
    if command.epilog:
        lines += ["", _example(command.epilog)]
    return "\n".join([*lines, ""])


def _row(parameter: Any, context: Any) -> str:
    names, text = parameter.get_help_record(context)
    meaning, _, rest = text.partition("  [")
    notes = [note.removeprefix("default: ").strip("()") for note in rest.removesuffix("]").split("; ") if note]
    return f"| `{_cell(names)}` | {escape(_cell(meaning))} | {escape(_cell('; '.join(notes)))} |"


def _example(text: str) -> str:
    word, _, command = text.partition(": ")
    return f"{word}: `{command}`" if command else text


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")

"""How long work tells what it is doing; the command line turns it into bars, `--json` into silence."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as progress(what, done, total); total 0 means unknown. Cheap enough to call often."""


def silent(what: str, done: int, total: int) -> None:
    """The default: say nothing."""

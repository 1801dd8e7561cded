"""How long work tells what it is doing; the command line turns it into bars, `--json` into silence."""

from __future__ import annotations

from typing import Callable  # noqa: UP035, the one of collections.abc takes no subscript before Python 3.9

Progress = Callable[[str, int, int], None]
"""Called as progress(what, done, total); total 0 means unknown. Cheap enough to call often."""


def silent(what: str, done: int, total: int) -> None:
    """The default: say nothing."""


def plural(count: int, noun: str, many: str = "") -> str:
    """'1 block', '2 blocks', '3 classes' with `many`, '1,200 images'."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"

"""Facts of a run, each under a name, as text and for a notebook."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

from hwnas.documents import printable

Facts = Sequence[tuple[str, str]]


def facts_text(path: Path, facts: Facts) -> str:
    """A line with the path of a run, and one a fact."""
    lines = (f"  {name:<10} {printable(value)}" for name, value in facts)
    return "\n".join([f"<RunFolder {printable(path)}>", *lines])


def facts_html(path: Path, facts: Facts) -> str:
    """The same as a table, with a link to the report."""
    rows = [(name, escape(printable(value))) for name, value in facts]
    if (report := path / "report.html").is_file():
        where = escape(os.path.relpath(report), quote=True)
        rows = [(name, f'<a href="{where}" target="_blank">{escape(str(report))}</a>' if name == "report" else value)
                for name, value in rows]
    body = "".join(f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">{value}</td></tr>'
                   for name, value in rows)
    return f"<table><caption>run {escape(printable(path))}</caption>{body}</table>"

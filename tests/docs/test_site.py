"""The site builds without a warning, and holds every command and every public name."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NEEDED = ("mkdocs", "material", "mkdocstrings", "mkdocstrings_handlers")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in NEEDED), reason='pip install "hwnas[docs]" brings mkdocs'
)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as CI does."""
    folder = tmp_path_factory.mktemp("site")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)], cwd=ROOT,
                          env=environment, capture_output=True, text=True, timeout=550, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def ids(page: Path) -> set[str]:
    return set(re.findall(r'\bid="([^"]+)"', page.read_text("utf-8")))


def test_every_command_is_there(site: Path) -> None:
    from typer.main import get_command

    from hwnas.cli.app import make_app

    root: Any = get_command(make_app())
    names = [f"{name}-{below}" if below else name for name, command in root.commands.items()
             for below in ("", *getattr(command, "commands", {}))]
    assert set(names) <= ids(site / "reference" / "cli.html")
    assert len(names) > 20


def test_every_flag_of_compress_is_there(site: Path) -> None:
    text = (site / "reference" / "cli.html").read_text("utf-8")
    compress = text[text.index('id="compress"') : text.index('id="generate"')]
    flags = ("--latency", "--data", "--target", "--require-measured", "--resume", "--from", "--config", "--dry-run")
    assert [flag for flag in flags if flag not in compress] == []


@pytest.mark.parametrize("room", [
    path.parent.name for path in sorted((ROOT / "hwnas").glob("*/__init__.py")) if path.parent.name != "cli"
])
def test_every_public_name_is_there(site: Path, room: str) -> None:
    if room in ("nets", "train"):
        pytest.importorskip("torch")
    exported = importlib.import_module(f"hwnas.{room}").__all__
    documented = ids(site / "reference" / "api" / f"{room}.html")
    assert [name for name in exported if f"hwnas.{room}.{name}" not in documented
            and f"hwnas.{room}.{name}.{name}" not in documented] == []


def test_every_measurement_and_record_is_there(site: Path) -> None:
    for folder, place in ((ROOT / "benchmarks", "results"), (ROOT / "docs" / "adr", "adr")):
        wanted = {path.stem for path in folder.glob("*.md")}
        assert wanted
        assert wanted <= {path.stem for path in (site / place).glob("*.html")}


class _Links(HTMLParser):
    """What a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("href", "src") and value]


def test_nothing_is_fetched_from_elsewhere_and_no_link_is_broken(site: Path) -> None:
    broken, outside = [], []
    for page in site.rglob("*.html"):
        if page.name == "404.html":
            continue
        reader = _Links()
        reader.feed(page.read_text("utf-8"))
        for link in reader.found:
            if re.match(r"(?:https?:)?//", link):
                outside.append(link)
            elif not re.match(r"[a-z]+:|#", link) and not (page.parent / re.split(r"[?#]", link)[0]).exists():
                broken.append(f"{page.relative_to(site)}: {link}")
    assert broken == []
    assert {link for link in outside if link.endswith((".js", ".css", ".woff2"))} == set()

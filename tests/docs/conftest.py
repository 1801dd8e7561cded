"""Fenced blocks of README.md and docs/, and the folder that those of one page run in."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.forking import Forks

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^( *)```(\S*)([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r"title=\"([\w./-]+)\"")
_NAME = re.compile(r"# ([\w./-]+\.(?:py|yaml|toml))$")
_COMMAND = re.compile(r"^\$ (.*)$")
_EXIT = re.compile(r"# exit code (\d+)$")
SECONDS = 600  # of one command; a run that takes half a minute took four on a machine with a load of 7


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Args:
        page: path under the repository.
        line: of its first fence.
        language: the word behind the fence; empty for none.
        text: without the fences.
        rest: what stands behind the word; names a file as title="my_space.json".
    """

    page: str
    line: int
    language: str
    text: str
    rest: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line} ({self.language or 'no language'})"

    @property
    def file(self) -> str | None:
        """The file that its title or its first line names."""
        found = _TITLE.search(self.rest) or _NAME.match(self.text.partition("\n")[0])
        return found[1] if found else None


def blocks_of(page: str) -> list[Block]:
    text = (ROOT / page).read_text("utf-8")
    found = []
    for match in _FENCE.finditer(text):
        indent = len(match[1])
        inner = "".join(line[indent:] for line in match[4].splitlines(keepends=True))
        found.append(Block(page, text.count("\n", 0, match.start()) + 1, match[2], inner, match[3]))
    return found


READERS: dict[str, Callable[[str], Any]] = {"yaml": yaml.safe_load, "toml": tomllib.loads, "json": json.loads}


@dataclass
class Workspace:
    """A folder with what a page begins with; its blocks run there, one after the other."""

    folder: Path
    hidden: Path
    forks: Forks

    def run(self, block: Block) -> None:
        """Run or write one block.

        Raises:
            AssertionError: it fails, or prints something else than the page says.
        """
        if block.language == "python":
            path = self.write(block, block.file or f"block_{block.line}.py")
            done = self.call(f'{self.forks.command} python "{path}"')
            assert done.returncode == 0, f"{block}\n{done.stdout}"
        elif block.language == "console":
            self._transcript(block)
        elif block.language in READERS:
            read = READERS[block.language](block.text)
            assert read, f"{block} is empty"
            if block.file:
                self.write(block, block.file)
            if block.language == "toml":
                self._install(read)

    def write(self, block: Block, name: str) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, "utf-8")
        return name

    def call(self, command: str) -> subprocess.CompletedProcess[str]:
        """A line of the shell, with the interpreter of the tests and this checkout; hwnas is forked."""
        shims = self.hidden / "bin"
        if not shims.is_dir():
            shims.mkdir(parents=True)
            python = shlex.quote(sys.executable)
            for name, words in (("hwnas", f"{self.forks.command} hwnas"), ("python", python), ("python3", python)):
                (shims / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
                (shims / name).chmod(0o755)
        environment = {
            **os.environ, "PATH": f"{shims}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": f"{ROOT}{os.pathsep}{self.folder}", "COLUMNS": "120",
            "HWNAS_TABLES": str(self.hidden / "tables"), "HWNAS_TARGETS": str(self.hidden / "targets"),
        }
        return subprocess.run(command, shell=True, executable="/bin/bash", cwd=self.folder, env=environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS, check=False)

    def _transcript(self, block: Block) -> None:
        for command, told in transcript(block):
            done, wanted = self.call(command), _EXIT.search(command)
            assert done.returncode == int(wanted[1] if wanted else 0), f"{block}\n$ {command}\n{done.stdout}"
            differs = f"{block}\n$ {command}\n{done.stdout}\n--- the page says\n{told}"
            assert not told or says(done.stdout, told), differs

    def _install(self, project: Mapping[str, object]) -> None:
        """Make the entry points of a pyproject.toml known, as pip would."""
        points = configparser.ConfigParser()
        points.optionxform = str  # type: ignore[assignment,method-assign]
        points.read_dict(project.get("project", {}).get("entry-points", {}))  # type: ignore[attr-defined]
        info = self.folder / "page-1.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: page\nVersion: 1\n")
        with (info / "entry_points.txt").open("w") as file:
            points.write(file)


def transcript(block: Block) -> Iterator[tuple[str, str]]:
    """Commands of a console block, each with the output that stands below it."""
    lines = iter([*block.text.splitlines(), "$ "])
    command, told = "", list[str]()
    for line in lines:
        found = _COMMAND.match(line)
        if found is None:
            told.append(line)
            continue
        if command:
            yield command, "\n".join(told).strip()
        command, told = found[1], []
        while command.endswith("\\"):
            command = command[:-1] + next(lines).strip()


def says(printed: str, told: str) -> bool:
    """Whether a text is what was printed; `...` stands for anything, and how many blanks there are does not count."""
    pattern = ".*?".join(re.escape(_plain(part)) for part in told.split("..."))
    return re.fullmatch(pattern, _plain(printed.strip()), re.DOTALL) is not None


def _plain(text: str) -> str:
    return re.sub(r" *\n", "\n", re.sub(r" +", " ", text))


# README's first Python block trains for minutes, and times a table for one. With these changes and a table that was
# timed for seconds it takes seconds, and its budget is one that a busy machine keeps, too; otherwise it is run as it
# stands there.
LONG = 'data="digits"'
QUICKER = {
    LONG: LONG + ', limit=260, epochs=1, warmup=1, epochs_per_evaluation=0.25, cycles=1, settle=6, top=3, '
                 'finalists=2, trial_epochs=1, depth=2, torch_threads=1',
    '"50%"': '"1s"',
}
BRIEF_TABLE = "hwnas profile --data digits --depth 2 --max-seconds 4"
CELLS = """
from hwnas.pipeline import compress

compress("runs/cells", task="detect", data="cells", target="raspberry-pi-4", budgets={"flops": "60%"}, epochs=2,
         warmup=1, epochs_per_evaluation=0.5, cycles=1, settle=4, top=2, finalists=2, trial_epochs=1, depth=1,
         width_mult=0.5, widths="1", head_width=16, torch_threads=1, batch_size=8, imgsz=64, width=96)
"""


def named(page: str, file: str) -> Block:
    """The block of a page that is a file."""
    (found,) = (block for block in blocks_of(page) if block.file == file)
    return found


def quicker(block: Block) -> Block:
    """README's long block with less work."""
    text = block.text
    for old, new in QUICKER.items():
        assert old in text, f"{block} has no {old}"
        text = text.replace(old, new)
    return Block(block.page, block.line, block.language, text)


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """Commands of pages begin at once: every one of them would import the same for seconds."""
    with tempfile.TemporaryDirectory() as folder, Forks(Path(folder)) as found:
        yield found


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> Callable[[str], Path]:
    """Folders with runs that pages begin with, each made once: 'runs/mine' by README's Python, 'runs/cells' with the
    images that docs/data.md draws."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            place = Workspace(tmp_path_factory.mktemp("prepared"), tmp_path_factory.mktemp("hidden"), forks)
            if name == "runs/mine":
                (block,) = (b for b in blocks_of("README.md") if b.language == "python" and LONG in b.text)
                place.run(Block("tests/docs/conftest.py", 0, "console", f"$ {BRIEF_TABLE}"))
                place.run(quicker(block))
            else:
                place.run(named("docs/data.md", "draw_cells.py"))
                place.run(Block("tests/docs/conftest.py", 0, "python", CELLS))
                shutil.copy(next((place.folder / "cells" / "images").glob("*.png")), place.folder / "photo.png")
            shutil.copytree(place.hidden, place.folder / ".hidden")
            made[name] = place.folder
        return made[name]

    return make


@pytest.fixture
def workspace(tmp_path: Path, forks: Forks) -> Workspace:
    """An empty folder."""
    (tmp_path / "page").mkdir()
    return Workspace(tmp_path / "page", tmp_path / "hidden", forks)


PAGES = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))]
RUNS = ("runs/mine", "runs/cells")
RAN = ("python", "console", *READERS)
LONG_PAGES = {f"docs/{name}.md" for name in ("data", "device", "extending", "own_kind", "own_task", "spaces", "tasks")}
SLOW = [pytest.mark.slow, pytest.mark.timeout(900)]


def needs(page: str) -> list[str]:
    """The prepared runs that what a page runs begins with."""
    text = "".join(block.text for block in blocks_of(page) if block.language in ("python", "console"))
    return [name for name in RUNS if name in text]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`page`: every page; `block`: every block; `running_page`: the pages with something to run, slow ones marked."""
    if "page" in metafunc.fixturenames:
        metafunc.parametrize("page", PAGES)
    if "block" in metafunc.fixturenames:
        found = [block for page in PAGES for block in blocks_of(page)]
        metafunc.parametrize("block", found, ids=[f"{block.page}:{block.line}" for block in found])
    if "running_page" in metafunc.fixturenames:
        pages = [page for page in PAGES if any(block.language in RAN for block in blocks_of(page))]
        metafunc.parametrize("running_page", [
            pytest.param(page, marks=SLOW if needs(page) or page in LONG_PAGES else []) for page in pages
        ])


@pytest.fixture
def begun(running_page: str, workspace: Workspace, request: pytest.FixtureRequest) -> Workspace:
    """The folder of a page with the runs it begins with."""
    for name in needs(running_page):
        made: Path = request.getfixturevalue("prepared")(name)
        shutil.copytree(made, workspace.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".hidden"))
        shutil.copytree(made / ".hidden", workspace.hidden, dirs_exist_ok=True)
    return workspace


@pytest.fixture
def page_blocks(running_page: str) -> list[Block]:
    """What a page has to run; README's long block is what the prepared run was made by."""
    return [b for b in blocks_of(running_page) if b.language in RAN and not (b.page == "README.md" and LONG in b.text)]


@pytest.fixture
def block_of() -> Callable[[str, str], Block]:
    """A block that stands on no page."""
    return lambda language, text: Block("no page", 0, language, text)

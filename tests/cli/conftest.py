"""One tiny compress, made through the command line once per session."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwnas.cli import main
from tests.made_once import made_once

TINY = ["--epochs", "1", "--settle", "6", "--warmup", "1", "--cycles", "1", "--limit", "200", "--depth", "1",
        "--width-mult", "0.5", "--top", "3", "--trial-epochs", "1", "--torch-threads", "1"]


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tables that the session shares, with a quick table of the tiny space."""
    space = ["--imgsz", "16", "--channels", "1", "--classes", "10", "--depth", "1", "--width-mult", "0.5"]

    def make(folder: Path) -> None:
        assert main(["profile", *space, "--tables", str(folder), "--max-seconds", "4"]) == 0

    return made_once(tmp_path_factory, "tiny_tables", make)


@pytest.fixture(scope="session")
def made(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run. Read only: copy it before changing it."""
    pytest.importorskip("torch")
    budgets = ["--latency", "90%", "--flops", "95%"]

    def make(run: Path) -> None:
        assert main(["compress", *TINY, *budgets, "--tables", str(tables), "--out", str(run)]) == 0

    return made_once(tmp_path_factory, "tiny", make)


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A finished run that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "run"))


@pytest.fixture
def answer(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run a command with --json that must succeed; what it printed, parsed."""

    def ask(*words: object) -> Any:
        capsys.readouterr()
        assert main([*map(str, words), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return ask


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must end with `code`; its message, which is no traceback."""

    def ask(code: int, *words: object) -> str:
        capsys.readouterr()
        assert main([*map(str, words)]) == code
        message = capsys.readouterr().err
        assert "error: " in message
        assert "Traceback" not in message
        return message

    return ask

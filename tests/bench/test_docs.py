"""docs/benchmarks.md does what it says: its packages are installed, its commands and its Python run."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from hwnas.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)

FEW = ["--images", "digits", "--cells", "10", "--epochs", "1", "--limit", "200", "--signal", "params", "--signal",
       "accuracy"]


def blocks(language: str) -> list[str]:
    return [source for found, source in BLOCKS if found == language]


@pytest.fixture
def installed(install: Callable[[str, Mapping[str, str], str], None]) -> None:
    modules = {name[1]: source for source in blocks("python") if (name := re.match(r"# (\w+)\.py\n", source))}
    (toml,) = blocks("toml")
    groups = tomllib.loads(toml)["project"]["entry-points"]
    points = [f"[{group}]\n" + "\n".join(f"{name} = {value}" for name, value in found.items())
              for group, found in groups.items()]
    assert len(modules) == len(points) == 2
    install("my-package", modules, "\n".join(points) + "\n")


def test_no_snippet_is_left_out() -> None:
    assert [language for language, _ in BLOCKS] == ["bash", "bash", "python", "python", "toml", "bash", "python"]
    assert all(source.count("\n") <= 30 for source in blocks("python"))


def test_the_commands(installed: None, cells: Mapping[str, Any], write: Callable[..., Path], tmp_path: Path,
                      monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    write(tmp_path / "nasbench201.parquet", cells)
    monkeypatch.chdir(tmp_path)
    expected = (["migo", "random"], ["params", "accuracy"], ["hopper anew=0.1", "random"])
    for source, names in zip(blocks("bash"), expected, strict=True):
        program, *words = shlex.split(source.replace("\\\n", " "))
        assert program == "hwnas"
        small = FEW if "supernet" in words else ["--workers", "1"]
        assert main([*words, *small]) == 0
        assert [line for line in capsys.readouterr().out.splitlines() if line.startswith(tuple(names))]
    assert (tmp_path / "regret.png").stat().st_size > 5000
    assert len((tmp_path / "regret" / "regret.jsonl").read_text(encoding="utf-8").splitlines()) == 16


def test_the_python(installed: None, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(blocks("python")[-1], encoding="utf-8")
    paths = os.pathsep.join([str(tmp_path / "site"), str(PAGE.parents[1])])
    done = subprocess.run([sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, timeout=240,
                          env={**os.environ, "PYTHONPATH": paths}, check=True)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["hopper", "random"]


def test_the_strategy_keeps_the_rules(installed: None) -> None:
    """Repeatable, and resumed bit for bit, as the page says."""
    from hwnas.search import create
    from hwnas.search.strategy import Score

    def finish(state: str | None) -> list[tuple[int, ...]]:
        strategy, asked = create("hopper", [4, 1, 3], evaluations=30, seed=3), list[tuple[int, ...]]()
        if state is not None:
            strategy.load_state_dict(json.loads(state))
        while not strategy.done:
            if strategy.asked == 11 and state is None:
                states.append(json.dumps(strategy.state_dict()))
            (ask,) = strategy.ask(1)
            asked.append(ask.choice)
            strategy.tell(ask.id, Score(float(sum(ask.choice))))
        return asked

    states: list[str] = []
    whole = finish(None)
    assert finish(states[0]) == whole[11:]

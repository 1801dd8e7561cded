"""The plot: what is drawn, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from hwnas.bench import Result, StrategySpec, TabularBenchmark, compare, summaries
from hwnas.bench.plot import COLOURS, DASHES, MARKERS, check, draw
from hwnas.errors import InputError, MissingDependency, UsageError


@pytest.fixture
def results(hills: TabularBenchmark) -> list[Result]:
    return compare(hills, [StrategySpec("random"), StrategySpec("rea")], [5, 9, 30], range(6))


def test_a_picture_of_the_medians(results: list[Result], tmp_path: Path) -> None:
    image = pytest.importorskip("matplotlib.image")
    draw(results, tmp_path / "a.png")
    pixels = image.imread(tmp_path / "a.png")[..., :3]
    assert pixels.shape == (675, 1200, 3)
    for colour in COLOURS[:2]:
        wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        assert (abs(pixels - wanted).max(axis=2) < 0.02).sum() > 300
    assert not list(tmp_path.glob(".*"))


def test_a_drawing_holds_names_counts_and_values(results: list[Result], tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        draw(results, tmp_path / "deep" / "a.svg")
    text = (tmp_path / "deep" / "a.svg").read_text(encoding="utf-8")
    for word in ("random", "rea", "limit", "evaluations", "regret", "hills, 6 seeds", ">5<", ">9<", ">30<"):
        assert word in text
    assert summaries(results[0])[0].upper > 0


def test_fourteen_strategies_look_different() -> None:
    looks = {(COLOURS[n % len(COLOURS)], DASHES[n // len(COLOURS)]) for n in range(14)}
    assert len(looks) == 14
    assert len({(COLOURS[n % len(COLOURS)], MARKERS[n % len(MARKERS)]) for n in range(14)}) == 14


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.png.txt"])
def test_other_files_are_refused(name: str, results: list[Result], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.pdf, \.png, \.svg"):
        draw(results, tmp_path / name)
    assert not any(tmp_path.iterdir())


def test_a_folder_that_is_a_file(results: list[Result], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write"):
        draw(results, tmp_path / "file" / "a.png")


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependency, match=r'matplotlib.*pip install "hwnas\[bench\]"'):
        check(Path("a.png"))


def test_without_pyarrow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from hwnas.bench import load

    (tmp_path / "a.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependency, match=r'pyarrow.*pip install "hwnas\[bench\]"'):
        load("nasbench201", tmp_path / "a.parquet")

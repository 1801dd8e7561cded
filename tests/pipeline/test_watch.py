"""Progress: lines now and then in a pipe, durations, tables."""

from __future__ import annotations

from io import StringIO
from itertools import count

import pytest

from hwnas.cli.console import say_facts, say_table
from hwnas.cli.result import count as amount
from hwnas.cli.result import size
from hwnas.pipeline.display.watch import Bars, Lines, duration


def test_a_line_every_ten_seconds_with_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = count(0, 4)
    watch = Lines(clock=lambda: float(next(seconds)))
    for done in range(0, 8):
        watch.progress("search", done, 20)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["  search: 3 of 20, about 1 min 8 s left", "  search: 6 of 20, about 56 s left"]


def test_new_work_begins_a_new_estimate(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 50.0, 60.0, 60.5])
    watch = Lines(clock=lambda: next(times))
    watch.progress("one", 0, 10)
    watch.progress("two", 5, 10)
    watch.progress("two", 6, 10)
    watch.progress("two", 10, 10)
    assert capsys.readouterr().err == "  two: 6 of 10, about 40 s left\n"


def test_work_beside_other_work_has_lines_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = count(0, 4)
    watch = Lines(clock=lambda: float(next(seconds)))
    for done in range(0, 4):
        watch.progress("train reference", done, 20)
        watch.progress("beside: search", 2 * done, 20)
    assert capsys.readouterr().err.splitlines() == ["  train reference: 2 of 20, about 2 min 24 s left",
                                                    "  beside: search: 4 of 20, about 1 min 4 s left"]


def test_bars_of_both_are_shown_until_a_line_is_said() -> None:
    from rich.console import Console
    from rich.progress import Progress

    bars = Progress(console=Console(file=StringIO()))
    watch = Bars(bars)
    for what in ("train reference", "beside: search", "train reference", "beside: decode images"):
        watch.progress(what, 1, 4)
    assert [task.description for task in bars.tasks] == ["train reference", "beside: decode images"]
    watch.say("reference  done")
    assert bars.tasks == []


def test_nothing_is_printed_for_short_work(capsys: pytest.CaptureFixture[str]) -> None:
    watch = Lines()
    for done in range(100):
        watch.progress("quick", done, 100)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (12.4, "12 s"), (59.7, "1 min 0 s"),
                                               (125, "2 min 5 s"), (4800, "1 h 20 min")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(950, "950"), (12_345, "12.35 k"), (5_804_000, "5.804 M"),
                                             (2.5e9, "2.5 G")])
def test_counts(value: float, text: str) -> None:
    assert amount(value) == text


@pytest.mark.parametrize(("value", "text"), [(950, "0.9 kB"), (748_700, "748.7 kB"), (2_120_000, "2.12 MB"),
                                             (82e9, "82.0 GB")])
def test_sizes(value: float, text: str) -> None:
    assert size(value) == text


def test_a_table_in_a_pipe_aligns_numbers_right(capsys: pytest.CaptureFixture[str]) -> None:
    say_table(("name", "ms", "what"), [("a", "1.5", "k3"), ("long", "10.25", "skip")])
    assert capsys.readouterr().out == "name     ms  what\na       1.5  k3\nlong  10.25  skip\n"


def test_facts_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    say_facts([("a", 1), ("long", "two")])
    assert capsys.readouterr().out == "a     1\nlong  two\n"

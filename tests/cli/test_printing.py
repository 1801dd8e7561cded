"""Names that would steer a terminal are printed, never obeyed; narrow terminals get whole words."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.cli import console, entry
from hwnas.documents import printable
from hwnas.errors import InputError
from hwnas.pipeline.display import watch

HOSTILE = ["\x1b[2Jcat", "\x9b31mcat", "\x1b]0;title\x07cat", "cat\u202egnp.exe", "cat\x00", "a\rb", "a\nerror: forged",
           "\udcff.png", "\u2028x", "\x7f", "[red]cat[/]", "[/]", ":cat:", "\u2066x\u2069"]
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]")


@given(st.text() | st.sampled_from(HOSTILE))
def test_what_is_printable_steers_nothing_and_stays_readable(text: str) -> None:
    shown = printable(text)
    assert not OBEYED.search(shown)
    assert "\n" not in shown
    shown.encode()
    assert printable(shown) == shown


def test_ordinary_words_of_any_language_stay_as_they_are() -> None:
    for text in ("Käse", "猫", "кот", "قطة", "नेपाल", "👩‍🔬", "a\u00a0b"):
        assert printable(text) == text


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("say", [
    console.say, console.note, lambda name: console.say_facts([(name, name)]),
    lambda name: console.say_table((name, "number"), [(name, 1), ("dog", 2)]),
    lambda name: watch.Lines().say(f"{name} is timed"), lambda name: entry._explain(InputError(f"class {name}")),
])
def test_every_way_of_printing_is_clean(say: Callable[[str], object], name: str,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    say(name)
    found = capsys.readouterr()
    assert not OBEYED.search(found.out + found.err)
    assert not re.search(r"^error: forged", found.out + found.err, re.MULTILINE)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _drawn(columns: tuple[str, ...], rows: list[tuple[object, ...]], width: int,
           monkeypatch: pytest.MonkeyPatch) -> str:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "dumb")
    console.say_table(columns, rows)
    return screen.getvalue()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_drawn_table_is_clean_and_takes_no_markup(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = _drawn(("name", "number"), [(name, 1)], 80, monkeypatch)
    assert not OBEYED.search(text)
    assert printable(name) in text


@pytest.mark.parametrize("name", HOSTILE)
def test_bars_are_clean_and_take_no_markup(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setenv("TERM", "dumb")
    with watch.watching(False) as bars:
        bars.progress(name, 1, 2)
        bars.say(name)
    assert not OBEYED.search(err.getvalue())
    assert printable(name) in err.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_no_word_of_a_table_is_cut_at_any_width(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = ("prediction", "networks", "mean", "bias", "within 5 %", "within 10 %", "Kendall tau")
    rows = [("sum of isolated blocks", 24, "12.3 %", "-3.0 %", "80 %", "95 %", "0.934")]
    text = _drawn(columns, rows, width, monkeypatch)
    words = {word for cell in (*columns, *map(str, rows[0])) for word in cell.split()}
    assert [word for word in words if word not in text] == []
    assert max(map(len, text.splitlines())) <= width

"""What is left out is counted with its first example; names of classes keep their rules."""

from __future__ import annotations

import pytest

from hwnas.data.names import LONGEST, checked_names
from hwnas.data.notes import Notes, joined, leave_out, plain, told_unseen
from hwnas.errors import DataError


def test_notes_count_and_keep_the_first() -> None:
    notes = Notes()
    for first in ("a", "b\x1b[1m"):
        notes.left_out("boxes left out", first, 2)
    notes.left_out("nothing", "", 0)
    notes.say("decided")
    notes.say("decided")
    assert notes.told() == ("boxes left out: 4 (first: a)", "decided")
    assert joined(notes.told()) == "; boxes left out: 4 (first: a); decided"
    assert plain("b\x1b[1m").isprintable()
    assert len(plain("x" * 10**6)) < 300


@pytest.mark.parametrize(("gone", "total", "refused"), [(1, 3, False), (1, 2, True), (3, 3, True), (0, 0, False),
                                                        (4, 9, False), (9, 9, True)])
def test_half_is_too_many(gone: int, total: int, refused: bool) -> None:
    notes, names = Notes(), [f"x{i}" for i in range(gone)]
    if refused:
        with pytest.raises(DataError, match=rf"here: {gone} of {total} things are not there: x0.*; copy them"):
            leave_out(names, total, "things are not there", notes, "here", "copy them")
        return
    leave_out(names, total, "things are not there", notes, "here", "copy them")
    assert notes.told() == ((f"things are not there, left out: {gone} (first: x0)",) if gone else ())


def test_classes_that_a_part_lacks() -> None:
    assert told_unseen(["a", "b"], [1, 2], [3, 4], "box") == ()
    assert told_unseen(list("abcdefg"), [0] * 7, [1] * 6 + [0], "box") == (
        "classes without a training box: a, b, c, d, e and 2 more", "classes without a validation box: g")


@pytest.mark.parametrize(("names", "message"), [
    ([], "no class is named"), (["a", " a "], "two classes are called 'a'"), (["a", "  "], "an empty name"),
    (["a", "b\n"], None), (["a\nb"], "printable characters in one line"), (["\x9b1m"], "printable"),
    (["\u202etxt.exe"], "printable"), (["\udcff"], "printable"), (["x" * (LONGEST + 1)], "at most 250"),
    ([7], "is text, not 7; put it in quotes"), (["a"] * 60_000, "60,000 classes; at most 50,000"),
])
def test_names_of_classes(names: list[object], message: str | None) -> None:
    if message is None:
        assert checked_names(names, "here") == ("a", "b")
        return
    with pytest.raises(DataError, match=f"^here: .*{message}") as caught:
        checked_names(names, "here")
    assert str(caught.value).isprintable()

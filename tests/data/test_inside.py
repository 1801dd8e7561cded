"""Whatever a file names lies below the folder of the data, or is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.data.inside import Finder, parts_inside, path_inside
from hwnas.errors import DataError

ROOT = Path("/data/set")
STEPS = st.lists(st.sampled_from(["..", ".", "a", "b c", "", "/", "\\", "set", "data", "C:", "~", "\x00", "x.png"]),
                 max_size=8)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.sampled_from(["/", "\\"]), st.sampled_from([ROOT, ROOT / "a", ROOT / "a" / "b"]))
def test_no_path_leads_out(steps: list[str], between: str, base: Path) -> None:
    text = between.join(steps)
    try:
        found = path_inside(text, ROOT, base, "here")
    except DataError:
        return
    assert os.path.commonpath([os.path.normpath(found), ROOT]) == str(ROOT)
    assert ".." not in found.parts


@pytest.mark.parametrize(("text", "base", "parts"), [
    ("x.png", ROOT, ("x.png",)), ("a\\x.png", ROOT, ("a", "x.png")), ("./a//x.png", ROOT, ("a", "x.png")),
    ("../x.png", ROOT / "a", ("x.png",)), ("/data/set/a/x.png", ROOT, ("a", "x.png")), ("a/..", ROOT, ()),
    ("x.png", ROOT / "a", ("a", "x.png")), ("...", ROOT, ("...",)),
])
def test_what_stays_inside(text: str, base: Path, parts: tuple[str, ...]) -> None:
    assert parts_inside(text, ROOT, base, "here") == parts


@pytest.mark.parametrize("text", [
    "", " ", "..", "/", "/data/settle/x.png", "../set2/x.png", "C:x.png", "\\\\host\\x", "a\nb", "\x1b[1m", "x" * 5000])
def test_what_does_not(text: str) -> None:
    with pytest.raises(DataError, match=r"^here: ") as caught:
        parts_inside(text, ROOT, ROOT, "here")
    assert str(caught.value).isprintable()


def test_an_absolute_path_through_a_link_to_the_folder_is_inside(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    text = str(tmp_path / "real" / "x.png")
    assert parts_inside(text, tmp_path / "link", tmp_path / "link", "here") == ("x.png",)


def test_files_are_found_in_another_case_and_with_another_suffix(tmp_path: Path) -> None:
    for name in ("a.JPG", "b.png", "B.PNG", "c.txt", "two.jpg", "two.png", "._d.jpg"):
        (tmp_path / name).write_bytes(b"")
    finder = Finder()

    def find(name: str, any_suffix: bool = False) -> str | None:
        found = finder.find([tmp_path / "none", tmp_path], (name,), any_suffix)
        return found and found.name

    assert find("a.jpg") == "a.JPG"
    assert (find("b.png"), find("B.PNG"), find("b.PNG")) == ("b.png", "B.PNG", None)  # two that differ in case alone
    assert (find("a"), find("a", True), find("a.png", True)) == (None, "a.JPG", "a.JPG")
    assert (find("two", True), find("c", True), find("d", True)) == (None, None, None)

"""Which files of a folder are images, and where what is written of them goes."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from hwnas.imaging.listing import list_images, output_stems

ENDS = (".png", "-mask.png")
PARTS = st.sampled_from(["a", "A", "b", "a-mask", "a.png", "a.jpg", "a-mask.png", "b.png-2", "..", "c"])
NAMES = st.lists(st.tuples(st.lists(PARTS, max_size=2), PARTS, st.sampled_from([".jpg", ".png", ".JPG", ".gif", ""])),
                 max_size=12)


@given(NAMES)
def test_no_two_are_written_to_one_place(drawn: list[tuple[list[str], str, str]]) -> None:
    names = ["/".join([*folders, stem + end]) for folders, stem, end in drawn]
    stems = list(output_stems(names, ENDS))
    assert len(stems) == len(names)
    written = [f"{stem}{end}".lower() for stem in stems for end in ENDS]
    assert len(set(written)) == len(written)
    folders = {str(parent) for name in written for parent in PurePosixPath(name).parents}
    assert not folders & set(written)
    assert not any(".." in PurePosixPath(name).parts or name.startswith("/") for name in written)


def test_names_are_plain_where_nothing_meets() -> None:
    assert list(output_stems(["a.jpg", "sub/a.jpg", "b.x.png"], ENDS)) == ["a", "sub/a", "b.x"]
    assert list(output_stems(["a.jpg", "a.png", "b.png"], ENDS)) == ["a.jpg", "a.png", "b"]
    assert list(output_stems(["/etc/x.png", "../x.png"], ENDS)) == ["x.png", "x.png-2"]


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")


def test_what_a_folder_holds(tmp_path: Path) -> None:
    put(tmp_path, "a.JPG", "sub/b.webp", "x.txt", "._a.jpg", ".cache/c.png", "seen/predictions.jsonl", "seen/a.png",
        "out/a.png", "x.png/d.gif")
    (tmp_path / "sub" / "round").symlink_to(tmp_path)
    found = list_images(tmp_path, tmp_path / "out")
    assert [str(path) for path in found.images] == ["a.JPG", "sub/b.webp", "x.png/d.gif"]
    assert [str(path) for path in found.hidden] == ["._a.jpg", ".cache/c.png"]
    assert [str(path) for path in found.answered] == ["out", "seen"]
    assert found.left_out() == ("left out 2 hidden images, the first: ._a.jpg; "
                                "left out 2 folders with answers, the first: out")


def test_the_folder_itself_may_hold_answers(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "predictions.jsonl")
    found = list_images(tmp_path)
    assert [str(path) for path in found.images] == ["a.png"]
    assert found.left_out() == ""

"""Files are whole or absent, logs survive a torn last line; writes are made to fail by a real limit on file size."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas import files
from hwnas.documents import read_json
from hwnas.errors import InputError
from hwnas.files import LineLog

resource = pytest.importorskip("resource", reason="needs POSIX limits")
BAD_NUMBERS = [float("nan"), float("inf"), -float("inf")]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8,
)


@contextlib.contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """No file grows beyond `size_bytes` meanwhile: a write fails half-way, as on a full disk."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def refuse_to_rename(self: Path, target: Path) -> Path:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_write_makes_folders_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.bin"
    files.write_bytes(path, b"one")
    files.write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["c.bin"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_write_cut_off_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "c.bin"
    files.write_bytes(path, b"old")
    with largest_file(10_000), pytest.raises(InputError, match=r"cannot write .*c\.bin: .*untouched"):
        files.write_bytes(path, bytes(100_000))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["c.bin"]


def test_a_rename_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.json"
    files.write_json(path, {"old": 1})
    monkeypatch.setattr(Path, "replace", refuse_to_rename)
    with pytest.raises(InputError, match="No space left"):
        files.write_json(path, {"new": 2})
    assert read_json(path) == {"old": 1}
    assert os.listdir(tmp_path) == ["c.json"]


def test_an_error_inside_the_block_is_passed_on_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "c.bin"
    files.write_bytes(path, b"old")
    with pytest.raises(KeyError), files.replacing(path) as beside:  # noqa: PT012 - the block is what is tested
        beside.write_bytes(b"new")
        raise KeyError("mine")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["c.bin"]


def test_the_new_file_is_not_visible_before_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "c.bin"
    with files.replacing(path) as beside:
        beside.write_bytes(b"new")
        assert beside.parent == path.parent
        assert not path.exists()
    assert path.read_bytes() == b"new"


def test_a_file_in_the_place_of_a_folder_and_the_reverse_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "c.bin", tmp_path / "folder"):
        with pytest.raises(InputError, match="cannot write"):
            files.write_bytes(path, b"new")
    with pytest.raises(InputError, match="cannot append"):
        files.append_line(tmp_path / "folder", 1)
    with pytest.raises(InputError, match="a folder"):
        read_json(tmp_path / "folder")
    with pytest.raises(InputError, match="a folder"):
        files.read_lines(tmp_path / "folder")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


@pytest.mark.parametrize("number", BAD_NUMBERS)
def test_what_json_cannot_hold_is_refused_before_anything_is_written(tmp_path: Path, number: float) -> None:
    files.write_json(tmp_path / "c.json", 1)
    files.append_line(tmp_path / "c.jsonl", 1)
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "c.json", {"x": number})
    with pytest.raises(ValueError, match="JSON"):
        files.append_line(tmp_path / "c.jsonl", [number])
    assert read_json(tmp_path / "c.json") == 1
    assert files.read_lines(tmp_path / "c.jsonl") == [1]


@settings(max_examples=30, deadline=None)
@given(values=st.lists(JSON, max_size=5))
def test_round_trips(tmp_path_factory: pytest.TempPathFactory, values: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("files")
    files.write_json(folder / "c.json", values)
    assert read_json(folder / "c.json") == values
    for value in values:
        files.append_line(folder / "c.jsonl", value)
    assert (files.read_lines(folder / "c.jsonl") if values else []) == values


def test_reading_names_the_file_and_the_place(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    with pytest.raises(InputError, match=r"no such file: .*c\.json"):
        read_json(path)
    with pytest.raises(InputError, match=r"no such file: .*c\.json"):
        files.read_lines(path)
    for content, said in ((b'{"a": ', "not valid JSON"), (b"\xff\xfe", "UTF-16"), (b"", "not valid JSON")):
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"c\.json is {said}"):
            read_json(path)


def test_a_torn_last_line_is_left_out_and_cut_off_by_the_next_append(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    whole = b'{"a": 1}\n{"a": 2}\n'
    for torn in (b'{"a": 3', b'{"a": 3}', b"\xff"):  # the second is valid JSON, but nobody knows that it is whole
        path.write_bytes(whole + torn)
        assert files.read_lines(path) == [{"a": 1}, {"a": 2}]
        files.append_line(path, {"a": 4})
        assert path.read_bytes() == whole + b'{"a": 4}\n'


def test_a_log_that_is_one_torn_line_starts_over(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(b'{"a"')
    assert files.read_lines(path) == []
    files.append_line(path, 5)
    assert path.read_bytes() == b"5\n"


def test_an_append_cut_off_half_way_loses_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    files.append_line(path, "first")
    with largest_file(50), pytest.raises(InputError, match=r"cannot append to .*c\.jsonl"):
        files.append_line(path, "x" * 1000)
    assert files.read_lines(path) == ["first"]
    files.append_line(path, "second")
    assert files.read_lines(path) == ["first", "second"]


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    for broken, said in ((b"{nope", "not valid JSON"), (b"\xff\xff", "not UTF-8")):
        path.write_bytes(b"1\n\n" + broken + b"\n4\n")
        with pytest.raises(InputError, match=rf"c\.jsonl, line 3 is {said}.*repair or delete"):
            files.read_lines(path)


def test_blank_lines_are_no_values(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(b"1\n\n  \n2\r\n")
    assert files.read_lines(path) == [1, 2]


def test_sha256_of_a_file_longer_than_a_block(tmp_path: Path) -> None:
    data = os.urandom((1 << 20) + 7)
    (tmp_path / "c.bin").write_bytes(data)
    assert files.sha256(tmp_path / "c.bin") == hashlib.sha256(data).hexdigest()


def test_json_on_disk_is_readable_by_others(tmp_path: Path) -> None:
    files.write_json(tmp_path / "c.json", {"ü": [1]})
    assert json.loads((tmp_path / "c.json").read_bytes()) == {"ü": [1]}
    assert (tmp_path / "c.json").read_bytes().endswith(b"}\n")


def _abandoned(folder: Path, name: str, seconds: float = 3600.0) -> Path:
    path = folder / name
    path.write_bytes(b"half")
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - seconds))
    return path


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    left = _abandoned(tmp_path, f".model.onnx.abc12345{files.PART}")
    folder = tmp_path / f".bundle.x{files.PART}"
    folder.mkdir()
    _abandoned(folder, "model.onnx")
    os.utime(folder, (0, 0))
    kept = [_abandoned(tmp_path, ".model.onnx.abc12345"), _abandoned(tmp_path, f"mine{files.PART}"),
            _abandoned(tmp_path, ".lock"), _abandoned(tmp_path, f".new{files.PART}", seconds=10)]
    assert sorted(files.sweep(tmp_path)) == sorted([left, folder])
    assert sorted(tmp_path.iterdir()) == sorted(kept)
    assert files.sweep(tmp_path / "absent") == []


def test_what_another_process_is_writing_stays(tmp_path: Path) -> None:
    with files.replacing(tmp_path / "big.bin") as beside:
        beside.write_bytes(b"much")
        os.utime(beside, (0, 0))
        assert files.sweep(tmp_path) == []
        assert beside.is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["big.bin"]


def test_a_killed_writer_is_cleaned_up_by_the_next_write(tmp_path: Path) -> None:
    program = ("import os, signal, sys\nfrom pathlib import Path\nfrom hwnas import files\n"
               "with files.replacing(Path(sys.argv[1]) / 'a.bin') as beside:\n"
               "    beside.write_bytes(b'half')\n    os.utime(beside, (0, 0))\n"
               "    os.kill(os.getpid(), signal.SIGKILL)")
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, timeout=240)
    (part,) = tmp_path.iterdir()
    assert part.name.endswith(files.PART)
    files.write_bytes(tmp_path / "b.bin", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["b.bin"]


def test_a_long_name_leaves_room_for_the_part(tmp_path: Path) -> None:
    files.write_bytes(tmp_path / ("a" * 255), b"x")
    assert [len(path.name) for path in tmp_path.iterdir()] == [255]


def test_lines_are_whole_and_replace_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out" / "lines.jsonl"
    with LineLog(path) as log:
        log.add({"a": 1})
        assert files.read_lines(path) == [{"a": 1}]  # the first is there at once
        log.add({"a": 2})
    assert files.read_lines(path) == [{"a": 1}, {"a": 2}]
    with LineLog(path):
        pass
    assert files.read_lines(path) == [{"a": 1}, {"a": 2}]  # nothing was added: nothing is lost
    with contextlib.suppress(KeyboardInterrupt), LineLog(path) as log:
        for number in range(3):
            log.add(number)
        raise KeyboardInterrupt
    assert files.read_lines(path) == [0, 1, 2]


def test_lines_that_cannot_be_written_say_so(tmp_path: Path) -> None:
    (tmp_path / "lines.jsonl").mkdir()
    with pytest.raises(InputError, match=r"lines\.jsonl"), LineLog(tmp_path / "lines.jsonl") as log:
        log.add(1)

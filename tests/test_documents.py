"""Files from outside: whatever they hold, a value or one line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.documents import brief, json_value, read_bytes, read_json, read_text
from hwnas.errors import InputError, TableError

values = st.recursive(
    st.none() | st.booleans() | st.integers(-2**63, 2**63) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4), max_leaves=20)


@given(values)
def test_json_comes_back(value: object) -> None:
    assert json_value(json.dumps(value), "x") == value


@given(st.binary(max_size=200))
def test_bytes_end_in_a_value_or_in_one_line(content: bytes) -> None:
    said = ""
    try:
        json_value(content, "x")
    except InputError as err:
        said = str(err)
    assert "\n" not in said


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "1e999", "9" * 5000, "[" * 200_000, "[" * 70 + "]" * 70, "{",
                                  ""])
def test_json_that_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^x is"):
        json_value(text, "x")


def test_a_mark_at_the_beginning_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfred")
    assert read_text(tmp_path / "a") == "red"
    (tmp_path / "a").write_bytes("red".encode("utf-16"))
    with pytest.raises(InputError, match="UTF-16"):
        read_text(tmp_path / "a")


def test_only_files_within_bounds_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_bytes(tmp_path / "a", 5) == b"12345"
    with pytest.raises(TableError, match="larger than"):
        read_bytes(tmp_path / "a", 4, TableError)
    with pytest.raises(InputError, match="a folder"):
        read_json(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read_json(tmp_path / "b")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="a pipe"):
        read_bytes(tmp_path / "pipe")


@given(st.integers() | st.text() | st.lists(st.integers()), st.integers(10, 80))
def test_brief_is_brief(value: object, most: int) -> None:
    assert len(brief(value, most)) <= most + 6

"""YAML from outside, and values held against a schema: whatever they hold, a value or one line."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from hwnas.errors import InputError
from hwnas.validation import checked, yaml_value

values = st.recursive(
    st.none() | st.booleans() | st.integers(-2**63, 2**63) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4), max_leaves=20)

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))


@pytest.mark.parametrize("text", [BOMB, "a: &a [*a]", "[" * 5000, "{" * 300, "a: .nan", "a: .inf", "a: " + "9" * 5000,
                                  "!!python/object/apply:os.system [ls]", "a: 1\na: 2", "? [1]\n: 2", "a: 1\n---\nb: 2",
                                  "<<: 3", "!!int x", "\x00"])
def test_yaml_that_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^x"):
        yaml_value(text, "x")


def test_dates_are_text_and_anchors_work() -> None:
    assert yaml_value("a: &a 2020-99-99\nb: *a", "x") == {"a": "2020-99-99", "b": "2020-99-99"}
    assert yaml_value("", "x") is None


@given(values)
def test_plain_yaml_comes_back(value: object) -> None:
    text = yaml.safe_dump(value)
    read = yaml_value(text, "x")
    assert read == value or json.dumps(read) == json.dumps(yaml.safe_load(text))


@given(st.text(max_size=200))
def test_text_ends_in_a_value_or_in_one_line(text: str) -> None:
    said = ""
    try:
        yaml_value(text, "x")
    except InputError as err:
        said = str(err)
    assert "\n" not in said


def test_checked_says_the_first_fault_and_how_many() -> None:
    class Wanted(BaseModel):
        size: int
        names: list[str]

    assert checked(Wanted, {"size": 1, "names": []}, "x").size == 1
    with pytest.raises(InputError, match=r"^x: size: .*integer.*, not 1.5 \(and 1 more\); export it again$"):
        checked(Wanted, {"size": 1.5, "names": 3}, "x", way_out="export it again")

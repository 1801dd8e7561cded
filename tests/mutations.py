"""Hostile files made of valid ones: values of other types, keys gone or added, numbers that cannot be, damaged bytes.

A test of a format takes a valid value, lets `documents` or `lines` damage it, and holds its reader by `judged`: a
value, or one line that ends the command with exit code 2. $HWNAS_FUZZ is how many examples are tried a test.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from hwnas.errors import HwnasError

T = TypeVar("T")

EXAMPLES = int(os.environ.get("HWNAS_FUZZ", "50"))
fuzzed = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
MOST_MESSAGE = 2000
DIGITS = "9" * 5000


def nested(depth: int, kind: str = "list") -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value] if kind == "list" else {"a": value}
    return value


ODD: list[Any] = [
    None, True, False, 0, -1, 1, 2, 3, 7, 255, 1000, 65537, 2**31, 2**63, 2**64, -(2**63), 10**30, 0.5, -0.5, 1.5,
    1e-320, 1e-9, 1e7, 1e15, 1e308, -1e308, float("nan"), float("inf"), float("-inf"), "", "x", "0", "nan", "1e999",
    "\x00", "../../etc/passwd", "/etc/passwd", "\x1b[2J", "\u202e", "a" * 20_000, [], [[]],
    [0], ["x"] * 3, {}, {"a": 1},
    {"": None}, nested(30), nested(30, "dict"), nested(70), nested(120), [1] * 1000, "${x}", "2020-99-99",
]
odd_values = st.sampled_from(ODD).map(copy.deepcopy) | st.integers() | st.floats() | st.text(max_size=20)


def places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to every value inside, the whole first."""
    found = [here]
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        found += places(part, (*here, key))
    return found


@st.composite
def mutated(draw: st.DrawFn, value: Any, most: int = 3) -> Any:
    """`value` with one to `most` things wrong, or by chance none."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, most))):
        path = draw(st.sampled_from(places(value)))
        if not path:
            if draw(st.integers(0, 19)) == 0:
                value = draw(odd_values)
            continue
        parent = value
        for key in path[:-1]:
            parent = parent[key]
        value = _damaged(draw, value, parent, path[-1])
    return value


def _damaged(draw: st.DrawFn, value: Any, parent: Any, key: Any) -> Any:
    how = draw(st.sampled_from(["replace", "replace", "replace", "nudge", "remove", "add", "repeat", "swap"]))
    old = parent[key]
    if how == "remove":
        del parent[key]
    elif how == "add" and isinstance(parent, dict):
        parent[draw(st.text(max_size=8))] = draw(odd_values)
    elif how == "repeat" and isinstance(parent, list):
        parent[key:key] = [copy.deepcopy(old)] * draw(st.sampled_from([1, 2, 50]))
    elif how == "nudge" and isinstance(old, int | float) and not isinstance(old, bool):
        parent[key] = draw(st.sampled_from([old + 1, old - 1, -old, old * 1000, old * 1e-9, old * 1e12, float(old)]))
    elif how == "swap" and isinstance(parent, dict):
        other = draw(st.sampled_from(sorted(parent, key=str)))
        parent[key], parent[other] = parent[other], old
    else:
        parent[key] = draw(odd_values)
    return value


@st.composite
def documents(draw: st.DrawFn, value: Any) -> bytes:
    """A JSON file that holds a damaged `value`, or damaged bytes."""
    text = json.dumps(draw(mutated(value))).encode(errors="replace")
    return draw(damaged_bytes(text)) if draw(st.integers(0, 5)) == 0 else text


@st.composite
def lines(draw: st.DrawFn, values: Sequence[Any]) -> bytes:
    """A JSON Lines file of which one line is damaged."""
    number = draw(st.integers(0, len(values) - 1))
    texts = [json.dumps(v).encode() for v in values]
    texts[number] = draw(documents(values[number])).replace(b"\n", b" ")
    how = draw(st.sampled_from(["as it is"] * 8 + ["gone", "first", "twice"]))
    if how == "gone":
        del texts[number]
    elif how == "first":
        texts.insert(0, texts.pop(number))
    elif how == "twice":
        texts.append(texts[number])
    return b"\n".join(texts) + draw(st.sampled_from([b"\n", b"\n", b"\n", b"", b"\n\n"]))


@st.composite
def damaged_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """Cut off, overwritten, with something inserted, or something else altogether."""
    how = draw(st.sampled_from(["cut", "overwrite", "insert", "digits", "brackets", "other", "mark", "utf16"]))
    at = draw(st.integers(0, max(0, len(content) - 1)))
    if how == "cut":
        return content[:at]
    if how == "overwrite":
        noise = draw(st.binary(min_size=1, max_size=16))
        return content[:at] + noise + content[at + len(noise):]
    if how == "insert":
        return content[:at] + draw(st.binary(min_size=1, max_size=16)) + content[at:]
    if how == "digits":
        return content[:at] + DIGITS.encode() + content[at:]
    if how == "brackets":
        return draw(st.sampled_from([b"[" * 200_000, b'{"a":' * 100_000, b"[" * 5000 + b"]" * 5000]))
    if how == "mark":
        return b"\xef\xbb\xbf" + content
    if how == "utf16":
        return content.decode("utf-8", "replace").encode("utf-16")
    return draw(st.binary(max_size=200))


def judged(read: Callable[[], T], kinds: tuple[int, ...] = (2,)) -> T | None:
    """What `read` gives, or None where it refuses in one line with one of these exit codes; anything else fails."""
    try:
        return read()
    except HwnasError as err:
        refusal = err
    said = str(refusal)
    assert refusal.exit_code in kinds, f"exit code {refusal.exit_code}: {said}"
    assert "\n" not in said, said
    assert len(said) <= MOST_MESSAGE, f"{len(said)} characters: {said[:200]}"
    return None

"""Changes of precision: their text form, and where a network of several precisions has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import InputError
from hwnas.space import Change, Op, SpaceConfig, build
from hwnas.space.change import is_change
from hwnas.space.execution import executions
from hwnas.space.position import Position, edges, live_positions
from hwnas.target import PRECISIONS, Precision

CHANGES = st.builds(lambda pair, shape: Change(pair[0], pair[1], tuple(shape)), st.permutations(PRECISIONS),
                    st.lists(st.integers(1, 9999), min_size=1, max_size=3))


@given(CHANGES)
def test_the_text_form_is_read_back(change: Change) -> None:
    assert Change.parse(change.signature) == change
    assert is_change(change.signature)


def test_the_text_form_is_fixed() -> None:
    """It is the key of tables that exist."""
    assert Change("fp32", "int8", (16, 8, 8)).signature == "change fp32>int8 16x8x8"
    assert Change.parse("change int8>fp16 1280").shape == (1280,)
    assert Change.parse("change bf16>fp32 8x4x16x16").values == 8192


@pytest.mark.parametrize("text", [
    "", "change", "change fp32>int8", "change fp32 > int8 16x8x8", "change fp32>int8 16x8x8 ",
    "change fp32>fp32 16x8x8", "change fp32>fp8 16x8x8", "change fp32>int8 0x8x8", "change fp32>int8 1x2x3x4x5",
    "change fp32>int8 016x8x8",
    "change int8 16x8x8", "change fp32>int8>fp16 16x8x8", "change fp32>int8 999999x999999x999999",
    "conv k3 e1 s1 8-8 8x8 relu",
    "change fp32>int8 16x8x8\n", "change fp32>int8 ١٦x8x8"])  # noqa: RUF001
def test_what_is_no_change_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"change"):
        Change.parse(text)


def test_no_op_is_taken_for_a_change() -> None:
    space = build(SpaceConfig("nasbench201", 8, 3, 10, depth=1))
    assert not any(is_change(signature) for signature in space.signatures)
    assert not is_change("change k3 e1 s1 8-8 8x8 relu")  # a kind of this name may exist


def conv(name: str, reads: str, writes: str = "", merge: str = "sum") -> Position:
    return Position(name, (Op("conv", 8, 8, 4, 4, kernel=3),), reads, writes, merge=merge)  # type: ignore[arg-type]


def changes_of(positions: list[Position], precisions: list[Precision]) -> list[list[str]]:
    """Per position the changes that it needs."""
    wired, ops = edges(positions), [p.ops[0] for p in positions]
    steps = executions(wired, ops, live_positions(wired, ops), precisions)
    assert [step.precision for step in steps] == precisions
    return [[f"{c.before}>{c.after}" for c in step.changes] for step in steps]


CHAIN = [conv("a", "input"), conv("b", "a"), conv("c", "b")]


def test_a_chain_changes_between_neighbours_alone() -> None:
    assert changes_of(CHAIN, ["int8", "int8", "int8"]) == [[], [], []]
    assert changes_of(CHAIN, ["fp32", "int8", "fp16"]) == [[], ["fp32>int8"], ["int8>fp16"]]


def test_a_map_is_changed_once_for_all_that_read_it() -> None:
    fork = [conv("a", "input"), conv("b", "a", "n"), conv("c", "a", "n"), conv("d", "n")]
    assert changes_of(fork, ["fp32", "int8", "int8", "int8"]) == [[], ["fp32>int8"], [], []]
    assert changes_of(fork, ["fp32", "int8", "fp16", "fp16"]) == [
        [], ["fp32>int8"], ["fp32>fp16", "fp16>int8"], ["int8>fp16"]], "the sum is held as its first term is"


def test_parts_side_by_side_are_held_as_the_first() -> None:
    beside = [conv("a", "input"), conv("b", "a", "n", "concat"), conv("c", "a", "n", "concat"),
              Position("d", (Op("conv", 16, 8, 4, 4, kernel=3),), "n")]
    assert changes_of(beside, ["fp32", "int8", "fp32", "fp32"]) == [[], ["fp32>int8"], ["fp32>int8"], ["int8>fp32"]]


def test_what_has_no_work_passes_its_map_on() -> None:
    skip = [CHAIN[0], Position("s", (Op("skip", 8, 8, 4, 4),)), CHAIN[2]]
    skip[2] = conv("c", "s")
    assert changes_of(skip, ["fp32", "fp32", "int8"]) == [[], [], ["fp32>int8"]]
    assert changes_of(skip, ["fp32", "int8", "int8"]) == [[], ["fp32>int8"], []]
    assert changes_of(skip, ["fp32", "int8", "fp32"]) == [[], ["fp32>int8"], ["int8>fp32"]]


def test_one_precision_executes_what_no_precision_does() -> None:
    cells = build(SpaceConfig("nasbench201", 8, 3, 10, depth=1))
    for choice in ([4, 0, 2, 4, 0, 2], [1, 4, 1, 1, 4, 1], [1, 2, 3, 4, 0, 1]):
        arch = cells.architecture(choice)
        steps = executions(cells.edges, arch.ops, arch.live, ["int8"] * len(arch.ops))
        assert not any(step.changes for step in steps)
        assert [(s.position, s.like, s.adds) for s in steps] == [(s.position, s.like, s.adds) for s in arch.executions]

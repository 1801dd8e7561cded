"""Where a request begins and ends: the same however it is cut, in time linear in its bytes, and nothing odd gets by."""

from __future__ import annotations

import contextlib
import itertools

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.deploy.server.heads import Chunks, Head, Length
from hwnas.deploy.server.limits import Refusal
from tests.timing import least, processor_s

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"


def taken(data: bytes, cuts: list[int]) -> tuple[bytes, bytes] | None:
    """What a head makes of bytes that come in pieces."""
    head, places = Head(), sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for begin, end in itertools.pairwise(places):
        found = head.take(data[begin:end])
        if found:
            return found[0], found[1] + data[end:]
    return None


@given(st.lists(st.integers(0, 500), max_size=8), st.binary(max_size=50), st.sampled_from([b"\r\n", b"\n"]))
def test_a_head_ends_where_it_ends(cuts: list[int], rest: bytes, line_end: bytes) -> None:
    head = GET.replace(b"\r\n", line_end) + b"X-Name: value" + 2 * line_end
    assert taken(head + rest, cuts) == (head, rest)


@given(st.binary(max_size=300), st.lists(st.integers(0, 500), max_size=5))
def test_what_passes_is_quick_for_the_parser_behind(data: bytes, cuts: list[int]) -> None:
    try:
        found = taken(GET + data + b"\r\n\r\n", cuts)
    except Refusal as err:
        assert err.status in (400, 431)  # noqa: PT017 - either way is right
        return
    assert found is not None
    assert least(0.2, lambda: parsed(found[0])) < 0.2


def parsed(head: bytes) -> float:
    """Seconds that h11 takes, whatever it says."""
    connection = h11.Connection(h11.SERVER, 1 << 16)

    def parse() -> None:
        with contextlib.suppress(h11.RemoteProtocolError):
            connection.receive_data(head)
            connection.next_event()

    return processor_s(parse)


MANY = 16_000
ODD = {
    "blanks and a control": b"a:" + b" " * MANY + b"\x00", "blanks": b"a:" + b" " * MANY, "tabs": b"a:" + b"\t " * 200,
    "a bare carriage return": b"a: b\rc", "zero": b"a: \x00", "delete": b"a: \x7f", "folded": b"a: b\r\n c",
}


@pytest.mark.parametrize("name", ODD)
def test_what_no_head_may_hold(name: str) -> None:
    with pytest.raises(Refusal) as refused:
        taken(GET + ODD[name] + b"\r\n\r\n", [])
    assert refused.value.status in (400, 431)


@pytest.mark.parametrize("head", [GET + b"a: b\r\n" * 63 + b"\r\n", GET + b"a: " + b"b" * 17_000 + b"\r\n\r\n",
                                  b"G" * 17_000, GET + b"a: b\r\n" * 1000, b"GET /" + b"a" * 17_000])
def test_a_head_is_short_whole_or_not(head: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        taken(head, [])
    assert refused.value.status == 431


def test_all_heads_that_pass_are_parsed_at_once() -> None:
    worst = [b"a: " + (b"b" + b" " * 63) * 240, b"a" * 15_000, b"a: b\r\n" * 60, b"a: " + b"b " * 7500,
             b"Content-Length: " + b"1," * 7500 + b"1", b"Transfer-Encoding: " + b"chunked," * 1800]
    for line in worst:
        found = taken(GET + line + b"\r\n\r\n", [])
        assert found is not None
        assert least(0.1, lambda head=found[0]: parsed(head)) < 0.1, line[:20]  # type: ignore[misc]


def chunked(pieces: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.lists(st.integers(0, 600), max_size=8),
       st.binary(max_size=20))
def test_chunks_end_where_they_end(pieces: list[bytes], cuts: list[int], rest: bytes) -> None:
    data, chunks, mine = chunked(pieces) + rest, Chunks(), 0
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for begin, end in itertools.pairwise(places):
        mine += chunks.take(data[begin:end])
    assert chunks.done
    assert data[mine:] == rest


@pytest.mark.parametrize("data", [
    b"x\r\n", b"-1\r\n", b"1;" + b"a" * 100, b"1\n", b"0\r\na: b\r\n", b"0\r\na:" + b" " * 9000, b"1" * 40, b"\r\n",
    b"1\r\nx\r\n" * 100, b"f" * 17 + b"\r\n", b"0x1\r\n", b"+1\r\n", b"1_0\r\n",
])
def test_chunks_that_are_refused(data: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        Chunks().take(data)
    assert refused.value.status == 400


def test_large_chunks_are_taken() -> None:
    chunks = Chunks()
    data = chunked([bytes(8192)] * 500)
    assert chunks.take(data) == len(data)
    assert chunks.done


@given(st.integers(0, 100), st.lists(st.binary(max_size=40), max_size=8))
def test_a_length_is_that_long(size: int, pieces: list[bytes]) -> None:
    body, mine = Length(size), 0
    for piece in pieces:
        mine += body.take(piece)
    assert mine == min(size, sum(map(len, pieces)))
    assert body.done == (mine == size)

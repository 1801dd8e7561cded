"""Where a request begins and ends on its connection, found before any other parser sees a byte of it.

h11 takes seconds for a line of blanks that ends in a control character, and milliseconds for thousands of headers or
of tiny chunks. So what is given to it was looked at before, in time linear in its bytes: heads are short, of few lines
without runs of blanks, chunks are large, and nothing follows them. RFC 9112 allows to refuse all of these.
"""

from __future__ import annotations

import re

from hwnas.deploy.server.limits import HEAD_BYTES, Refusal

LINES = 64
BLANKS = 64  # in a row
_END = re.compile(rb"\n\r?\n")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?=[^\n])")
_RUN = re.compile(rb"[ \t]{%d}" % BLANKS)
_FOLDED = re.compile(rb"\n[ \t]")
_CLIENT = "see the documentation of your client"

CHUNK_LINE = 32  # bytes of a chunk's size with its line end; extensions, which nobody uses, do not fit far
FREE_CHUNKS, MEAN_CHUNK = 64, 4096


class Head:
    """The bytes of a request's head, as they come."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    @property
    def begun(self) -> bool:
        """Whether a byte came."""
        return bool(self._bytes)

    def take(self, data: bytes) -> tuple[bytes, bytes] | None:
        """(the whole head, what follows it), or None while it is not whole.

        Raises:
            Refusal: 431 too long or of too many lines, 400 what no head may hold.
        """
        seen = len(self._bytes)
        self._bytes += data[: HEAD_BYTES + 1 - seen]
        found = _END.search(self._bytes, max(0, seen - 2))
        end = found.end() if found else len(self._bytes)
        head = bytes(self._bytes[:end])
        _check(head)
        if found is None:
            return None
        self._bytes.clear()
        return head, data[end - seen :]


def _check(head: bytes) -> None:
    if _CONTROL.search(head) or _RUN.search(head) or _FOLDED.search(head):
        raise Refusal(400, "the head of a request may not hold control characters, folded lines or runs of "
                           f"{BLANKS} blanks; this one does: {_CLIENT}")
    if len(head) > HEAD_BYTES:
        raise Refusal(431, f"the head of a request may have at most {HEAD_BYTES >> 10} KiB; this one has more: send "
                           "fewer or shorter headers")
    if head.count(b"\n") > LINES:
        raise Refusal(431, f"a request may have at most {LINES - 2} headers; this one has more: send fewer")


class Length:
    """A body of a length that was announced.

    Args:
        size: bytes.
    """

    def __init__(self, size: int) -> None:
        self._left = size

    @property
    def done(self) -> bool:
        """Whether all of it came."""
        return self._left == 0

    def take(self, data: bytes) -> int:
        """How many of the bytes are of the body."""
        mine = min(len(data), self._left)
        self._left -= mine
        return mine


class Chunks:
    """A body in chunks (RFC 9112, 7.1), without extensions worth the name and without trailers."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._left = 0  # of the chunk, with the line end behind it
        self._last = False
        self._count = self._bytes = 0
        self.done = False

    def take(self, data: bytes) -> int:
        """How many of the bytes are of the body.

        Raises:
            Refusal: 400, broken chunks, too small ones, or trailers.
        """
        place = 0
        while place < len(data) and not self.done:
            if self._left:
                step = min(self._left, len(data) - place)
                self._left -= step
                place += step
            else:
                place = self._read_line(data, place)
        return place

    def _read_line(self, data: bytes, place: int) -> int:
        end = data.find(b"\n", place, place + CHUNK_LINE)
        stop = end + 1 if end >= 0 else min(len(data), place + CHUNK_LINE)
        self._line += data[place:stop]
        if len(self._line) > CHUNK_LINE or (end < 0 and len(self._line) == CHUNK_LINE):
            raise _broken("the line before a chunk is too long")
        if end >= 0:
            line = bytes(self._line)
            self._line.clear()
            self._begin(line)
        return stop

    def _begin(self, line: bytes) -> None:
        if self._last:
            if line != b"\r\n":
                raise _broken("headers behind the last chunk are not taken")
            self.done = True
            return
        digits = line.partition(b";")[0].strip(b" \t\r\n")
        if not line.endswith(b"\r\n") or not re.fullmatch(rb"[0-9a-fA-F]{1,16}", digits):
            raise _broken("a chunk does not begin with its size")
        size = int(digits, 16)
        self._last, self._left = size == 0, size + 2 if size else 0
        self._count, self._bytes = self._count + 1, self._bytes + size
        if self._count > FREE_CHUNKS + self._bytes // MEAN_CHUNK:
            raise _broken(f"chunks must have {MEAN_CHUNK} bytes or more on the average")


def _broken(why: str) -> Refusal:
    return Refusal(400, f"the body is not in chunks that this server takes: {why}: send a Content-Length")

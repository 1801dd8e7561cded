"""The first file of a multipart form (RFC 7578), byte for byte. The worker's process reads it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from hwnas.deploy.server.limits import Refusal

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FORM = "multipart/form-data"
NAME = "image"
PARTS, HEADERS = 32, 8
PART_HEAD = 4 << 10  # bytes
MOST_BOUNDARY = 70  # RFC 2046, 5.1.1
MOST_NAME = 255


@dataclass
class _Part:
    """A part of a form: its headers, and where its content lies in the body."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    pieces: list[tuple[int, int]] = field(default_factory=list)
    whole: bool = False


def is_form(content_type: str) -> bool:
    """Whether a body of this type is a form."""
    return content_type.partition(";")[0].strip().lower() == FORM


def first_file(body: bytes, content_type: str) -> tuple[str, bytes]:
    """Name and content of the first part with a file name, else of the first part.

    Raises:
        Refusal: 400, the form is broken, cut off, holds nothing or more than a form needs.
    """
    boundary = _boundary(content_type)
    if body.count(b"--" + boundary) > PARTS + 1:  # before a parser goes from one to the next
        raise Refusal(400, f"a form may have at most {PARTS} parts; this one has more: send the image alone")
    reader = _Reader()
    try:
        parser = MultipartParser(boundary, reader.callbacks(), max_header_count=HEADERS, max_header_size=PART_HEAD)
        parser.write(body)
        parser.finalize()
    except FormParserError as err:
        raise Refusal(400, f"the form is broken: {str(err).rstrip('.')}: use `curl -F image=@photo.jpg`") from err
    if not reader.ended or not reader.parts or not all(part.whole for part in reader.parts):
        raise Refusal(400, "the form holds no whole part: it must end with its boundary and two dashes")
    named = ((name, part) for part in reader.parts if (name := _file_name(part)))
    name, part = next(named, (NAME, reader.parts[0]))
    view = memoryview(body)
    return name, b"".join(view[start:end] for start, end in part.pieces)


class _Reader:
    """What the parser tells of one body, which is given to it in one piece."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self.ended = False
        self._name, self._value, self._size = b"", b"", 0

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin, "on_header_field": self._field, "on_header_value": self._content,
            "on_header_end": self._header, "on_part_data": self._data, "on_part_end": self._end,
            "on_end": self._all,
        }

    def _begin(self) -> None:
        self.parts.append(_Part())
        self._size = 0

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _content(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header(self) -> None:
        self._size += len(self._name) + len(self._value)
        if self._size > PART_HEAD:
            raise Refusal(400, f"the head of a part may have at most {PART_HEAD >> 10} KiB; this one has more: give "
                               "the file a shorter name")
        self.parts[-1].headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].pieces.append((start, end))

    def _end(self) -> None:
        self.parts[-1].whole = True

    def _all(self) -> None:
        self.ended = True


def _boundary(content_type: str) -> bytes:
    """What separates the parts; read without a codec that the client names."""
    if len(content_type) > PART_HEAD:
        raise Refusal(400, "the Content-Type of a form is longer than any form needs: use `curl -F image=@photo.jpg`")
    boundary = parse_options_header(content_type.encode("latin-1", "replace"))[1].get(b"boundary", b"")
    if not 1 <= len(boundary) <= MOST_BOUNDARY or any(byte < 32 for byte in boundary):
        raise Refusal(400, f"a form must name its boundary, of 1 to {MOST_BOUNDARY} characters, in Content-Type: use "
                           "`curl -F image=@photo.jpg`")
    return boundary


def _file_name(part: _Part) -> str:
    """The last piece of the path that a client names, without what cannot be shown; '' where there is none."""
    options = parse_options_header(part.headers.get(b"content-disposition", b""))[1]
    name = options.get(b"filename", b"").decode("utf-8", "replace")
    return "".join(_shown(name.replace("\\", "/").rpartition("/")[2]))[:MOST_NAME]


def _shown(name: str) -> Iterator[str]:
    return (letter if letter.isprintable() else "�" for letter in name)

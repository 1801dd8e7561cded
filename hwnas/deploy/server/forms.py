"""The first file of a multipart form (RFC 7578), byte for byte."""

from __future__ import annotations

from email.message import Message

from hwnas.deploy.server.limits import Refusal

FORM = "multipart/form-data"
NAME = "image"
_END, _BLANK = b"\r\n", b"\r\n\r\n"


def is_form(content_type: str) -> bool:
    """Whether a body of this type is a form."""
    return content_type.partition(";")[0].strip().lower() == FORM


def first_file(body: bytes, content_type: str) -> tuple[str, bytes]:
    """Name and content of the first part with a file name, else of the first part.

    Raises:
        Refusal: 400, the form is broken, cut off or holds nothing.
    """
    boundary = _header("content-type", content_type).get_param("boundary")
    if not isinstance(boundary, str) or not boundary:
        raise Refusal(400, "a form must name its boundary in Content-Type: use `curl -F image=@photo.jpg`")
    pieces = (_END + body).split(_END + b"--" + boundary.encode("latin-1", "replace"))
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise Refusal(400, "the form holds no whole part: it must end with its boundary and two dashes")
    parts = [_part(piece) for piece in pieces[1:-1]]
    named = [(name, content) for name, content in parts if name]
    name, content = (named or parts)[0]
    return name or NAME, content


def _part(piece: bytes) -> tuple[str, bytes]:
    """File name, if there is one, and content of a part."""
    head, found, content = piece.partition(_BLANK)
    if not found:
        raise Refusal(400, "a part of the form has no blank line between its headers and its content")
    for line in head.split(_END):
        title, _, value = line.decode("utf-8", "replace").partition(":")
        if title.strip().lower() == "content-disposition":
            name = _header("content-disposition", value.strip()).get_filename() or ""
            return name.replace("\\", "/").rpartition("/")[2], content
    return "", content


def _header(name: str, value: str) -> Message:
    message = Message()
    message[name] = value.replace("\r", " ").replace("\n", " ")
    return message

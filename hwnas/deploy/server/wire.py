"""What server and worker say to each other over a pipe: facts as JSON and bytes, each with its length before it."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

_SIZES = struct.Struct(">II")


class Ended(Exception):
    """The other side is gone."""


def packed(facts: Mapping[str, Any], content: bytes = b"") -> tuple[bytes, bytes]:
    """A message, in the two pieces that are to be written one after the other."""
    told = json.dumps(facts).encode()
    return _SIZES.pack(len(told), len(content)) + told, content


async def hear(reader: asyncio.StreamReader) -> tuple[dict[str, Any], bytes]:
    """The next message.

    Raises:
        Ended: there is none any more.
    """
    try:
        told, content = _SIZES.unpack(await reader.readexactly(_SIZES.size))
        return json.loads(await reader.readexactly(told)), await reader.readexactly(content) if content else b""
    except (asyncio.IncompleteReadError, OSError) as err:
        raise Ended from err


def read(file: BinaryIO) -> tuple[dict[str, Any], bytes]:
    """As `hear`, in a process that has nothing else to do meanwhile."""
    told, content = _SIZES.unpack(_exactly(file, _SIZES.size))
    return json.loads(_exactly(file, told)), _exactly(file, content)


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise Ended
    return data

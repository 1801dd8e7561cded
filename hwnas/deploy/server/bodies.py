"""The body of a request, bounded in bytes and in time."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from hwnas.deploy.server.limits import Limits, Refusal

_AGAIN = {"Connection": "close"}


async def read_body(request: Request, limits: Limits, *, keep: bool = True) -> bytes:
    """All of it.

    A body that is too large is read a while longer and forgotten: who is cut off while sending never sees the answer.

    Args:
        keep: whether it is wanted; if not, it is read all the same, and what is given is empty.

    Raises:
        Refusal: 413 too large, 408 too slow.
        ClientDisconnect: the client is gone.
    """
    most, parts, size = limits.request_bytes, [], 0
    if _announced(request) > most and "100-continue" in request.headers.get("expect", "").lower():
        raise _too_large(_announced(request), most)  # the client waits for leave before it sends
    try:
        async with asyncio.timeout(limits.client_s):
            async for chunk in request.stream():
                size += len(chunk)
                if keep and size <= most:
                    parts.append(chunk)
                elif size > 2 * most:
                    break
    except TimeoutError as err:
        raise Refusal(408, f"a request must be sent within {limits.client_s:g} s; {size} bytes came: send it faster, "
                           "or start the server with a longer --timeout", _AGAIN) from err
    if size > most:
        raise _too_large(max(size, _announced(request)), most)
    return b"".join(parts)


def _announced(request: Request) -> int:
    """Bytes that the client says it sends; 0 where it does not."""
    told = request.headers.get("content-length", "")
    return int(told) if told.isdecimal() and told.isascii() else 0


def _too_large(size: int, most: int) -> Refusal:
    return Refusal(413, f"a request may have at most {most / (1 << 20):.3g} MiB; this one has {size / (1 << 20):.3g}: "
                        "send a smaller image, or start the server with a higher --max-mb", _AGAIN)

"""The bodies of requests: each bounded in bytes and in time, all together in bytes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.requests import Request

from hwnas.deploy.server.limits import Limits, Refusal

_AGAIN = {"Retry-After": "1"}


@dataclass(eq=False)
class _Body:
    """One that is in memory, or on its way there."""

    size: int = 0
    patience: asyncio.Timeout | None = None
    refused: str = ""


class Bodies:
    """All bodies that are in memory. Where room is short, the one that has been on its way longest has to go.

    Args:
        limits: what is accepted.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._coming: dict[_Body, None] = {}  # in the order in which they began
        self._bytes = 0

    @contextlib.asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """All of a body, which counts as in memory until the block ends.

        Raises:
            Refusal: 413 too large, 408 too slow, 503 there is no room.
            ClientDisconnect: the client is gone.
        """
        if (announced := _announced(request)) > self._limits.request_bytes:
            raise self._too_large(announced)
        body = _Body()
        try:
            yield await self._all_of(body, request)
        finally:
            self._bytes -= body.size

    def stop(self) -> None:
        """Refuse all that are on their way."""
        for body in list(self._coming):
            self._refuse(body, "the server stops")

    async def _all_of(self, body: _Body, request: Request) -> bytes:
        parts: list[bytes] = []
        self._coming[body] = None
        try:
            async with asyncio.timeout(self._limits.client_s) as body.patience:
                async for chunk in request.stream():
                    self._add(body, len(chunk))
                    parts.append(chunk)
        except TimeoutError as err:
            if body.refused:
                raise Refusal(503, f"{body.refused}: try again", _AGAIN) from err
            raise Refusal(408, f"a request must be sent within {self._limits.client_s:g} s; {body.size} bytes came: "
                               "send it faster, or start the server with a longer --timeout") from err
        finally:
            self._coming.pop(body, None)
        return b"".join(parts)

    def _add(self, body: _Body, size: int) -> None:
        body.size += size
        self._bytes += size
        if body.size > self._limits.request_bytes:
            raise self._too_large(body.size)
        while self._bytes > self._limits.held_bytes:
            others = (other for other in self._coming if other.size)
            longest = next(others, body)
            self._refuse(longest, "more is being sent to this server than it holds")
            if longest is body:
                raise Refusal(503, f"{body.refused}: try again", _AGAIN)

    def _refuse(self, body: _Body, why: str) -> None:
        """Its bytes are given back now: nobody will look at them."""
        self._coming.pop(body, None)
        self._bytes -= body.size
        body.size, body.refused = 0, why
        if body.patience is not None and not body.patience.expired():
            body.patience.reschedule(asyncio.get_running_loop().time())

    def _too_large(self, size: int) -> Refusal:
        most = self._limits.request_bytes
        return Refusal(413, f"a request may have at most {most / (1 << 20):.3g} MiB; this one has "
                            f"{size / (1 << 20):.3g} or more: send a smaller image, or start the server with a higher "
                            "--max-mb")


def _announced(request: Request) -> int:
    """Bytes that the client says it sends; 0 where it does not."""
    told = request.headers.get("content-length", "")
    return int(told) if told.isdecimal() and told.isascii() and len(told) < 20 else 0

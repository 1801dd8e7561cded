"""One HTTP connection that is cut where the client is too slow to ask, or to take its answer.

uvicorn bounds how long a connection may be silent between two requests; here is the rest: a request whose head trickles
in, a client that does not read, and requests that are already in the socket when the server is told to stop.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

LEAVE_S = 0.25  # a request that was sent before the stop has this long to be read


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1 with patience that ends.

    Attributes:
        patience_s: seconds for the head of a request, and for taking an answer.
        count: told 'slow' or 'request' when a connection is cut.
    """

    patience_s: float = 30.0
    count: Callable[[str], None] = staticmethod(lambda kind: None)
    _asking: asyncio.TimerHandle | None = None
    _taking: asyncio.TimerHandle | None = None
    _heard = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch_asking()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_asking()
        self._stop_taking()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._heard = True
        super().data_received(data)
        self._watch_asking()

    def on_response_complete(self) -> None:
        self._heard = False
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stop_taking()
        self._taking = self.loop.call_later(self.patience_s, self._cut)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_taking()

    def shutdown(self) -> None:
        """Let what is in the socket be answered; then as uvicorn does."""
        if self._idle:
            self.loop.call_later(LEAVE_S, self._leave)
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        self.count("request")
        self._say(400, "Bad Request", f"{msg} It is not HTTP/1.1: see the documentation of your client")

    @property
    def _idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _watch_asking(self) -> None:
        """A timer that runs from the first byte of a request, or the connection's begin, until its head is whole."""
        if not self._idle or self.transport.is_closing():
            self._stop_asking()
        elif self._asking is None:
            self._asking = self.loop.call_later(self.patience_s, self._too_slow)

    def _stop_asking(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None

    def _stop_taking(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def _too_slow(self) -> None:
        self._asking = None
        if not self._idle or self.transport.is_closing():
            return
        self.count("slow")
        if self._heard:
            self._say(408, "Request Timeout",
                      f"the head of a request must be sent within {self.patience_s:g} s: send it faster, or start the "
                      "server with a longer --timeout")
        else:
            self.transport.close()

    def _cut(self) -> None:
        self._taking = None
        self.count("slow")
        self.transport.abort()

    def _leave(self) -> None:
        if not self.transport.is_closing():
            super().shutdown()

    def _say(self, status: int, reason: str, message: str) -> None:
        """An answer past h11, whose state does not allow one here; then the end."""
        body = json.dumps({"error": message}).encode()
        head = (f"HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
                "connection: close\r\n\r\n")
        self.transport.write(head.encode() + body)
        self.transport.close()

"""One HTTP connection: what its client may send, in which time, and how it ends.

uvicorn bounds how long a connection may be silent between two requests; here is the rest. A head, and the frame of a
body, are looked at before h11 parses them (`heads`); nothing is read ahead of an answer; a client that asks, sends or
reads too slowly is cut; and one that is refused while it sends is heard a while longer, because it would not see its
answer if the connection were cut under it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from hwnas.deploy.server.heads import Chunks, Head, Length
from hwnas.deploy.server.job import told
from hwnas.deploy.server.limits import Refusal

LEAVE_S = 0.25  # a request that was sent before the stop has this long to be read
LINGER_S, LINGER_BYTES = 1.0, 8 << 20  # that a refused client may go on sending
READ_BYTES = 64 << 10  # at once, so that no connection holds up the others
REASONS = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large",
           503: "Service Unavailable"}


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1 with bounds.

    Attributes:
        patience_s: seconds for the head of a request, and for taking an answer.
        most: connections that are open at once.
        count: told 'slow', 'request', 'too_large' or 'overloaded' when a connection is refused or cut.
        waiting: of one server: connections that have no whole request, the oldest first.
    """

    patience_s: float = 30.0
    most: int = 256
    count: Callable[[str], None] = staticmethod(lambda kind: None)
    waiting: dict[Connection, None] = {}  # noqa: RUF012 - each server makes its own

    _asking: asyncio.TimerHandle | None = None
    _taking: asyncio.TimerHandle | None = None
    _lingering: asyncio.TimerHandle | None = None
    _discarded = 0
    _hasty = False
    _body: Length | Chunks | None = None

    def connection_made(self, transport: Any) -> None:
        self._socket, self._head = transport, Head()
        with contextlib.suppress(AttributeError):
            transport.max_size = READ_BYTES
        super().connection_made(cast(asyncio.Transport, _Parting(transport, self)))
        self._wait()
        self._watch_asking()
        if len(self.connections) > self.most:
            oldest = next(iter(self.waiting))
            self.count("overloaded")
            oldest.cut()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._asking, self._taking, self._lingering):
            if timer is not None:
                timer.cancel()
        self.waiting.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        try:
            while data:
                data = self._take(data)
        except Refusal as err:
            self._refuse(err)
        self._watch_asking()

    def on_response_complete(self) -> None:
        self._body = None
        self._wait()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stop_taking()
        self._taking = self.loop.call_later(self.patience_s, self._too_slow_to_take)

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
        self._refuse(Refusal(400, f"{msg} It is not HTTP/1.1: see the documentation of your client"))

    @property
    def parting(self) -> bool:
        """Whether all was said, and the client may only finish sending."""
        return self._lingering is not None

    def part(self) -> None:
        """End the connection; at once, unless the client is still sending."""
        if self.parting:
            return
        if not self._hasty and (self._body is None or self._body.done):
            self._socket.close()
            return
        self._lingering = self.loop.call_later(LINGER_S, self.cut)
        self._stop_asking()
        with contextlib.suppress(OSError, RuntimeError):
            self._socket.resume_reading()
        with contextlib.suppress(OSError):
            self._socket.write_eof()

    def cut(self) -> None:
        """End the connection now."""
        self.waiting.pop(self, None)
        self._socket.abort()

    @property
    def _idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        self.waiting.pop(self, None)
        self.waiting[self] = None

    def _take(self, data: bytes) -> bytes:
        """Take some of what came; what is left of it."""
        if self.parting or self._socket.is_closing():
            self._discarded += len(data)
            if self._discarded > LINGER_BYTES:
                self.cut()
        elif self._body is None:
            return self._take_head(data)
        elif self._body.done:  # nothing may follow a request before its answer: the connection ends with that
            self.cycle.keep_alive, self._hasty = False, True
        else:
            mine = self._body.take(data)
            super().data_received(data[:mine])
            self._come()
            return data[mine:]
        return b""

    def _take_head(self, data: bytes) -> bytes:
        self._unset_keepalive_if_required()
        found = self._head.take(data)
        if found is None:
            return b""
        before = self.cycle
        super().data_received(found[0])
        if self.cycle is before:  # h11 refused it, or wants more: of blank lines, say
            return found[1]
        named = dict(self.headers)
        chunked = b"transfer-encoding" in named
        self._body = Chunks() if chunked else Length(int(named.get(b"content-length", 0)))
        self._come()
        return found[1]

    def _come(self) -> None:
        """A request that is whole waits for nothing more from its client."""
        if self._body is not None and self._body.done:
            self.waiting.pop(self, None)

    def _watch_asking(self) -> None:
        """A timer that runs from the first byte of a request, or the connection's begin, until its head is whole."""
        if not self._idle or self.parting or self._socket.is_closing():
            self._stop_asking()
        elif self._asking is None:
            self._asking = self.loop.call_later(self.patience_s, self._too_slow_to_ask)

    def _stop_asking(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None

    def _stop_taking(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def _too_slow_to_ask(self) -> None:
        self._asking = None
        if not self._idle or self.parting or self._socket.is_closing():
            return
        if self._head.begun:
            self._refuse(Refusal(408, f"the head of a request must be sent within {self.patience_s:g} s: send it "
                                      "faster, or start the server with a longer --timeout"))
        else:
            self.count("slow")
            self._socket.close()

    def _too_slow_to_take(self) -> None:
        self._taking = None
        self.count("slow")
        self.cut()

    def _leave(self) -> None:
        if not self._socket.is_closing() and not self.parting:
            super().shutdown()

    def _refuse(self, refusal: Refusal) -> None:
        """An answer past h11, whose state does not allow one here; then the end."""
        self.count({408: "slow", 431: "too_large"}.get(refusal.status, "request"))
        content = told(refusal.message)
        head = (f"HTTP/1.1 {refusal.status} {REASONS[refusal.status]}\r\ncontent-type: application/json\r\n"
                f"content-length: {len(content)}\r\nconnection: close\r\n\r\n")
        if self._idle:
            self._socket.write(head.encode() + content)
        elif not self.cycle.response_started:
            self._socket.write(head.encode() + content)
            self.cycle.disconnected = True  # to the application, which may say nothing more
            self.cycle.message_event.set()
        self._body = Length(1)  # it may well go on sending
        self.part()


class _Parting:
    """A transport whose end is for the connection to say."""

    def __init__(self, transport: Any, connection: Connection) -> None:
        self._transport, self._connection = transport, connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        self._connection.part()

    def is_closing(self) -> bool:
        return self._connection.parting or bool(self._transport.is_closing())

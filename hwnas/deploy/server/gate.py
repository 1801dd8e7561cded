"""Around the application: who may ask, what may be asked, and that whatever goes wrong is told in one form.

The token comes first, before any of the body is read; what is refused is refused without it, and the connection ends.
"""

from __future__ import annotations

import hmac
import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hwnas.deploy.server.job import told
from hwnas.deploy.server.limits import QUERY_BYTES, Refusal
from hwnas.deploy.server.metrics import Metrics

_log = logging.getLogger("hwnas.serve")
_CLOSE = (b"connection", b"close")
DEFECT = "the server failed: its standard error says where"


class Gate:
    """An application that lets through to another one what may pass.

    Args:
        app: what answers.
        metrics: told path and status of every answer.
        token: that every client must send; None lets everybody in.
        open_paths: that need none.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, token: str | None, open_paths: tuple[str, ...]) -> None:
        self._app, self._metrics, self._open = app, metrics, open_paths
        self._token = None if token is None else token.strip().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        exchange = _Exchange(scope, receive, send)
        try:
            self._check(scope)
            await self._app(scope, exchange.receive, exchange.send)
        except Refusal as err:
            await exchange.refuse(err)
        except Exception:
            _log.exception("a request failed")
            await exchange.refuse(Refusal(500, DEFECT))
        finally:
            self._metrics.request(scope["path"], exchange.status or 500)

    def _check(self, scope: Scope) -> None:
        headers = dict(scope["headers"])
        if scope["http_version"] not in ("1.0", "1.1"):
            raise Refusal(505, f"this server speaks HTTP/1.1, not HTTP/{scope['http_version']}: tell your client")
        if self._token is not None and scope["path"] not in self._open and not self._knows(headers):
            raise Refusal(401, "this server asks for its token: send the header 'Authorization: Bearer TOKEN'",
                          {"WWW-Authenticate": "Bearer"})
        if len(scope["query_string"]) > QUERY_BYTES:
            raise Refusal(414, f"what follows the path may have at most {QUERY_BYTES} bytes; this has "
                               f"{len(scope['query_string'])}: send the image as the body")
        if b"transfer-encoding" in headers and b"content-length" in headers:
            raise Refusal(400, "a body has either a Content-Length or a Transfer-Encoding; this request has both")
        if headers.get(b"content-encoding", b"identity").lower() not in (b"identity", b""):
            raise Refusal(415, "bodies are taken as they are, not compressed: leave Content-Encoding out")

    def _knows(self, headers: dict[bytes, bytes]) -> bool:
        """Whether the token is right, found in a time that does not tell how much of it is."""
        assert self._token is not None
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        return hmac.compare_digest(given.strip(), self._token) and scheme.lower() == b"bearer"


class _Exchange:
    """One request and its answer.

    Attributes:
        status: of the answer; 0 before it begins.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        names = {name for name, value in scope["headers"] if value != b"0"}
        self._unread = bool(names & {b"content-length", b"transfer-encoding"})
        self.status = 0

    async def receive(self) -> Message:
        message = await self._receive()
        if not message.get("more_body", False):
            self._unread = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self._unread:
                kept = [pair for pair in message.get("headers", ()) if pair[0].lower() != b"connection"]
                message = {**message, "headers": [*kept, _CLOSE]}
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        """Send an error, unless an answer was begun already."""
        if self.status:
            return
        content = told(refusal.message)
        headers = {"content-type": "application/json", "content-length": str(len(content)), **refusal.headers}
        pairs = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": refusal.status, "headers": pairs})
        await self.send({"type": "http.response.body", "body": content})

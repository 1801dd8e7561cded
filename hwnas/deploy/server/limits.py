"""What a server accepts, and how it refuses the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwnas.errors import UsageError


@dataclass(frozen=True)
class Limits:
    """Everything a client could use up is bounded.

    Args:
        request_bytes: of one body.
        pixels: of one image, by its header.
        queue: predictions that wait, beside the one in work.
        readers: bodies that are read at the same time.
        client_s: seconds that a client has for its request, and for taking the answer.
        stop_s: seconds that a stop waits for what was accepted.

    Raises:
        UsageError: a limit that lets nothing through.
    """

    request_bytes: int = 20 << 20
    pixels: int = 32_000_000
    queue: int = 16
    readers: int = 32
    client_s: float = 30.0
    stop_s: float = 30.0

    def __post_init__(self) -> None:
        if min(self.request_bytes, self.pixels, self.readers) < 1 or self.queue < 0:
            raise UsageError(f"limits of a server must be 1 or more, its queue 0 or more: {self}")
        if min(self.client_s, self.stop_s) <= 0:
            raise UsageError(f"a server must give its clients time, more than 0 s: {self}")


class Refusal(Exception):
    """A request that is not served.

    Args:
        status: of HTTP.
        message: the rule, the value and the way out.
        headers: more of the answer.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, dict(headers or {})

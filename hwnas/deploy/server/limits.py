"""What a server accepts, and how it refuses the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwnas.errors import UsageError

HEAD_BYTES = 16 << 10  # of one request, from its first line to the blank one
QUERY_BYTES = 1024
BODIES = 8  # of the largest size that are held at once


@dataclass(frozen=True)
class Limits:
    """Everything a client could use up is bounded.

    Args:
        request_bytes: of one body. All bodies together, those of accepted requests too, may have `BODIES` times that.
        pixels: of one image, by its header.
        queue: predictions that wait, beside the one in work.
        connections: that are open at once; one more costs the one that has been waiting longest its place.
        client_s: seconds that a client has for its request, the worker for an image, and the client for the answer.
        stop_s: seconds that a stop waits for what was accepted.

    Raises:
        UsageError: a limit that lets nothing through.
    """

    request_bytes: int = 20 << 20
    pixels: int = 32_000_000
    queue: int = 16
    connections: int = 256
    client_s: float = 30.0
    stop_s: float = 30.0

    def __post_init__(self) -> None:
        if min(self.request_bytes, self.pixels, self.connections) < 1 or self.queue < 0:
            raise UsageError(f"limits of a server must be 1 or more, its queue 0 or more: {self}")
        if min(self.client_s, self.stop_s) <= 0:
            raise UsageError(f"a server must give its clients time, more than 0 s: {self}")

    @property
    def held_bytes(self) -> int:
        """Of all bodies that are in memory at once."""
        return BODIES * self.request_bytes


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

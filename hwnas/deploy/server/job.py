"""What the server asks of its worker, and what it is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

JSON, PNG = "application/json", "image/png"


@dataclass(frozen=True)
class Job:
    """What is asked for.

    Args:
        kind: Content-Type of the body.
        wanted: '' for JSON, 'picture' or 'mask'.
        pixels: that the image may have.
    """

    kind: str = ""
    wanted: str = ""
    pixels: int = 32_000_000


@dataclass(frozen=True)
class Answer:
    """Status, type and content of an answer."""

    status: int
    media: str
    content: bytes


def told(message: str) -> bytes:
    """An error as every one is sent: a line of JSON."""
    return as_json({"error": message})


def as_json(facts: Mapping[str, Any]) -> bytes:
    """JSON in UTF-8.

    Raises:
        ValueError: a number that JSON has not.
    """
    return json.dumps(facts, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()

"""Where a device is: ssh://[user@]host[:port]."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hwnas.errors import UsageError

# names, also those that only the user's ssh configuration knows; never a leading '-', which ssh would take for a flag
_ADDRESS = re.compile(
    r"ssh://(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.$-]*)@)?"
    r"(?P<host>[A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.%a-z]+\])(?::(?P<port>[0-9]{1,5}))?/?\Z"
)
_PYTHON = re.compile(r"[A-Za-z0-9_./~][A-Za-z0-9_./~+-]*\Z")


@dataclass(frozen=True)
class Address:
    """A host, and the user and port where they are not left to ssh's configuration."""

    host: str
    user: str | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read 'ssh://[user@]host[:port]'.

        Raises:
            UsageError: it is none.
        """
        found = _ADDRESS.match(text)
        port = int(found["port"]) if found and found["port"] else None
        if not found or (port is not None and not 0 < port < 65536):
            raise UsageError(f"a device is written ssh://[user@]host[:port]; got {text!r}")
        return cls(found["host"].strip("[]"), found["user"], port)

    def __str__(self) -> str:
        """As in a message: user@host:port."""
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        return f"{user}{self.host}{port}"

    @property
    def arguments(self) -> list[str]:
        """What ssh is given for it."""
        user = ["-l", self.user] if self.user else []
        port = ["-p", str(self.port)] if self.port else []
        return [*user, *port, "--", self.host]


def check_python(python: str) -> str:
    """The name or path of an interpreter on the device, without anything that a shell there would act on.

    Raises:
        UsageError: it holds other characters.
    """
    if not _PYTHON.match(python):
        raise UsageError(f"the device's Python is a name or a path without spaces; got {python!r}")
    return python

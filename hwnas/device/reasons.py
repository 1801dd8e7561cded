"""Why an ssh ended, in one line with a way out."""

from __future__ import annotations

from collections.abc import Sequence

from hwnas.device.address import Address

_NOT_FOUND = (126, 127)  # what shells give for a command that they cannot execute or find


def explain(address: Address, code: int, said: Sequence[str]) -> str:
    """One line on an ssh that ended.

    Args:
        code: its exit code; 255 is ssh's own, others are of the command on the device.
        said: lines that were printed.
    """
    text, last = "\n".join(said), said[-1] if said else ""
    if code in _NOT_FOUND:
        return (f"no such Python on {address} ({last}): install Python 3.8 or newer there, or give its path with "
                "--device-python")
    if code != 255:
        return f"the agent on {address} ended (exit code {code}): {last or 'without a word'}"
    login = " ".join([f"-p {address.port}"] * bool(address.port) + [f"{address.user}@" * bool(address.user)
                                                                    + address.host])
    known = {
        "IDENTIFICATION HAS CHANGED": "the host key of {} is not the one that ssh knows: find out why; if it is right, "
                                      f"remove the old one with `ssh-keygen -R` and log in once with `ssh {login}`",
        "Host key verification failed": f"the host key of {{}} is not known: `ssh {login}` once by hand and compare it",
        "Permission denied": f"{{}} does not let you in without a password: `ssh-copy-id {login}` puts a key there",
    }
    for sign, message in known.items():
        if sign in text:
            return message.format(address)
    return f"cannot connect to {address}: {last or 'ssh ended without a word'}"

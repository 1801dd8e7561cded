"""The first lines that run on a device: check the interpreter, make the folder, take the agent in, hand over.

Its text is sent as it stands and executed there, so it must parse under every Python 3 that a device may have: a
device with one that is too old is told so, not shown a syntax error. `stream` is the unbuffered standard input.
"""

import json
import os
import shutil
import sys
import tempfile
from typing import BinaryIO, NoReturn

MARK = "hwnas-agent 1"
OLDEST = (3, 8)


def main(stream: BinaryIO) -> None:
    """Read {"sha256": .., "size": ..} and the agent's bytes, then serve."""
    say(MARK)
    header = json.loads(stream.readline().decode())
    agent = b""
    while len(agent) < header["size"]:
        block = stream.read(header["size"] - len(agent))
        if not block:
            return
        agent += block
    check_interpreter()
    path = store(agent, header["sha256"])
    sys.path.insert(0, path)
    try:
        from hwnas.runtime.agent import serve
    except Exception as err:
        shutil.rmtree(os.path.dirname(path), ignore_errors=True)
        fail(f"the agent does not start under {sys.executable}: {type(err).__name__}: {err}")
    serve(os.path.dirname(path))


def check_interpreter() -> None:
    """End with one line if this Python cannot do the work."""
    name, version = sys.executable or "python3", ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < OLDEST:
        wanted = ".".join(str(part) for part in OLDEST)
        fail(f"{name} is Python {version}, the agent needs {wanted} or newer: install one there and give its path "
             "with --device-python")
    try:
        import numpy
    except ImportError as err:
        fail(f"{name} (Python {version}) cannot import numpy ({err}): type there `{name} -m pip install numpy`")
    else:
        del numpy


def store(agent: bytes, sha256: str) -> str:
    """Write the agent into a new folder of its own, to which the libraries' caches go as well.

    Returns:
        Path of the agent; its folder holds nothing else.
    """
    import hashlib

    if hashlib.sha256(agent).hexdigest() != sha256:
        fail("the agent did not arrive whole: try again")
    folder = ""
    base = os.environ.get("TMPDIR") or os.path.join(os.path.expanduser("~"), ".cache", "hwnas")
    try:
        os.makedirs(base, exist_ok=True)
        folder = tempfile.mkdtemp(prefix="hwnas-agent-", dir=base)
        path = os.path.join(folder, "agent.pyz")
        with open(path, "wb") as file:
            file.write(agent)
    except OSError as err:
        shutil.rmtree(folder, ignore_errors=True)
        fail(f"cannot write to {base}: {err.strerror or err}; make room there, or set TMPDIR to another folder")
    os.environ["TMPDIR"] = os.environ["XDG_CACHE_HOME"] = folder
    tempfile.tempdir = None
    return path


def fail(message: str) -> NoReturn:
    """Say what is wrong and end."""
    say(json.dumps({"say": "error", "message": message}))
    sys.exit(0)


def say(line: str) -> None:
    """One line on standard output, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()

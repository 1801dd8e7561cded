"""Where `hwnas` begins and ends: the environment, the exit codes, and one clear message for whatever went wrong."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence

import typer
from typer.main import get_command

from hwnas.documents import printable
from hwnas.errors import HwnasError

INTERRUPTED, BROKEN_PIPE = 130, 141
DEBUG = "--debug"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 bad usage or input, 3 infeasible, 4 check failed.

    Args:
        arguments: without the program's name; None takes those of the process.
    """
    # Before torch is imported: threads that spin while they wait make training ten times slower on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = DEBUG in words or bool(os.environ.get("HWNAS_DEBUG"))
    try:
        code = _invoke([word for word in words if word != DEBUG])
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as err:
        if debug:
            traceback.print_exc()
        return _explain(err)
    return code


def _invoke(words: list[str]) -> int:
    from hwnas.cli.app import make_app

    command = get_command(make_app(rich=sys.stdout.isatty()))
    try:
        with command.make_context("hwnas", words or ["--help"]) as context:
            command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    return 0


def _explain(err: BaseException) -> int:
    """Say what went wrong in one message on stderr; the exit code."""
    if isinstance(err, BrokenPipeError):
        # what is still buffered has no reader: keep the interpreter from complaining when it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    text, code = _message(err)
    for line in (text, *getattr(err, "__notes__", ())):
        print(printable(line, lines=True).replace("\n", "\n  "), file=sys.stderr)
    return code


def _message(err: BaseException) -> tuple[str, int]:
    if isinstance(err, HwnasError):
        return f"error: {err}", err.exit_code
    if isinstance(err, KeyboardInterrupt):
        return "interrupted", INTERRUPTED
    if hasattr(err, "format_message"):  # what typer raises for a wrong command line
        return _usage(err), 2
    if isinstance(err, MemoryError) or "can't allocate memory" in str(err):
        return "error: not enough memory: take fewer images (--limit), smaller ones (--imgsz) or a narrower space", 1
    if isinstance(err, OSError):
        return f"error: {_system(err)}", 1
    return (f"error: something unexpected: {type(err).__name__}: {err}\n"
            f"This is a defect of hwnas. Run it again with {DEBUG} for the place, and report it"), 1


def _usage(err: BaseException) -> str:
    text = str(getattr(err, "format_message")()) or "what is to be done?"  # noqa: B009 - typer's types lack it
    context = getattr(err, "ctx", None)
    path = context.command_path if context is not None else "hwnas"
    return f"error: {text}\nSee `{path} --help`"


def _system(err: OSError) -> str:
    if err.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full{f' ({err.filename})' if err.filename else ''}: free some space and go on"
    return f"{err.filename}: {err.strerror}" if err.filename and err.strerror else str(err)

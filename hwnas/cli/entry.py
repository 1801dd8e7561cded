"""Where `hwnas` begins and ends: the environment, the exit codes, and one clear message for whatever went wrong."""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import signal
import sys
import traceback
from collections.abc import Sequence

import typer
from typer.main import get_command

from hwnas import launch
from hwnas.cli.ending import Terminated, told_to_end
from hwnas.documents import printable
from hwnas.errors import HwnasError, UsageError

INTERRUPTED, BROKEN_PIPE = 130, 141
BY_SIGNAL = 128  # and the number of the signal, as shells count
DEBUG = "--debug"
TOGETHER = ("compress", "search", "train")  # commands that train
COMPLETE = "_HWNAS_COMPLETE"  # set by what `hwnas --install-completion` puts into the shell's files


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 bad usage or input, 3 infeasible, 4 check failed.

    Args:
        arguments: without the program's name; None takes those of the process.
    """
    if arguments is None and launch.world() > 1:
        return _of_several_processes()
    return _done(arguments)


def _of_several_processes() -> int:
    """The command, in a process that ends when all that is to be done at its end is done.

    Threads of gloo may outlive their group, and the C++ runtime then aborts a process that had done everything well
    (seen once in some hundred ends of two). So the last of the exit handlers, the first to be registered, is the end.
    """
    code = 1

    def end() -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)

    atexit.register(end)
    try:
        code = _done(None)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        raise
    return code


def _done(arguments: Sequence[str] | None) -> int:
    # Before torch is imported: threads that spin while they wait make training ten times slower on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = DEBUG in words or bool(os.environ.get("HWNAS_DEBUG"))
    _print_anything()
    try:
        with told_to_end():
            code = _one_of_several([word for word in words if word != DEBUG])
            sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as err:
        if debug:
            traceback.print_exc()
        return _explain(err)
    return code


def _print_anything() -> None:
    """A terminal that lacks a letter gets an escape instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _one_of_several(words: list[str]) -> int:
    """The command, by the process that leads where several were started; the others follow it and say nothing."""
    if launch.world() == 1:
        return _invoke(words)
    from hwnas.pipeline.job import require_torch
    from hwnas.pipeline.leading import leading

    command = next((word for word in words if not word.startswith("-")), None)
    if command not in TOGETHER:
        raise UsageError(f"{launch.world()} processes were started (WORLD_SIZE), and only {', '.join(TOGETHER)} "
                         f"are for several: start this without torchrun, or unset it")
    require_torch(f"hwnas {command}")
    if launch.follows():
        from hwnas.pipeline.following import follow

        follow()
        return 0
    with leading():
        return _invoke(words)


def _invoke(words: list[str]) -> int:
    from hwnas.cli.app import make_app

    command = get_command(make_app(rich=sys.stdout.isatty()))
    if COMPLETE in os.environ:  # a shell asks what could stand here
        command.main(args=words, prog_name="hwnas")
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
    if isinstance(err, Terminated):
        return f"ended by {signal.Signals(err.number).name}", BY_SIGNAL + err.number
    if isinstance(err, KeyboardInterrupt):
        return "interrupted", INTERRUPTED
    if hasattr(err, "format_message"):  # what typer raises for a wrong command line
        return _usage(err), 2
    if isinstance(err, MemoryError) or "can't allocate memory" in str(err):
        return "error: not enough memory: take fewer images (--limit), smaller ones (--imgsz) or a narrower space", 1
    if isinstance(err, OSError):
        return f"error: {_system(err)}", 2 if err.errno in _OURS else 1
    return (f"error: something unexpected: {type(err).__name__}: {err}\n"
            f"This is a defect of hwnas. Run it again with {DEBUG} for the place, and report it"), 1


def _usage(err: BaseException) -> str:
    text = str(getattr(err, "format_message")()) or "what is to be done?"  # noqa: B009 - typer's types lack it
    context = getattr(err, "ctx", None)
    path = context.command_path if context is not None else "hwnas"
    return f"error: {text}\nSee `{path} --help`"


# what the user can change: space, rights, a name
_OURS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP)


def _system(err: OSError) -> str:
    where = f" ({err.filename})" if err.filename else ""
    if err.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full{where}: free some space and go on"
    text = f"{err.filename}: {err.strerror}" if err.filename and err.strerror else str(err)
    if err.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"{text}: make it writable for you, or name another place"
    return text

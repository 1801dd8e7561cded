"""How the program ends: exit codes, messages, pipes, tracebacks only on request."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import pytest

from hwnas.cli import entry, main
from hwnas.errors import BudgetInfeasible, HwnasError, UsageError, VerificationFailed


@pytest.mark.parametrize(("err", "code", "part"), [
    (UsageError("wrong flag"), 2, "wrong flag"),
    (BudgetInfeasible("none fits", {}, {}), 3, "none fits"),
    (VerificationFailed("failed its check"), 4, "failed its check"),
    (HwnasError("something known"), 1, "something known"),
    (KeyboardInterrupt(), 130, "interrupted"),
    (MemoryError(), 1, "not enough memory"),
    (OSError(errno.ENOSPC, "No space left on device"), 2, "the disk is full"),
    (PermissionError(errno.EACCES, "Permission denied", "/x"), 2, "/x: Permission denied: make it writable"),
    (OSError(errno.EROFS, "Read-only file system", "/x"), 2, "name another place"),
    (OSError(errno.EIO, "Input/output error", "/x"), 1, "/x: Input/output error"),
    (entry.Terminated(signal.SIGTERM), 143, "ended by SIGTERM"), (entry.Terminated(signal.SIGHUP), 129, "SIGHUP"),
    (ZeroDivisionError("division by zero"), 1, "ZeroDivisionError"),
])
def test_every_end_has_its_code_and_its_message(err: BaseException, code: int, part: str,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    err.add_note("the way on")
    assert entry._explain(err) == code
    told = capsys.readouterr().err
    assert part in told
    assert told.rstrip().endswith("the way on")


@pytest.mark.parametrize("words", [["--debug", "generate", "absent"], ["generate", "absent", "--debug"]])
def test_a_traceback_on_request(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_traceback_by_the_environment(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "absent"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setenv("HWNAS_DEBUG", "1")
    assert main(["generate", "absent"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_leaves_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    program = "import sys; from hwnas.cli import main; sys.exit(main(['spaces', '--json']))"
    done = subprocess.run([sys.executable, "-c", program], stdout=writer, stderr=subprocess.PIPE, text=True,
                          timeout=240)
    os.close(writer)
    assert done.returncode == 141
    assert done.stderr == ""


def test_training_threads_do_not_spin() -> None:
    program = "import os; from hwnas.cli import main; main(['--version']); print(os.environ['OMP_WAIT_POLICY'])"
    clean = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240, env=clean)
    assert done.stdout.split()[-1] == "PASSIVE"

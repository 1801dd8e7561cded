"""What a process says when it is told to end, or cannot write: real signals, and rights that hold for root as well."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import TINY

HWNAS = [sys.executable, "-m", "hwnas"]
LONG = ["--space", "proxyless", "--imgsz", "208"]  # of which no table ships; long enough for a late signal
QUICK = ["--imgsz", "16", "--channels", "1", "--classes", "10", "--depth", "1", "--width-mult", "0.5"]


SWALLOWED = """
import contextlib, os, signal, time
from hwnas.cli.ending import AGAIN_SECONDS, Terminated, told_to_end

def told():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)

def swallowing():
    with contextlib.suppress(KeyboardInterrupt):  # as the import of a module in Cython does
        told()
    time.sleep(60)
"""


def _scripted(lines: str) -> list[str]:
    """What a process of its own says: a test that sends itself a signal may end every test that would come after it."""
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", SWALLOWED + lines], capture_output=True, text=True, timeout=240)
    assert time.monotonic() - begin < 50, "it slept"
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_an_end_that_something_swallowed_comes_again() -> None:
    assert _scripted("""
try:
    with told_to_end():
        swallowing()
except Terminated as err:
    print(err.number == signal.SIGTERM, signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
""") == ["True", "True"]


def test_an_end_that_was_dealt_with_does_not_come_after_the_work() -> None:
    assert _scripted("""
with told_to_end(), contextlib.suppress(Terminated):
    told()
time.sleep(4 * AGAIN_SECONDS)  # a signal now ends the process
print("whole")
""") == ["whole"]


def _ended(words: list[str], number: int, ready: str | Path) -> tuple[int, str]:
    """Send a signal once standard error holds `ready`, or a campaign is under way in the folder of tables `ready`."""
    process = subprocess.Popen([*HWNAS, *words], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))  # nohup ignores it
    told = ""
    assert process.stderr is not None
    if isinstance(ready, str):
        while ready not in told and (line := process.stderr.readline()):
            told += line
    else:
        while process.poll() is None and not list(ready.rglob(".*.campaign")):
            time.sleep(0.02)
    process.send_signal(number)
    try:
        rest = process.communicate(timeout=240)[1]
    finally:
        process.kill()  # a process that does not end is told of once, and not by every test after this one
    return process.returncode, told + rest


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_profile_that_is_told_to_end_says_what_to_type(number: int, code: int, tmp_path: Path) -> None:
    found, told = _ended(["profile", *LONG, "--tables", str(tmp_path), "--max-seconds", "600"], number, tmp_path)
    assert found == code
    assert f"ended by {signal.Signals(number).name}" in told
    assert "the same command" in told
    assert "Traceback" not in told


@pytest.mark.slow
def test_a_compress_that_is_told_to_end_says_what_to_type(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    run = tmp_path / "my run"
    words = ["compress", *TINY, "--epochs", "200", "--target", "raspberry-pi-4", "--flops", "60%", "--out", str(run)]
    code, told = _ended(words, signal.SIGTERM, "profile ")
    assert code == 143
    assert "ended by SIGTERM" in told
    assert f"hwnas compress --resume '{run}'" in told
    assert "Traceback" not in told
    assert not [path for path in run.iterdir() if path.name.endswith(".hwnas-part")]


def _without_privileges() -> list[str]:
    """What makes rights hold: nothing for a user, for root a process that may not override them."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("root overrides rights, and setpriv is not at hand")
    return [setpriv, "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]


def test_a_folder_that_cannot_be_written_is_one_line_with_a_way_out(made: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(made, tmp_path / "run"))
    (run / ".lock").unlink(missing_ok=True)
    run.chmod(0o555)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    asked = {
        "report": ["report", str(run)], "generate": ["generate", str(run), "--latency", "90%", "-o", str(closed / "a")],
        "deploy": ["deploy", str(run), "-o", str(closed / "b")],
        "profile": ["profile", *QUICK, "--tables", str(closed / "t"), "--max-seconds", "1"],
    }
    try:
        for name, words in asked.items():
            done = subprocess.run([*_without_privileges(), *HWNAS, *words], capture_output=True, text=True, timeout=240)
            assert (name, done.returncode) == (name, 2), done.stderr
            assert "error: " in done.stderr
            assert "writ" in done.stderr
            assert "Traceback" not in done.stderr
    finally:
        run.chmod(0o755)

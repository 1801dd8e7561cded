"""A comparison that is killed leaves no process behind, and goes on to what it would have been."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import psutil
import pytest

from hwnas.bench import StrategySpec, TabularBenchmark, compare

SLOW = """
import os, time
from hwnas.search.random_search import RandomSearch
class Slow(RandomSearch):
    anytime = False
    def _draw(self):
        time.sleep(float(os.environ.get("PAUSE", 0)))
        return super()._draw()
"""
PROGRAM = """
import signal, sys
from pathlib import Path
import numpy as np
from hwnas.bench import StrategySpec, TabularBenchmark, compare
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what it starts in the background ignore it
    truth = np.arange(27.0).reshape(3, 3, 3)
    compare(TabularBenchmark("t", [truth], truth), [StrategySpec("slow")], [5, 9], range(40), 2, out=Path(sys.argv[1]))
"""


@pytest.fixture
def running(install: Callable[[str, Mapping[str, str], str], None], tmp_path: Path) -> subprocess.Popen[str]:
    """A comparison of 80 searches under way, three of which are done."""
    module = f"slow_{abs(hash(tmp_path))}"
    install(module, {module: SLOW}, f"[hwnas.strategies]\nslow = {module}:Slow\n")
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    repository = str(Path(__file__).parents[2])
    paths = {"PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), repository])}
    process = subprocess.Popen([sys.executable, str(tmp_path / "program.py"), str(tmp_path / "out")],
                               env={**os.environ, **paths, "PAUSE": "0.03"}, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < until and lines(tmp_path) < 3:
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()
    return process


def lines(folder: Path) -> int:
    file = folder / "out" / "regret.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("word", [signal.SIGKILL, signal.SIGINT])
def test_killed_and_gone_on_with(word: signal.Signals, running: subprocess.Popen[str], tmp_path: Path) -> None:
    family = [psutil.Process(running.pid), *psutil.Process(running.pid).children(recursive=True)]
    running.send_signal(word)
    _, told = running.communicate(timeout=240)
    _, alive = psutil.wait_procs(family, timeout=240)
    assert alive == []
    assert running.returncode != 0
    assert word == signal.SIGKILL or told.count("Traceback") <= 1
    kept = lines(tmp_path)
    assert 3 <= kept < 80
    truth = np.arange(27.0).reshape(3, 3, 3)
    benchmark, done = TabularBenchmark("t", [truth], truth), list[int]()
    (again,) = compare(benchmark, [StrategySpec("slow")], [5, 9], range(40), out=tmp_path / "out",
                       progress=lambda _, n, __: done.append(n))
    assert len(done) == 80 - kept
    assert again.outcomes == compare(benchmark, [StrategySpec("slow")], [5, 9], range(40))[0].outcomes
    json.loads((tmp_path / "out" / "regret.jsonl").read_text(encoding="utf-8").splitlines()[-1])

"""Commands that torchrun starts several times: one leads and speaks, the others follow, and nobody is left waiting."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from hwnas.cli import main
from tests.launching import launched

TINY = ["--data", "digits", "--limit", "200", "--epochs", "1", "--settle", "6", "--warmup", "1", "--cycles", "1",
        "--depth", "1", "--width-mult", "0.5", "--finalists", "1", "--target", "raspberry-pi-4"]


def started(*words: str) -> subprocess.Popen[str]:
    command, environment = launched("-m", "hwnas", *words)
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=550)
    return process.returncode, out, err


@pytest.mark.slow
def test_a_run_of_two_processes_is_killed_and_finished_by_one(tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = started("compress", *TINY, "--flops", "60%", "--out", str(run))
    log = run / "search.jsonl"
    while not (log.exists() and log.stat().st_size) and process.poll() is None:
        time.sleep(0.1)
    followers = [int(p) for p in _children(process.pid)]
    os.kill(followers[-1], signal.SIGKILL)
    code, _, err = ended(process)
    assert code != 0
    assert err.count("run folder") == 1, "the others say nothing"
    assert main(["compress", "--resume", str(run)]) == 0
    assert json.loads((run / "run.json").read_text())["stages"]["report"]


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@pytest.mark.slow
def test_budgets_share_what_two_processes_searched(tmp_path: Path) -> None:
    run = tmp_path / "run"
    code, out, err = ended(started("compress", *TINY, "--flops", "60%,80%", "--out", str(run)))
    assert code == 0, err
    assert err.count("run folder") == 1
    assert out.count("budget     result") == 1
    assert len(list(run.glob("budgets/*/model.onnx"))) == 2


@pytest.mark.slow
@pytest.mark.parametrize("words, code, said", [
    (["compress", *TINY, "--flops", "60%", "--dry-run"], 0, ""),
    (["compress", *TINY, "--flops", "0.001%"], 3, "error: "),
    (["targets"], 2, "only compress, search, train are for several"),
    (["search", *TINY, "--searcher", "darts"], 2, "is for one process"),
])
def test_nobody_is_left_waiting(words: list[str], code: int, said: str, tmp_path: Path) -> None:
    out = [] if words[0] == "targets" or "--dry-run" in words else ["--out", str(tmp_path / "run")]
    found, _, err = ended(started(*words, *out))
    assert (found == 0) == (code == 0), err
    assert said in err
    assert "Traceback (most recent call last):\n  File \"<frozen runpy>\", line 198" not in err.split("error: ")[0]
    assert f"exitcode  : {code} " in err or code == 0

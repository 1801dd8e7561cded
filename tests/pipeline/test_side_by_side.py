"""Reference and search side by side, finalists two at a time: the same bits as one by one, whoever is killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import hwnas
from hwnas.data import load
from hwnas.errors import RunError, UsageError
from hwnas.files import sha256
from hwnas.pipeline import RunFolder, compress, resume
from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.config.make_config import make_config
from hwnas.pipeline.context import RunContext
from hwnas.pipeline.run.results import DataResult
from hwnas.pipeline.shares import shares_of
from hwnas.space import SpaceConfig, build
from tests.pipeline import stage_results

WEIGHTS = ("reference.safetensors", "search.safetensors", "distribution.json", "architecture.json")
MOBILE = build(SpaceConfig("mobile", 16, 1, 10))


def same_results(run: RunFolder, expected: RunFolder) -> None:
    """All but times."""
    for name in WEIGHTS:
        assert sha256(run.path / name) == sha256(expected.path / name), name
    lines, wanted = ((each.path / "search.jsonl").read_text().splitlines() for each in (run, expected))
    assert [{**json.loads(line), "seconds": 0} for line in lines] == [
        {**json.loads(line), "seconds": 0} for line in wanted]
    assert run.result("search") == expected.result("search")
    found, told = (each.result("generate")["candidates"] for each in (run, expected))
    assert [(c["choice"], c["trial"]) for c in found] == [(c["choice"], c["trial"]) for c in told]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_side_by_side_gives_what_one_by_one_gives(finished: RunFolder, small: dict[str, Any], tmp_path: Path) -> None:
    events: list[tuple[str, str]] = []
    told: set[str] = set()
    run = compress(tmp_path / "run", budgets={"flops": "60%"}, side_by_side=True, until="generate", track="csv",
                   hook=lambda stage, event, _: events.append((stage, event)),
                   progress=lambda what, done, total: told.add(what), **small)
    same_results(run, finished)
    assert events[4:8] == [("reference", "start"), ("search", "start"), ("reference", "done"), ("search", "done")]
    assert {"train reference", "beside: search", "try finalist 1 of 2", "beside: try finalist 2 of 2"} <= told
    points = [json.loads(line) for line in (run.path / "tracking" / "points.jsonl").read_text().splitlines()[1:]]
    assert {"reference", "search/weights", "search/settle", "generate/finalist 1", "generate/finalist 2",
            "found/search"} <= {point["stage"] for point in points}
    records = run.state.stages
    assert list(records) == ["data", "profile", "reference", "search", "generate"]
    assert 0 < records["search"].beside <= records["search"].seconds
    assert records["reference"].beside == 0
    assert not list(run.path.glob("*.checkpoint"))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux to find the process beside another")
@pytest.mark.parametrize("first", [("other", "search.safetensors"), ("leader", "search.jsonl")], ids=str)
def test_either_is_killed_and_the_run_goes_on(first: tuple[str, str], finished: RunFolder, small: dict[str, Any],
                                              tmp_path: Path) -> None:
    """A machine that stands still for seconds may miss the moment to kill in: then it is tried again, twice at most."""
    out = next((path for path in (tmp_path / f"run{i}" for i in range(3)) if _killed_twice(path, first, small)), None)
    assert out is not None, "no process was killed while it worked"
    same_results(resume(out, until="generate", side_by_side=False), finished)


def _killed_twice(out: Path, first: tuple[str, str], small: dict[str, Any]) -> bool:
    """A run whose processes are killed, one in each of two lives; False where one had ended before."""
    options = {**small, "budgets": {"flops": "60%"}, "until": "generate", "side_by_side": True}
    start = f"import hwnas; hwnas.compress({str(out)!r}, **{options!r})"
    go_on = f"import hwnas; hwnas.resume({str(out)!r}, until='generate')"
    for life, (victim, sign) in enumerate([first, ("leader", "trial-*.checkpoint")]):
        before = _written(out, sign)
        process = subprocess.Popen([sys.executable, "-c", go_on if life else start], text=True, stderr=subprocess.PIPE)
        while process.poll() is None and _written(out, sign) == before:
            time.sleep(0.02)
        children = _children(process.pid) if process.poll() is None else []
        if not children:  # the work is done, or about to be
            _, err = process.communicate(timeout=240)
            assert process.returncode == 0, err
            return False
        assert len(children) == 1
        os.kill(children[0] if victim == "other" else process.pid, signal.SIGKILL)
        _, err = process.communicate(timeout=120)
        assert process.returncode == (1 if victim == "other" else -signal.SIGKILL), err
        assert ("beside this one was killed (SIGKILL): go on with the run" in err) == (victim == "other")
        _wait_for_the_end_of(children[0])
    return True


def _written(folder: Path, pattern: str) -> list[int]:
    return [path.stat().st_mtime_ns for path in folder.glob(pattern)]


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _wait_for_the_end_of(pid: int) -> None:
    deadline = time.monotonic() + 30
    while (stat := Path(f"/proc/{pid}/stat")).exists() and stat.read_text().split()[2] != "Z":
        assert time.monotonic() < deadline, "it outlived the process that it worked for"
        time.sleep(0.05)


@pytest.mark.slow
def test_an_error_beside_is_one_error_here(small: dict[str, Any], tmp_path: Path) -> None:
    run = compress(tmp_path / "run", budgets={"flops": "60%"}, until="profile", side_by_side=True,
                   **{**small, "target": "raspberry-pi-4", "epochs": 500})
    (run.path / "search.safetensors").write_bytes(b"no weights")
    with pytest.raises(RunError, match=r"search\.safetensors"):
        resume(run.path, until="search")
    assert "reference" not in RunFolder.open(run.path).state.stages


@pytest.mark.slow
def test_only_what_is_asked_for_is_begun(small: dict[str, Any], tmp_path: Path) -> None:
    events: list[str] = []
    hwnas.compress(tmp_path / "run", budgets={"flops": "60%"}, until="reference", side_by_side=True,
                   hook=lambda stage, event, _: events.append(stage), **{**small, "target": "raspberry-pi-4"})
    assert "search" not in events
    assert not (tmp_path / "run" / "search.jsonl").exists()


def test_threads_are_those_of_the_run_whatever_is_done_beside(tmp_path: Path,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    now = [4]
    monkeypatch.setattr(torch, "get_num_threads", lambda: now[0])
    monkeypatch.setattr(torch, "set_num_threads", lambda count: now.__setitem__(0, count))
    for shares, asked, threads in ((2, None, 2), (2, False, 2), (1, None, 4), (1, True, 4)):
        run = RunFolder(tmp_path, RunFolder.create(tmp_path / f"{shares}{asked}",
                                                   CompressConfig(side_by_side=asked)).state)
        context = RunContext(run)
        with context.threads(shared=True):
            assert now == [4]  # before stage data has decided
        run.finish("data", stage_results.data(MOBILE, shares=shares), [], 0.0)
        with contextlib.suppress(KeyboardInterrupt), context.threads(shared=True):
            found = now[0]
            raise KeyboardInterrupt
        assert (found, now) == (threads, [4])
        with context.threads(shared=False):
            assert now == [4]


@pytest.mark.parametrize(("options", "threads", "shares"), [
    ({}, 2, 2), ({}, 8, 2), ({}, 1, 1), ({"torch_threads": 1}, 8, 1), ({"torch_threads": 2}, 8, 2),
    ({"side_by_side": False}, 2, 1), ({"side_by_side": True, "epochs": 1}, 1, 2),
    ({"epochs": 5}, 2, 1), ({"epochs": 200}, 2, 1),  # one would wait long for the other
    ({"epochs": 2, "warmup": 1, "cycles": 1, "settle": 2}, 2, 1),  # over before another process has begun
    ({"batch_size": 256}, 2, 1),  # a step makes use of more threads
    ({"evaluator": "scratch", "search_workers": 2}, 2, 1),
], ids=str)
def test_when_it_pays(options: dict[str, Any], threads: int, shares: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert shares_of(make_config(options), load("digits"), MOBILE) == shares


def test_never_beside_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwnas.launch.world", lambda: 2)
    assert shares_of(make_config({"side_by_side": True}), load("digits"), MOBILE) == 1


def test_many_images_are_not_loaded_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr("hwnas.pipeline.shares.IMAGES_BYTES", 1797 * 16 * 16 - 1)
    assert shares_of(make_config({}), load("digits"), MOBILE) == 1
    monkeypatch.setattr("hwnas.pipeline.shares.IMAGES_BYTES", 1797 * 16 * 16)
    assert shares_of(make_config({}), load("digits"), MOBILE) == 2


def test_a_run_of_before_has_no_shares() -> None:
    kept = stage_results.data().to_json()
    kept.pop("shares", None)
    assert DataResult.model_validate(kept).shares == 1


def test_several_processes_have_none_to_spare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    context = RunContext(RunFolder.create(tmp_path / "run", CompressConfig(side_by_side=True)))
    monkeypatch.setattr(context.accelerator, "world", 2)
    with pytest.raises(UsageError, match="leave out --side-by-side"):
        context.check()

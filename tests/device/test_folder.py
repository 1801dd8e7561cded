"""A job that is carried by hand: what is exported, and what is refused when it comes back."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hwnas.device import FolderJob
from hwnas.errors import InputError
from hwnas.runtime import SweepPlan, open_runtime
from hwnas.runtime.agent_job import Setup

PLANS = (SweepPlan(("large", "small"), max_sweeps=4), SweepPlan(("large", "small"), max_sweeps=2, seed=1))


@pytest.fixture(scope="session")
def measured(models, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two parts that was measured, by the agent as it lies there."""
    folder = tmp_path_factory.mktemp("jobs") / "measured"
    less = {name: model for name, model in models.items() if name != "middle"}
    FolderJob.write(folder, Setup("onnxruntime"), [(models, PLANS[0]), (less, PLANS[1])], {"space": "x"})
    measure(folder)
    return folder


def measure(folder: Path) -> str:
    done = subprocess.run([sys.executable, str(folder / "hwnas-agent.pyz")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture
def folder(measured: Path, tmp_path: Path) -> Path:
    """A copy that may be broken."""
    shutil.copytree(measured, tmp_path / "job")
    return tmp_path / "job"


def test_there_and_back(measured: Path, models) -> None:
    job = FolderJob.read(measured)
    device = job.results()
    assert job.about == {"space": "x"}
    assert device.fingerprint().runtime_version == open_runtime("onnxruntime").version
    with device.sweeps(models, PLANS[0]) as sweeps:
        first = list(sweeps)
    with device.sweeps({name: models[name] for name in ("large", "small")}, PLANS[1]) as sweeps:
        second = list(sweeps)
    assert ([s.number for s in first], [s.number for s in second]) == ([0, 1, 2, 3], [0, 1])
    assert sorted(second[0].times_ms) == ["large", "small"]


def test_a_model_is_stored_once(measured: Path) -> None:
    assert len(list((measured / "models").iterdir())) == 3
    assert "python3 hwnas-agent.pyz" in (measured / "README.txt").read_text()


def test_a_run_that_was_stopped_goes_on(folder: Path) -> None:
    results = folder / "results.jsonl"
    whole = results.read_bytes().splitlines(keepends=True)
    results.write_bytes(b"".join(whole[:3]) + whole[3][:20])  # killed in the middle of a line
    measure(folder)
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert [(line["part"], line["number"]) for line in lines[1:]] == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)]
    assert results.read_bytes().startswith(b"".join(whole[:3]))


def test_a_device_too_slow_for_its_seconds_makes_enough_sweeps(models, tmp_path: Path) -> None:
    """Of one sweep nothing can be said, not even that it contradicts itself."""
    plan = SweepPlan(("large", "small"), max_seconds=0)
    FolderJob.write(tmp_path / "job", Setup("onnxruntime"), [(models, plan)], {})
    measure(tmp_path / "job")
    with FolderJob.read(tmp_path / "job").results().sweeps(models, plan) as sweeps:
        assert [sweep.number for sweep in sweeps] == [0, 1, 2, 3]


def test_a_job_that_is_done_measures_nothing(folder: Path) -> None:
    before = (folder / "results.jsonl").read_bytes()
    assert "sweep" not in measure(folder)
    assert (folder / "results.jsonl").read_bytes() == before


def test_results_of_another_job_are_put_aside(folder: Path) -> None:
    job = json.loads((folder / "job.json").read_text())
    job["parts"][0]["plan"]["seed"] = 7
    (folder / "job.json").write_text(json.dumps(job))
    with pytest.raises(InputError, match="is of another job than"):
        FolderJob.read(folder).results()
    measure(folder)
    assert (folder / "results.old.jsonl").is_file()
    FolderJob.read(folder).results()


def test_a_broken_model_is_named(folder: Path) -> None:
    (folder / "results.jsonl").unlink()
    model = next((folder / "models").iterdir())
    model.write_bytes(model.read_bytes()[:-1])
    done = subprocess.run([sys.executable, str(folder / "hwnas-agent.pyz")], capture_output=True, text=True)
    assert done.returncode == 2
    assert f"{model.name} is not what was exported" in done.stderr


def test_other_models_are_refused(measured: Path, models) -> None:
    device = FolderJob.read(measured).results()
    for asked in ({**models, "more": models["large"]}, {**models, "middle": models["large"]}):
        with pytest.raises(InputError, match="not of the models that are asked for"), device.sweeps(asked, PLANS[0]):
            pass


@pytest.mark.parametrize("change, words", [
    (lambda lines: [], "not results of schema"),
    (lambda lines: lines[:3], "lacks part 2"),
    (lambda lines: [*lines[:2], *lines[3:]], "not numbered one after the other"),
    (lambda lines: [*lines[:2], lines[1], *lines[2:]], "not numbered one after the other"),
    (lambda lines: [line.replace('"middle"', '"centre"') for line in lines], "lacks models"),
    (lambda lines: [*lines[:1], lines[1].replace('"kernel_ms": [', '"kernel_ms": [-1, '), *lines[2:]],
     r"kernel_ms\[0\] must be a number"),
    (lambda lines: [*lines[:2], "{", *lines[2:]], "line 3 is not valid JSON"),
])
def test_broken_results_are_refused(folder: Path, change, words: str) -> None:
    results = folder / "results.jsonl"
    results.write_text("".join(line + "\n" for line in change(results.read_text().splitlines())))
    with pytest.raises(InputError, match=words):
        FolderJob.read(folder).results()


def test_folders_that_are_none(tmp_path: Path, measured: Path) -> None:
    with pytest.raises(InputError, match=r"no job\.json in"):
        FolderJob.read(tmp_path)
    with pytest.raises(InputError, match="not an empty folder"):
        FolderJob.write(measured, Setup("onnxruntime"), [], {})
    shutil.copytree(measured, tmp_path / "job")
    (tmp_path / "job" / "results.jsonl").unlink()
    with pytest.raises(InputError, match=r"no results\.jsonl in .*run `python3 hwnas-agent\.pyz`"):
        FolderJob.read(tmp_path / "job").results()
    (tmp_path / "job" / "job.json").write_text('{"hwnas_job": 2}')
    with pytest.raises(InputError, match="not a job of schema 1"):
        FolderJob.read(tmp_path / "job")

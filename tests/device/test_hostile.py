"""A carried folder whose files somebody else wrote: a table, or one line that leaves the tables alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.device.folder import EXPORT, FolderJob
from hwnas.documents import json_value
from hwnas.latency import Table
from hwnas.pipeline.latencies.remote_profiling import export_job, import_job
from hwnas.runtime import Fingerprint, Sweep, SweepPlan, open_runtime
from hwnas.runtime.agent import JOB, read_job
from hwnas.runtime.agent_job import Job
from hwnas.runtime.agent_store import RESULTS, Store, job_hash
from hwnas.space import SpaceConfig, build
from hwnas.target import load
from tests.mutations import documents, fuzzed, judged, lines

SPACE = build(SpaceConfig("mobile", 16, 1, 10, depth=1))
TARGET = load("raspberry-pi-4")
SWEEPS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported job."""
    path = tmp_path_factory.mktemp("jobs") / "job"
    export_job(SPACE, TARGET, path, max_seconds=1.0)
    return path


def header_of(job: Job) -> dict[str, Any]:
    board = {"machine": "aarch64", "cpu": "Cortex-A72", "flags": ["asimd"]}
    device = {**Fingerprint.of(open_runtime("onnxruntime")).to_json(), **board}
    return {"hwnas_results": 1, "job": job_hash(job), "device": device}


def results(job: Job) -> list[dict[str, Any]]:
    """What an agent would have sent: every model takes a time that follows from the order of the models."""
    rng, found = np.random.default_rng(0), [header_of(job)]
    for index, part in enumerate(job.parts):
        plan = part.plan
        for number in range(SWEEPS):
            due = plan.visited(part.models, number)
            times = {name: (0.1 + 0.01 * i) * rng.uniform(0.99, 1.01, plan.timed) for i, name in enumerate(part.models)
                     if name in due}
            sweep = Sweep(number, {name: each.tolist() for name, each in times.items()},
                          [(0.5, 0.1)] * plan.sentinel_visits, 1.2, [0.2] * plan.sentinel_visits,
                          dict.fromkeys(due, 0.01), {"load": 0.5, "mhz": 1500.0, "throttled": False},
                          dict.fromkeys(due, 0.2))
            found.append({"part": index, **sweep.to_json()})
    return found


def test_results_as_they_are(folder: Path, tmp_path: Path) -> None:
    (folder / RESULTS).write_text("".join(json.dumps(line) + "\n" for line in results(read_job(folder))))
    found = import_job(folder, tables=tmp_path)
    assert set(Table.read(found.path).entries) >= set(SPACE.signatures)


@pytest.mark.slow
@fuzzed
@given(data=st.data())
def test_results(folder: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """One value of one line at a time; the lines are long, so it is drawn here which."""
    job = read_job(folder)
    made = results(job)
    number = data.draw(st.integers(0, len(made) - 1))
    texts = [json.dumps(line).encode() for line in made]
    small = dict(made[number])
    if number:
        small["times_ms"] = dict(list(made[number]["times_ms"].items())[:2])
    mutant = data.draw(documents(small))
    try:
        value = json.loads(mutant)
    except (ValueError, RecursionError):
        value = None
    if number and isinstance(value, dict) and isinstance(value.get("times_ms"), dict) and data.draw(st.booleans()):
        mutant = json.dumps({**value, "times_ms": {**made[number]["times_ms"], **value["times_ms"]}}).encode()
    texts[number] = mutant.replace(b"\n", b" ")
    (folder / RESULTS).write_bytes(b"\n".join(texts) + b"\n")
    tables = tmp_path_factory.mktemp("tables")
    found = judged(lambda: import_job(folder, tables=tables))
    if found is not None:
        assert 0 < found.largest_ms < 1e9


@fuzzed
@given(data=st.data())
def test_jobs_and_exports(folder: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([JOB, EXPORT]))
    whole = (folder / name).read_bytes()
    value = json.loads(whole)
    if name == JOB:
        value["parts"] = [{**part, "models": dict(list(part["models"].items())[:2])} for part in value["parts"][:1]]
    (folder / name).write_bytes(data.draw(documents(value)))
    try:
        judged(lambda: FolderJob.read(folder))
        judged(lambda: import_job(folder, tables=folder / "tables"))
    finally:
        (folder / name).write_bytes(whole)


PLAN = SweepPlan(("a", "b")).to_json()
SWEEP = Sweep(0, {"a": [0.1, 0.2], "b": [0.3, 0.3]}, [(0.5, 0.1)] * 4, 1.2, [0.2] * 4, {"a": 0.1, "b": 0.1},
              {"load": 0.5}, {"a": 0.2, "b": 0.2}).to_json()


@fuzzed
@given(content=lines([header_of(Job.from_json({"hwnas_job": 1, "setup": {
    "runtime": "onnxruntime", "threads": 1, "precision": "fp32", "batch": 1, "cores": None},
    "parts": [{"models": {"a": "0" * 64}, "plan": PLAN}]})), SWEEP, {**SWEEP, "number": 1}]))
def test_an_agent_goes_on_from_what_is_whole(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.getbasetemp() / "agent"
    folder.mkdir(exist_ok=True)
    (folder / RESULTS).write_bytes(content)
    job = Job.from_json({"hwnas_job": 1, "setup": {"runtime": "onnxruntime", "threads": 1, "precision": "fp32",
                                                  "batch": 1, "cores": None},
                         "parts": [{"models": {"a": "0" * 64}, "plan": PLAN}]})
    known = judged(lambda: Store(folder).begin(job, Fingerprint.of(open_runtime("onnxruntime"))))
    assert known is not None
    assert all(Sweep.from_json(line).seconds.values() for line in known)


@fuzzed
@given(content=documents({"plan": PLAN, "sweep": SWEEP}))
def test_plans_and_sweeps(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    value = judged(lambda: json_value(content, "x"))
    if isinstance(value, dict):
        judged(lambda: SweepPlan.from_json(value.get("plan")))
        judged(lambda: Sweep.from_json(value.get("sweep")))

"""Run folders of hwnas 0.1.0 are read as before; hostile ones end in a result, or in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hwnas.cli import main
from hwnas.files import sha256
from hwnas.pipeline.config.budget import parse_all
from hwnas.pipeline.config.config_file import read_options
from hwnas.pipeline.config.make_config import make_config
from hwnas.pipeline.exported.checking import check_model
from hwnas.pipeline.job import branch
from hwnas.pipeline.report.facts import facts
from hwnas.pipeline.report.run_artifacts import RunArtifacts
from hwnas.pipeline.report.summary import is_finished, summary
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.results import ExportResult, FinetuneResult
from hwnas.pipeline.run.state import digest
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.pipeline.selection.queries import best_of, front_of
from hwnas.space import FULL
from tests.mutations import damaged_bytes, documents, fuzzed, judged, lines, mutated
from tests.old_files import copy_of, unpacked

OLD = unpacked() / "run"
STATE = json.loads((OLD / "run.json").read_text())


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the run, whose run.json and files a test replaces."""
    return copy_of("run", tmp_path_factory.mktemp("old") / "run")


def asked(path: Path) -> None:
    run = RunFolder.open(path)
    solvers = ArchitectureSolver.all_of_run(run)
    judged(lambda: best_of(solvers, solvers[FULL].absolute(parse_all({"latency": "70%"})), 3), (2, 3))
    front_of(solvers)


def test_an_old_run_is_still_read(tmp_path: Path) -> None:
    asked(OLD)
    run = RunFolder.open(OLD)
    exported, generated = (STATE["stages"][stage]["result"] for stage in ("export", "generate"))
    assert facts(run).comparison.score.compressed == exported["verdict"]["accuracy"]
    assert list(summary(run).choice) == generated["choice"]
    assert not check_model(OLD).verdict.failures()
    branched = branch(OLD, tmp_path / "new", {"flops": "80%"})
    assert branched.done("search")


def test_what_is_written_into_an_old_run_is_in_sections(tmp_path: Path) -> None:
    old = copy_of("run", tmp_path / "run")
    before = RunFolder.open(old)
    assert (before.state.hwnas_run, before.state.config.flat()["epochs"]) == (1, STATE["config"]["epochs"])
    before.save()
    written = json.loads((old / "run.json").read_text())
    assert (written["hwnas_run"], written["config"]["train"]["epochs"]) == (2, STATE["config"]["epochs"])
    assert RunFolder.open(old).state == before.state


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_old_run_is_gone_on_with_and_deployed(tmp_path: Path) -> None:
    """Its search, its reference and its choice are taken over; the same weights come of them."""
    pytest.importorskip("torch")
    from hwnas.deploy import deploy_run
    from hwnas.pipeline import resume

    old = RunFolder.open(copy_of("run", tmp_path / "run"))
    old.reopen("finetune", "export", "report")
    run = resume(old.path)
    assert is_finished(run)
    for stage in ("data", "profile", "reference", "search", "generate"):
        assert run.result(stage) == STATE["stages"][stage]["result"]
    assert run.found(FinetuneResult).score == STATE["stages"]["finetune"]["result"]["accuracy"]
    assert run.found(ExportResult).verdict.score == STATE["stages"]["export"]["result"]["verdict"]["accuracy"]
    deployed = deploy_run(run, tmp_path / "bundle")
    assert not deployed.finding.failures()


def sealed(state: Any) -> bytes:
    """run.json as somebody writes it who knows how it is hashed."""
    if isinstance(state, dict):
        state = {**state, "integrity": digest(state)}
    return json.dumps(state).encode(errors="replace")


STAGES_OF = st.sampled_from(sorted(STATE["stages"]))


@fuzzed
@given(content=STAGES_OF.flatmap(lambda s: mutated(STATE["stages"][s]).map(
           lambda part: {**STATE, "stages": {**STATE["stages"], s: part}})).map(sealed)
       | mutated(STATE).map(sealed) | damaged_bytes(json.dumps(STATE).encode()))
def test_run_json(changed: Path, content: bytes) -> None:
    (changed / "run.json").write_bytes(content)
    judged(lambda: asked(changed), (2, 3))
    judged(lambda: summary(RunFolder.open(changed)))
    judged(lambda: facts(RunFolder.open(changed)))


def with_hashes(path: Path) -> None:
    """run.json that takes the files as they are."""
    state = json.loads((OLD / "run.json").read_text())
    for record in state["stages"].values():
        record["files"] = {name: sha256(path / name) for name in record["files"] if (path / name).is_file()}
    (path / "run.json").write_bytes(sealed(state))


FILES = {name: json.loads((OLD / name).read_text()) for name in
         ("distribution.json", "latency.json", "front.json", "architecture.json")}
LOG = [json.loads(line) for line in (OLD / "search.jsonl").read_text().splitlines()]


@fuzzed
@given(case=st.sampled_from(sorted(FILES)).flatmap(lambda n: st.tuples(st.just(n), documents(FILES[n])))
       | st.tuples(st.just("search.jsonl"), lines(LOG)))
def test_files_of_a_run(changed: Path, case: tuple[str, bytes]) -> None:
    name, content = case
    (changed / name).write_bytes(content)
    with_hashes(changed)
    try:
        judged(lambda: asked(changed), (2, 3))
        judged(lambda: RunArtifacts.of_run(RunFolder.open(changed)))
        judged(lambda: facts(RunFolder.open(changed)))
    finally:
        shutil.copyfile(OLD / name, changed / name)


CONFIG = {"data": "digits", "epochs": 3, "budgets": {"latency": "40%", "flops": 20_000_000}, "widths": [0.5, 0.75],
          "target": "raspberry-pi-4", "seed": 1, "lr": 0.01}


@fuzzed
@given(content=mutated(CONFIG).map(lambda value: yaml.dump(value).encode(errors="replace"))
       | damaged_bytes(yaml.safe_dump(CONFIG).encode()))
def test_config_files(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "config.yaml"
    path.write_bytes(content)
    judged(lambda: make_config(dict(read_options(path))))


@pytest.mark.parametrize(("name", "key", "value"), [
    ("latency.json", "entries_ms", "all 1e308"), ("latency.json", "entries_ms", "all 0"),
    ("latency.json", "calibration", {"a": -1}), ("distribution.json", "effects", [[1e308] * 7] * 3)])
def test_impossible_numbers_end_generate_with_exit_2(changed: Path, capfd: pytest.CaptureFixture[str], name: str,
                                                     key: str, value: Any) -> None:
    content = json.loads((OLD / name).read_text())
    if isinstance(value, str):
        value = dict.fromkeys(content[key], float(value.split()[1]))
    (changed / name).write_text(json.dumps({**content, key: value}))
    with_hashes(changed)
    try:
        assert main(["generate", str(changed), "--latency", "70%"]) == 2
    finally:
        shutil.copyfile(OLD / name, changed / name)
    said = capfd.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1

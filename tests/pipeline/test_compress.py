"""The whole job on small real data: real training, real timing, real export."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import hwnas
from hwnas.errors import BudgetInfeasible, DataError, RunError, UsageError
from hwnas.export import Samples, predict, read_metadata
from hwnas.files import sha256
from hwnas.pipeline import (
    STAGES,
    ArchitectureSolver,
    RunFolder,
    compress,
    load_context,
    load_network,
    load_reference,
    load_search,
    pick,
    resume,
    retarget,
)
from hwnas.pipeline.run.results import GenerateResult, SearchResult
from hwnas.runtime import runtime_for
from hwnas.target import load
from tests.pipeline.lives import Lives


def test_every_stage_is_done_and_leaves_its_files(finished: RunFolder) -> None:
    assert all(finished.done(stage) for stage in STAGES)
    found = finished.result("export")
    assert found["verdict"]["failures"] == []
    assert found["verdict"]["agreement"] == 100.0
    assert found["verdict"]["max_difference"] <= 1e-4
    assert hwnas.load(finished.path).state == finished.state


def test_model_is_within_its_budget_and_says_where_it_came_from(finished: RunFolder) -> None:
    solver = ArchitectureSolver.of_run(finished)
    arch = solver.space.architecture(finished.result("generate")["choice"])
    assert arch.flops <= 0.6 * solver.space.largest().flops
    facts = read_metadata((finished.path / "model.onnx").read_bytes())
    assert facts["architecture"] == arch.to_json()
    assert facts["classes"] == [str(i) for i in range(10)]
    assert facts["table_hash"] == solver.latency.table_hash
    said = finished.found(GenerateResult).corrected(solver.latency.predict(arch))
    assert (facts["predicted_latency_ms"], facts["predicted_high_ms"]) == pytest.approx((said.latency_ms, said.high_ms))
    assert facts["measured_ms"]["median_ms"] == finished.result("generate")["measured_ms"]["median_ms"]


def test_what_a_run_left_is_loaded_to_work_with(finished: RunFolder, tmp_path: Path) -> None:
    from hwnas.train.evaluate import outputs_of

    samples = Samples.load(finished.path / "samples.safetensors")
    outputs = zip(*outputs_of(load_network(finished), samples.images), strict=True)
    (logits,) = (np.concatenate(parts) for parts in outputs)
    assert np.abs(logits - samples.logits).max() <= 1e-5
    assert load_reference(finished.path).arch == load_context(finished).space.largest()
    searched, choice = load_search(str(finished.path)), finished.found(SearchResult).best
    assert searched.best == (tuple(choice), finished.found(SearchResult).best_score)
    assert searched.distribution.choices == load_context(finished).space.sizes
    empty = RunFolder.create(tmp_path / "new", finished.state.config)
    for of in (load_network, load_reference, load_search):
        with pytest.raises(RunError, match="has not finished stage"):
            of(empty)


def test_the_stages_are_those_that_results_are_read_of() -> None:
    from hwnas.pipeline.stages.table import TABLE

    assert tuple(stage.name for stage in TABLE) == STAGES


def test_onnx_runtime_gives_the_stored_logits_for_any_batch(finished: RunFolder) -> None:
    samples = Samples.load(finished.path / "samples.safetensors")
    session = runtime_for(load("local")).load((finished.path / "model.onnx").read_bytes())
    for batch in (1, 3, 50):
        assert np.abs(predict(session, samples.images[:50], batch) - samples.logits[:50]).max() <= 1e-4


def test_model_loads_without_hwnas(finished: RunFolder) -> None:
    session = onnxruntime.InferenceSession(str(finished.path / "model.onnx"), providers=["CPUExecutionProvider"])
    (image,) = session.get_inputs()
    assert image.name == "image"
    assert image.shape[1:] == [1, 16, 16]
    out = session.run(None, {"image": np.zeros((2, 1, 16, 16), np.float32)})[0]
    assert out.shape == (2, 10)


def test_pick_answers_other_budgets_without_torch(finished: RunFolder) -> None:
    code = (
        "import sys, hwnas; answers = hwnas.pick(sys.argv[1], {'flops': '50%', 'latency': '90%'}, top=3);"
        "assert len(answers) == 3 and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(finished.path)], check=True)


def test_picks_meet_every_budget_and_are_sorted(finished: RunFolder) -> None:
    answers = pick(finished.path, {"flops": "70%", "params": "80%", "memory": "100%"}, top=5)
    largest = ArchitectureSolver.of_run(finished).space.largest()
    for answer in answers:
        assert answer.architecture.flops <= 0.7 * largest.flops
        assert answer.architecture.params <= 0.8 * largest.params
    scores = [a.predicted_score for a in answers]
    assert scores == sorted(scores, reverse=True)


def test_infeasible_budget_names_the_least(finished: RunFolder) -> None:
    with pytest.raises(BudgetInfeasible, match="at least") as caught:
        pick(finished.path, {"latency": "1us"})
    assert caught.value.least["latency"] > 1e3
    assert caught.value.exit_code == 3


def test_front_is_monotone(finished: RunFolder) -> None:
    front = ArchitectureSolver.of_run(finished).front()
    assert np.all(np.diff(front.costs) > 0)
    assert np.all(np.diff(front.utilities) > 0)


def test_another_budget_starts_from_the_search(finished: RunFolder, tmp_path: Path) -> None:
    run = retarget(finished.path, tmp_path / "tight", {"flops": "40%"}, until="generate")
    solver = ArchitectureSolver.of_run(run)
    assert solver.space.architecture(run.result("generate")["choice"]).flops <= 0.4 * solver.space.largest().flops
    assert run.state.stages["search"] == finished.state.stages["search"]


def test_resuming_a_finished_run_repeats_nothing(finished: RunFolder) -> None:
    events: list[tuple[str, str]] = []
    resume(finished.path, hook=lambda stage, event, _: events.append((stage, event)))
    assert events == [(stage, "kept") for stage in STAGES]


def test_tampered_artifact_is_refused(finished: RunFolder, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(finished.path, copy)
    (copy / "distribution.json").write_text("{}")
    with pytest.raises(RunError, match=r"distribution\.json, *was changed|distribution\.json was changed"):
        resume(copy)


def test_changed_images_are_refused(small: dict[str, Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 255, (40, 16, 16, 1), dtype=np.uint8), np.arange(40) % 2
    np.savez(tmp_path / "d.npz", images=images, labels=labels)
    options = {**small, "data": str(tmp_path / "d.npz"), "limit": None, "target": "raspberry-pi-4"}
    run = compress(tmp_path / "run", budgets={"flops": "60%"}, until="data", **options)
    np.savez(tmp_path / "d.npz", images=255 - images, labels=labels)
    with pytest.raises(UsageError, match="changed since this run began"):
        resume(run.path, until="reference")


def test_bad_data_leaves_no_folder_in_the_way(small: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "images" / "cat").mkdir(parents=True)
    with pytest.raises(DataError):
        compress(tmp_path / "run", budgets={"flops": "60%"}, **{**small, "data": str(tmp_path / "images")})
    assert not (tmp_path / "run").exists()


def test_a_budget_nothing_meets_is_refused_before_any_training(small: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(BudgetInfeasible, match="at least"):
        compress(tmp_path / "run", budgets={"latency": "1us"}, **small)
    assert not (tmp_path / "run" / "reference.checkpoint").exists()


@pytest.mark.slow
def test_killed_anywhere_and_resumed_gives_the_same_weights(
    finished: RunFolder, small: dict[str, Any], lives: Lives, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    start = f"hwnas.compress({str(out)!r}, budgets={{'flops': '60%'}}, **{small!r})"
    go_on = f"hwnas.resume({str(out)!r})"
    rng = np.random.default_rng(0)
    ends = [lives.live(f"import hwnas; {go_on if (out / 'run.json').exists() else start}", 1 + 2 * rng.random())
            for _ in range(4)]
    assert ends == [-signal.SIGKILL] * 4, "more has to be done than these lives are long"
    resume(out)
    run = RunFolder.open(out)
    assert run.result("generate")["choice"] == finished.result("generate")["choice"]
    for name in ("reference.safetensors", "search.safetensors", "model.safetensors", "distribution.json"):
        assert sha256(run.path / name) == sha256(finished.path / name), name
    lines = [json.loads(line) for line in (run.path / "search.jsonl").read_text().splitlines()]
    expected = [json.loads(line) for line in (finished.path / "search.jsonl").read_text().splitlines()]
    assert [(e["choice"], e["score"]) for e in lines] == [(e["choice"], e["score"]) for e in expected]


@pytest.mark.slow
def test_latency_budget_holds_when_measured(small: dict[str, Any], tmp_path: Path) -> None:
    run = compress(tmp_path / "latency", budgets={"latency": "60%", "params": "90%"}, **small)
    found = run.result("export")
    assert found["verdict"]["within_budget"]
    assert found["ratio"] <= found["promise"]["share"]  # at the speed of one run; the milliseconds are of another
    assert found["ratio"] <= 0.6

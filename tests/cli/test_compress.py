"""compress, search, train, export and report, end to end on a tiny run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwnas.cli import main
from hwnas.files import sha256
from hwnas.pipeline import STAGES, RunFolder

Answer, Refusal = Callable[..., Any], Callable[..., str]

TINY = ["--epochs", "1", "--settle", "6", "--warmup", "1", "--cycles", "1", "--limit", "200", "--depth", "1",
        "--width-mult", "0.5", "--top", "3", "--torch-threads", "1"]


def test_it_makes_a_model_within_its_budgets(made: Path, answer: Answer) -> None:
    found = answer("compress", "--resume", made)
    assert {b["name"]: b["met"] for b in found["budgets"]} == {"latency": True, "flops": True}
    latency = found["budgets"][0]
    assert latency["achieved"] <= latency["limit"]
    fixed = RunFolder.open(made).state.reference
    assert fixed is not None
    assert latency["limit"] == pytest.approx(0.9 * fixed.latency_ms)
    assert latency["told"] == f"90 % of {fixed.latency_ms:.3f} ms measured = {0.9 * fixed.latency_ms:.3f} ms"
    assert found["compressed"]["flops"] < found["reference"]["flops"]
    assert found["ratio"] < 0.95
    assert Path(found["model"]).stat().st_size == found["compressed"]["size_bytes"]
    assert found["agreement"] == 100


def test_a_finished_run_says_so_and_shows_its_table(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compress", "--resume", str(made)]) == 0
    shown = capsys.readouterr()
    assert "is finished" in shown.err
    for text in ("reference", "compressed", "measured, ms", "parameters", "budget latency 90%", "model.onnx"):
        assert text in shown.out
    assert "\x1b" not in shown.out


@pytest.mark.parametrize("words", [["--seed", "3"], ["--out", "x"], ["--config", "c.yaml"], ["--dry-run"],
                                   ["--from", "y"], ["--latency", "50%"]])
def test_resume_takes_no_other_configuration(words: list[str], made: Path, refusal: Refusal) -> None:
    assert words[0] in refusal(2, "compress", "--resume", made, *words)


def test_resume_takes_what_changes_no_result(made: Path, run: Path, tmp_path: Path) -> None:
    RunFolder.open(run).reopen("finetune", "export", "report")
    assert main(["train", str(run), "--workers", "1"]) == 0
    assert RunFolder.open(run).state.config.data.workers == 1
    assert main(["compress", "--resume", str(run), "--image-cache", str(tmp_path / "cache"), "--workers", "2"]) == 0
    kept = RunFolder.open(run).state
    assert (kept.config.data.image_cache, kept.config.data.workers) == (str(tmp_path / "cache"), 2)
    assert kept.stages["finetune"].files == RunFolder.open(made).state.stages["finetune"].files


def test_a_folder_that_holds_a_run_is_refused(made: Path, refusal: Refusal) -> None:
    assert f"--resume {made}" in refusal(2, "compress", *TINY, "--out", made)


@pytest.mark.parametrize(("words", "told"), [
    (["--accelerator", "gpu"], "an accelerator is auto, cpu, cuda, cuda:1 or mps, not 'gpu'"),
    (["--amp", "int8"], "amp"),
    (["--accelerator", "cpu", "--amp", "fp16"], "fp16 trains on a GPU"),
])
def test_what_cannot_train_here_is_refused_before_anything_is_done(words: list[str], told: str, tmp_path: Path,
                                                                   refusal: Refusal) -> None:
    assert told in refusal(2, "compress", *TINY, *words, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_edited_run_is_refused(run: Path, refusal: Refusal) -> None:
    state = json.loads((run / "run.json").read_text(encoding="utf-8"))
    state["stages"]["export"]["result"]["verdict"]["accuracy"] = 100.0
    (run / "run.json").write_text(json.dumps(state), encoding="utf-8")
    for command in (["compress", "--resume"], ["generate"], ["verify"], ["report"], ["export"], ["train"]):
        assert "was edited" in refusal(2, *command, run)


def test_dry_run_leaves_nothing(tmp_path: Path, tables: Path, made: Path, answer: Answer,
                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ["compress", "--dry-run", *TINY, "--latency", "90%", "--tables"]
    cold, warm = answer(*asked, tmp_path / "none"), answer(*asked, tables)
    assert cold["blocks_to_time"] == cold["blocks"] > 0
    assert cold["bounds"] == {"latency": None}
    assert warm["blocks_to_time"] == 0
    assert warm["bounds"]["latency"] == pytest.approx(0.9 * warm["reference"]["latency"])
    assert not any(tmp_path.iterdir())
    assert main([*asked, str(tables)]) == 0


def test_dry_run_refuses_a_folder_that_is_taken(made: Path, refusal: Refusal) -> None:
    refusal(2, "compress", "--dry-run", "--out", made)


def test_a_run_reuses_the_search_of_another(made: Path, tmp_path: Path, answer: Answer) -> None:
    found = answer("compress", "--from", made, "--out", tmp_path / "b", "--flops", "80%")
    assert [b["name"] for b in found["budgets"]] == ["flops"]
    assert found["compressed"]["flops"] <= 0.8 * found["reference"]["flops"]
    assert sha256(tmp_path / "b" / "distribution.json") == sha256(made / "distribution.json")


def test_from_takes_budgets_only(made: Path, tmp_path: Path, refusal: Refusal) -> None:
    refusal(2, "compress", "--from", made, "--out", tmp_path / "b", "--flops", "80%", "--seed", "1")
    refusal(2, "compress", "--from", made, "--out", tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_network_of_ones_own_has_no_search_and_leaves_no_folder(tmp_path: Path, refusal: Refusal) -> None:
    (tmp_path / "n.onnx").write_bytes(b"")
    words = ("--model", tmp_path / "n.onnx", "--data", "digits", "--mean", 127.5, "--std", 127.5)
    assert "has no search: leave out --model" in refusal(2, "search", *words, "--out", tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_search_then_train_then_the_rest(tmp_path: Path, tables: Path, answer: Answer) -> None:
    pytest.importorskip("torch")
    run = tmp_path / "run"
    found = answer("search", *TINY, "--latency", "90%", "--tables", tables, "--out", run)
    assert set(RunFolder.open(run).state.stages) == set(STAGES[: STAGES.index("search") + 1])
    assert all(found["effects"].values())
    assert answer("generate", run, "--latency", "90%")["picks"]
    assert "finetune" in answer("train", run)
    assert set(STAGES) - set(RunFolder.open(run).state.stages) == {"export", "report"}
    assert answer("export", run, "-o", tmp_path / "m.onnx")["failures"] == []
    assert (tmp_path / "m.onnx").is_file()
    assert answer("compress", "--resume", run)["budgets"][0]["met"]


@pytest.mark.usefixtures("nothing_was_exported")
def test_export_writes_the_same_network_again(run: Path, answer: Answer) -> None:
    (run / "model.onnx").unlink()
    assert answer("export", run)["agreement"] == 100
    assert RunFolder.open(run).done("export")


def test_report_is_written_again(run: Path, answer: Answer) -> None:
    (run / "report.html").unlink()
    assert [Path(p).name for p in answer("report", run)["written"]] == ["report.html", "report.json"]
    assert RunFolder.open(run).done("report")


def test_a_budget_out_of_reach_is_exit_3_and_keeps_the_search(made: Path, tmp_path: Path, refusal: Refusal) -> None:
    message = refusal(3, "compress", "--from", made, "--out", tmp_path / "b", "--latency", "1us")
    assert "at least" in message
    assert f"hwnas generate {tmp_path / 'b'}" in message


def test_an_interrupted_run_says_how_to_go_on(tables: Path, made: Path, tmp_path: Path) -> None:
    """Ctrl-C in the middle of training."""
    words = ["compress", *TINY, "--epochs", "500", "--latency", "95%", "--tables", str(tables)]
    words += ["--out", str(tmp_path / "run")]
    # a shell that started the tests in the background has them ignore Ctrl-C, and a child inherits that
    heed = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{heed}; from hwnas.cli import main; sys.exit(main({words!r}))"
    work = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + 500
    while not (tmp_path / "run" / "reference.checkpoint").exists() and time.monotonic() < until:
        time.sleep(0.1)
    work.send_signal(signal.SIGINT)
    _, told = work.communicate(timeout=240)
    assert work.returncode == 130
    assert "interrupted" in told
    assert f"hwnas compress --resume {tmp_path / 'run'}" in told
    assert "Traceback" not in told
    assert "profile" in RunFolder.open(tmp_path / "run").state.stages


@pytest.mark.slow
def test_a_network_for_another_device_takes_over_the_search(made: Path, tmp_path: Path, answer: Callable[..., Any],
                                                            refusal: Callable[..., str]) -> None:
    found = answer("compress", "--from", made, "--out", tmp_path / "pi", "--target", "raspberry-pi-4", "--flops", "95%",
                   "--tables", tmp_path / "none", "--epochs", "2")
    assert (found["target"]["name"], found["target"]["threads"]) == ("raspberry-pi-4", 4)
    assert (found["latency_source"], found["compressed"]["measured_ms"]) == ("estimated", None)
    state, before = (json.loads((run / "run.json").read_text(encoding="utf-8")) for run in (tmp_path / "pi", made))
    assert state["stages"]["search"] == before["stages"]["search"]
    assert len(state["stages"]["finetune"]["result"]["epochs"]) == 2
    message = refusal(2, "compress", "--from", made, "--out", tmp_path / "c", "--target", "jetson", "--depth", "2")
    assert "--depth" in message
    assert not (tmp_path / "c").exists()

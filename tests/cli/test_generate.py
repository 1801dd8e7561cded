"""generate: answers from a run folder, at once and without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from hwnas.cli import main
from hwnas.latency import Entry, Table, table_path
from hwnas.latency.estimate import estimate
from hwnas.pipeline import ArchitectureSolver, RunFolder
from hwnas.space import Architecture
from hwnas.target import load

Answer, Refusal = Callable[..., Any], Callable[..., str]


def test_the_best_within_budgets(made: Path, answer: Answer) -> None:
    """Against every live architecture of the tiny space."""
    found = answer("generate", made, "--latency", "90%", "--flops", "80%", "--top", "2")
    solver = ArchitectureSolver.of_run(RunFolder.open(made))
    effects = solver.distribution.utilities("effect")
    worth = {}
    for choice in product(*(range(n) for n in solver.space.sizes)):
        arch = solver.space.architecture(choice)
        if all(solver.cost(n, arch) <= b for n, b in found["bounds"].items()):
            worth[choice] = solver.baseline + sum(float(e[i]) for e, i in zip(effects, choice, strict=True))
    best = sorted((v for v in worth.values() if v > float("-inf")), reverse=True)[:2]
    assert [p["predicted_accuracy"] for p in found["picks"]] == pytest.approx(best)
    assert found["front"] is None


def test_without_a_budget_it_shows_the_front(made: Path, answer: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer("generate", made)
    latencies = [p["latency_ms"] for p in found["front"]]
    assert latencies == sorted(latencies)
    assert found["picks"] == []
    assert main(["generate", str(made)]) == 0
    assert f"front: {len(latencies)} architectures" in capsys.readouterr().out


def test_picks_and_front_together_as_text(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", str(made), "--latency", "100%", "--top", "2", "--min-distance", "2", "--front"]) == 0
    shown = capsys.readouterr().out
    assert "within latency" in shown
    assert "front:" in shown
    assert " ms " in shown


def test_the_best_can_be_written(made: Path, tmp_path: Path, answer: Answer) -> None:
    found = answer("generate", made, "--latency", "90%", "-o", tmp_path / "arch.json")
    stored = Architecture.from_json(json.loads((tmp_path / "arch.json").read_text(encoding="utf-8")))
    assert list(stored.choice) == found["picks"][0]["architecture"]["choice"]


def test_out_of_reach_is_exit_3(made: Path, refusal: Refusal) -> None:
    message = refusal(3, "generate", made, "--latency", "1us", "--flops", "10")
    assert message.count("at least") == 2


def test_three_files_are_enough(made: Path, tmp_path: Path, answer: Answer) -> None:
    for name in ("run.json", "distribution.json", "latency.json"):
        shutil.copy(made / name, tmp_path / name)
    assert answer("generate", tmp_path, "--latency", "90%")["picks"]


def test_a_changed_distribution_is_refused(run: Path, refusal: Refusal) -> None:
    path = run / "distribution.json"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert "was changed" in refusal(2, "generate", run, "--latency", "90%")


def test_it_explains_the_budgets(made: Path, answer: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer("generate", made, "--latency", "90%", "--flops", "80%", "--explain")
    story = found["explanation"]
    assert story["choice"] == found["picks"][0]["architecture"]["choice"]
    assert [limit["name"] for limit in story["limits"]] == ["latency", "flops"]
    assert all(limit["slack"] >= 0 for limit in story["limits"])
    assert answer("generate", made, "--latency", "90%")["explanation"] is None
    assert main(["generate", str(made), "--latency", "90%", "--explain"]) == 0
    assert "latency: " in capsys.readouterr().out


def test_it_explains_what_cannot_be_met(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["generate", str(made), "--latency", "1us", "--explain"]) == 3
    shown = capsys.readouterr()
    assert "cheapest way out: raise latency to" in shown.out
    assert "error: " in shown.err
    assert main(["generate", str(made), "--latency", "1us", "--explain", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["explanation"]["status"] == "INFEASIBLE"


@pytest.mark.parametrize("words", [["--explain"], ["--latency", "fast"], ["--top", "0"], ["--min-distance", "-1"]])
def test_wrong_requests(words: list[str], made: Path, refusal: Refusal) -> None:
    refusal(2, "generate", made, *words)


def test_a_folder_without_a_run(tmp_path: Path, refusal: Refusal) -> None:
    assert "run.json" in refusal(2, "generate", tmp_path, "--latency", "1ms")


def test_it_imports_no_torch_and_no_runtime(made: Path) -> None:
    words = ["generate", str(made), "--latency", "90%", "--json"]
    program = ("import sys; from hwnas.cli import main\n"
               f"code = main({words!r})\n"
               "print(code, *(m in sys.modules for m in ('torch', 'onnxruntime')), file=sys.stderr)")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240, check=True)
    assert done.stderr.split() == ["0", "False", "False"]
    assert json.loads(done.stdout)["picks"]


def test_another_device_is_answered_from_the_search_alone(made: Path, answer: Answer, tmp_path: Path,
                                                          capsys: pytest.CaptureFixture[str]) -> None:
    space, target = ArchitectureSolver.of_run(RunFolder.open(made)).space, load("raspberry-pi-4")
    found = answer("generate", made, "--target", "raspberry-pi-4", "--latency", "60%", "--tables", tmp_path)
    reference = estimate(space, target, "compiled").predict(space.largest()).latency_ms
    assert (found["target"], found["latency_source"], found["threads"]) == ("raspberry-pi-4", "estimated", 4)
    assert found["reference_ms"] == pytest.approx(reference)
    assert found["bounds"]["latency"] == pytest.approx(0.6 * reference * 1e6)
    (pick,) = found["picks"]
    arch = Architecture.from_json(pick["architecture"])
    assert estimate(space, target, "compiled").predict(arch).latency_ms <= 0.6 * reference
    assert main(["generate", str(made), "--target", "raspberry-pi-4", "--latency", "60%"]) == 0
    shown = capsys.readouterr().out
    assert f"{reference:.3f} ms estimated" in shown
    assert "hwnas profile --target raspberry-pi-4" in shown


def test_another_device_is_answered_from_its_table(made: Path, answer: Answer, refusal: Refusal,
                                                   tmp_path: Path) -> None:
    """A device on which every block takes a millisecond, and one block ten."""
    space, target = ArchitectureSolver.of_run(RunFolder.open(made)).space, load("raspberry-pi-4", threads=2)
    slow = space.choices[0].ops[0].signature
    table = Table.open(table_path(tmp_path, target), target, {"cpu": "a board"}, source="measured")
    times = {s: 10.0 if s == slow else 1.0 for s in space.signatures}
    table.add([Entry(s, ms, 0.9 * ms, 1.1 * ms, 20, "2026") for s, ms in times.items()])
    words = ["--target", "raspberry-pi-4", "--threads", "2", "--tables", tmp_path]
    found = answer("generate", made, *words, "--latency", "100%")
    assert (found["latency_source"], found["table"]) == ("measured", str(table.path))
    largest = sum(10.0 if op.signature == slow else 1.0 for op in space.largest() if op.timed)
    assert found["reference_ms"] == pytest.approx(largest)
    message = refusal(3, "generate", made, *words, "--latency", "1us")
    assert "at least" in message


def test_another_way_of_running_must_be_known(made: Path, refusal: Refusal, tmp_path: Path) -> None:
    message = refusal(2, "generate", made, "--threads", "7", "--tables", tmp_path, "--latency", "50%")
    assert "not timed yet on local/onnxruntime-fp32-b1-t7" in message
    assert f"--threads 7 --tables {tmp_path} --space mobile --imgsz 16" in message
    assert "Did you mean 'raspberry-pi-5'" in refusal(2, "generate", made, "--target", "raspbery-pi-5")
    assert "auto" in refusal(2, "generate", made, "--precision", "auto", "--latency", "50%")


BOARDS = "local,raspberry-pi-4,x86-avx2"


def test_several_targets_are_answered_as_one_by_one(made: Path, tables: Path, answer: Answer) -> None:
    found = answer("generate", made, "--target", BOARDS, "--latency", "90%,70%,80%")["targets"]
    assert [row["asked"] for row in found] == ["local, latency 90%", "raspberry-pi-4, latency 70%",
                                               "x86-avx2, latency 80%"]
    alone = answer("generate", made, "--target", "raspberry-pi-4", "--latency", "70%")
    assert {name: found[1][name] for name in alone} == alone
    assert found[0]["picks"] == answer("generate", made, "--latency", "90%")["picks"]


def test_what_one_of_several_targets_cannot_meet_takes_nothing_from_the_others(
        made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["generate", str(made), "--target", BOARDS, "--latency", "90%,1us,90%"]) == 3
    shown = capsys.readouterr()
    assert "1 of 3 targets has no network" in shown.err
    assert "raspberry-pi-4, latency 1us: no architecture meets the budgets" in shown.err
    assert shown.out.count("within latency 90 % of") == 2
    assert main(["generate", str(made), "--target", BOARDS, "--latency", "1us"]) == 3
    assert "at least" in capsys.readouterr().err


def test_one_architecture_for_all_is_within_every_budget(made: Path, tmp_path: Path, answer: Answer,
                                                         capsys: pytest.CaptureFixture[str]) -> None:
    words = ["generate", made, "--target", BOARDS, "--latency", "85%", "--one-model"]
    found = answer(*words, "-o", tmp_path / "arch.json")
    stored = Architecture.from_json(json.loads((tmp_path / "arch.json").read_text(encoding="utf-8")))
    assert list(stored.choice) == found["picks"][0]["architecture"]["choice"]
    assert [row["asked"] for row in found["targets"]] == BOARDS.split(",")
    assert all(row["room"] >= 0 for row in found["targets"])
    roomy = answer(*words, "--give-up", "5")
    assert min(row["room"] for row in roomy["targets"]) >= min(row["room"] for row in found["targets"])
    assert roomy["picks"][0]["predicted_accuracy"] >= found["picks"][0]["predicted_accuracy"] - 5
    assert main([*map(str, words)]) == 0
    assert "room is what is left of its budget of latency" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "why"), [
    (["--target", "local,locl"], "unknown target 'locl'"), (["--target", "jetson,jetson-orin-nano"], "are the same"),
    (["--target", "local,jetson", "--latency", "1ms,2ms,3ms"], "--latency 3, --target 2"),
    (["--target", "local,jetson", "--latency", "50%", "-o", "x.json"], "name one target, or give --one-model"),
    (["--target", "local,jetson", "--give-up", "1"], "give --one-model as well"),
    (["--one-model"], "--one-model is of several targets"), (["--target", BOARDS, "--one-model"], "needs a budget"),
    (["--target", BOARDS, "--one-model", "--flops", "90%", "--give-up", "1"], "give --latency as well"),
    (["--target", BOARDS, "--one-model", "--latency", "90%", "--explain"], "leave out --one-model"),
])
def test_wrong_questions_about_several_targets_say_what_to_ask(made: Path, words: list[str], why: str,
                                                               refusal: Refusal) -> None:
    assert why in refusal(2, "generate", made, *words)

"""hwnas bench"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwnas.cli import main

Answer, Refusal = Callable[..., Any], Callable[..., str]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """NAS-Bench-Macro with other numbers: a sum over the layers, and noise."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rng = np.random.default_rng(0)
    rows = np.array(list(itertools.product(range(3), repeat=8)))
    truth = 50 + rng.normal(size=(8, 3))[np.arange(8), rows].sum(axis=1)
    columns = {f"acc{i}": truth + 0.1 * rng.normal(size=len(rows)) for i in (1, 2, 3)}
    path = tmp_path_factory.mktemp("macro") / "nasbench_macro.parquet"
    parquet.write_table(pyarrow.table({"arch": ["".join(map(str, row)) for row in rows], **columns}), path)
    return path


def words(data: Path, *more: object) -> list[str]:
    return ["bench", "search", "--benchmark", "nasbench-macro", "--data", str(data), "--evaluations", "5,15",
            "--seeds", "4", "--workers", "1", *map(str, more)]


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "search", "--help"]) == 0
    shown = capsys.readouterr().out
    for flag in ("--benchmark", "--dataset", "--strategy", "--evaluations", "--seeds", "--data", "--out", "--plot",
                 "--json", "--workers", "--option"):
        assert flag in shown
    assert "Example: hwnas bench search" in shown
    assert main(["bench", "--help"]) == 0
    assert "Compare search strategies by the regret of their answers." in capsys.readouterr().out


def test_help_imports_nothing_heavy() -> None:
    program = ("import sys\nfrom hwnas.cli import main\nmain(['bench', 'search', '--help'])\n"
               "print([m for m in ('numpy', 'torch', 'pyarrow', 'matplotlib', 'scipy') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_what_is_there(answer: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer("bench")
    assert {"nasbench201", "nasbench-macro"} <= set(found["benchmarks"])
    assert {"migo", "random"} <= set(found["strategies"])
    assert main(["bench"]) == 0
    assert "nasbench-macro, nasbench201" in capsys.readouterr().out


def test_the_tables(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(data, "--strategy", "rea", "--strategy", "random")) == 0
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == [
        "nasbench-macro: best " + lines[0][0].split()[2] + " 4 seeds; regret in points, by evaluations",
        "", "mean ± standard error", "rea", "random", "the signal's own limit",
        "", "median (quartiles)", "rea", "random", "the signal's own limit",
    ]
    assert lines[2][-1].strip() == "15"


def test_json_and_a_second_run_that_goes_on(data: Path, tmp_path: Path, answer: Answer) -> None:
    more = words(data, "--strategy", "random", "--out", tmp_path / "out", "--option", "nasbench-macro.training=acc2",
                 "--option", "random.ridge=3")
    first = answer(*more)
    log = (tmp_path / "out" / "regret.jsonl").read_text(encoding="utf-8")
    assert answer(*more) == first
    assert (tmp_path / "out" / "regret.jsonl").read_text(encoding="utf-8") == log
    (strategy,) = first["strategies"]
    assert (first["benchmark"], first["seeds"], first["evaluations"]) == ("nasbench-macro/acc2", 4, [5, 15])
    assert (strategy["strategy"], strategy["options"]) == ("random", {"ridge": 3})
    told = [json.loads(line) for line in log.splitlines()]
    for row in strategy["regret"]:
        mean = np.mean([line["regret"] for line in told if line["evaluations"] == row["evaluations"]])
        assert row["mean"] == pytest.approx(mean)
    assert first["out"] == str(tmp_path / "out")
    assert first["plot"] is None


def test_a_plot(data: Path, tmp_path: Path, answer: Answer) -> None:
    pytest.importorskip("matplotlib")
    found = answer(*words(data, "--strategy", "random", "--plot", tmp_path / "p.png"))
    assert (tmp_path / "p.png").read_bytes()[:4] == b"\x89PNG"
    assert found["plot"] == str(tmp_path / "p.png")


def test_workers_change_nothing(data: Path, answer: Answer) -> None:
    serial = answer(*words(data, "--strategy", "random"))
    assert answer(*words(data, "--strategy", "random", "--workers", 2)) == serial


@pytest.mark.parametrize(("more", "parts"), [
    (["--strategy", "mgo"], ["unknown strategy 'mgo'", "Did you mean 'migo'"]),
    (["--benchmark", "nasbench-makro"], ["unknown benchmark", "Did you mean 'nasbench-macro'"]),
    (["--dataset", "cifar10"], ["nasbench-macro", "dataset"]),
    (["--option", "nasbench-macro.training=acc4"], ["training", "acc4"]),
    (["--option", "gama=1"], ["option of strategy", "gama"]),
    (["--option", "rae.sample=1"], ["rae", "Did you mean"]),
    (["--option", "ridge"], ["KEY=VALUE", "'ridge'"]),
    (["--option", "random.seed=1"], ["seed is no option"]),
    (["--evaluations", "5;6"], ["--evaluations", "5;6"]),
    (["--evaluations", "0"], ["at least 1"]),
    (["--seeds", "0"], ["--seeds"]),
    (["--data", "away.parquet"], ["no such file", "--data"]),
    (["--plot", "a.gif"], [".png", "a.gif"]),
])
def test_a_wrong_word_is_one_message_and_exit_2(more: list[str], parts: list[str], data: Path, refusal: Refusal,
                                                tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    message = refusal(2, *words(data, *more, "--out", "out"))
    assert [part for part in parts if part not in message] == []
    assert not any(tmp_path.iterdir())


def test_flags_before_the_command_are_refused(refusal: Refusal) -> None:
    assert "behind the command" in refusal(2, "bench", "--json", "search", "--benchmark", "nasbench201")
    assert "--benchmark" in refusal(2, "bench", "search")

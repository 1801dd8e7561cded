"""Flags, units, names and config files: what is refused, and how."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from hwnas.cli.options import BUDGETS, OPTIONS, config_options
from hwnas.errors import InputError
from hwnas.pipeline.config.compress_config import FIELDS, KEEP_UNITS
from hwnas.pipeline.config.config_file import read_options

Refusal = Callable[..., str]


def test_every_option_of_a_run_has_a_flag() -> None:
    assert set(FIELDS) - {"budgets", KEEP_UNITS} == set(OPTIONS) - set(BUDGETS)  # --keep has two meanings


@pytest.mark.parametrize("name", sorted(set(FIELDS) - {"budgets", KEEP_UNITS}))
def test_help_shows_the_default_that_is_used(name: str) -> None:
    default = FIELDS[name].default
    shown = get_args(OPTIONS[name])[1].show_default
    if default is not None and default is not False:  # a switch that is off has nothing to show
        assert shown == str(default)


@pytest.mark.parametrize(("words", "parts"), [
    (["--latncy", "5ms"], ["No such option: --latncy", "--latency"]),
    (["--latency", "8parsecs"], ["8parsecs", "ms"]),
    (["--latency", "8"], ["unit"]),
    (["--latency", "0ms"], ["above zero"]),
    (["--flops", "3ms"], ["--flops", "300M"]),
    (["--target", "locl"], ["Did you mean 'local'?"]),
    (["--space", "mobil"], ["Did you mean 'mobile'?", "proxyless"]),
    (["--task", "pose"], ["classify"]),
    (["--epochs", "many"], ["--epochs"]),
    (["--epochs", "0"], ["epochs", "0"]),
    (["--precision", "int7"], ["precision", "int7"]),
    (["--config", "absent.yaml"], ["absent.yaml"]),
    (["--mode", "best"], ["pooled"]),
])
def test_a_wrong_flag_is_one_message_and_exit_2(words: list[str], parts: list[str], refusal: Refusal,
                                                tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    message = refusal(2, "compress", *words)
    assert [part for part in parts if part not in message] == []
    assert not any(tmp_path.iterdir())


def test_a_wrong_command_suggests_the_nearest(refusal: Refusal) -> None:
    assert "'compress'" in refusal(2, "comprss")


@pytest.mark.parametrize("words", [["--data", "nothere"], ["--data", "nothere.npz"], ["--imgsz", "200"]])
def test_bad_data_leaves_no_run_folder(words: list[str], refusal: Refusal, tmp_path: Path,
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    refusal(2, "compress", *words, "--out", "run")
    assert not (tmp_path / "run").exists()


def test_flags_win_over_the_file_and_budgets_are_merged(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("epochs: 3\nseed: 4\nbudgets: {latency: 40%, flops: 2000000}\n", encoding="utf-8")
    found = config_options({"epochs": 9, "latency": "2ms"}, file)
    assert found == {"epochs": 9, "seed": 4, "budgets": {"latency": "2ms", "flops": "2000000"}}


def test_an_empty_config_file_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("# nothing yet\n", encoding="utf-8")
    assert read_options(tmp_path / "c.yaml") == {}


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words", "a: [1\n", "1: 2\n"])
def test_a_config_file_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"c\.yaml"):
        read_options(tmp_path / "c.yaml")


def test_an_unknown_key_of_a_file_suggests_the_nearest(refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("epocs: 3\n", encoding="utf-8")
    assert "Did you mean 'epochs'?" in refusal(2, "compress", "--config", tmp_path / "c.yaml")


def test_budgets_of_a_file_replace_the_default(tmp_path: Path, answer: Callable[..., Any], tables: Path) -> None:
    (tmp_path / "c.yaml").write_text("budgets: {flops: 60%}\ndepth: 1\n", encoding="utf-8")
    found = answer("compress", "--config", tmp_path / "c.yaml", "--dry-run", "--tables", tables)
    assert found["config"]["budgets"] == {"flops": "60%"}


def test_commands_take_options_under_their_own_names() -> None:
    from hwnas.cli import compress

    names = set(inspect.signature(compress.command).parameters)
    assert names == {*OPTIONS, "out", "resume", "source", "config", "dry_run", "json"}


HUGE = ("-1", "99999999999999999999999", str(2**64))
WRONG_NUMBERS = [
    *((flag, value) for flag in ("--seed", "--epochs", "--batch", "--threads", "--imgsz", "--width", "--limit",
                                 "--batch-size", "--warmup", "--cycles", "--keep", "--settle", "--top", "--finalists",
                                 "--trial-epochs", "--torch-threads", "--depth", "--head-width", "--output-stride")
      for value in HUGE),
    *((flag, "0") for flag in ("--epochs", "--batch", "--threads", "--imgsz", "--limit", "--batch-size", "--cycles",
                               "--keep", "--top", "--finalists", "--torch-threads", "--depth", "--widths", "--lr",
                               "--width-mult", "--epochs-per-evaluation")),
    *((flag, value) for flag in ("--lr", "--attention", "--width-mult", "--epochs-per-evaluation", "--confidence")
      for value in ("nan", "inf", "-inf", "-1", "1e400", "x", "")),
    *((flag, value) for flag in ("--latency", "--flops", "--params", "--memory")
      for value in ("nan", "inf", "-5%", "-1ms", "1e400%", "0%", "1e400", "%", "", "5 %%", "1" * 500, "0x10")),
    *((flag, value) for flag in ("--widths", "--sizes") for value in ("nan", "-1", "1,,2", "inf", "a", "1e400")),
    ("--confidence", "1"), ("--confidence", "0.4"), ("--threads", "1000000"), ("--output-stride", "17"),
]


@pytest.mark.parametrize(("flag", "value"), WRONG_NUMBERS)
def test_numbers_out_of_range_are_refused_at_once(flag: str, value: str, refusal: Refusal, tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    task = ["--task", "segment"] if flag == "--output-stride" else []
    message = refusal(2, "compress", *task, "--out", "run", flag, value)
    assert flag in message
    assert len(message) < 600
    assert "--resume" not in message
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("words", [
    ["profile", "--seed", str(2**64)], ["profile", "--max-seconds", "nan"], ["profile", "--classes", "10000000000"],
    ["profile", "--channels", "2000000"], ["profile", "--threads", "1000000"], ["generate", "RUN", "--top", "10" * 20],
    ["generate", "RUN", "--confidence", "nan"], ["verify", "m.onnx", "--threads", "0"],
    ["predict", "m.onnx", "x.png", "--threshold", "nan"], ["predict", "m.onnx", "x.png", "--threads", "-3"],
    ["serve", "m.onnx", "--port", "65536"], ["serve", "m.onnx", "--timeout", "nan"],
    ["serve", "m.onnx", "--max-mb", "inf"],
    ["serve", "m.onnx", "--workers-queue", "10" * 20], ["serve", "m.onnx", "--max-megapixels", "1e300"],
    ["agent", "export", "job", "--seed", "-1"], ["bench", "search", "--benchmark", "nasbench201", "--seeds", "10" * 20],
    ["bench", "search", "--benchmark", "nasbench201", "--workers", "10" * 20],
])
def test_numbers_of_every_command_have_bounds(words: list[str], refusal: Refusal, tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    flag = next(word for word in words if word.startswith("--") and word != "--benchmark")
    assert flag in refusal(2, *words)
    assert not any(tmp_path.iterdir())


def test_flags_and_configuration_have_the_same_bounds() -> None:
    from hwnas.cli.options import RANGES

    for name, bounds in RANGES.items():
        found = {kind: getattr(m, kind) for m in FIELDS[name].metadata
                 if (kind := type(m).__name__.lower())}
        assert found.get("gt" if bounds.above else "ge", 0) == bounds.low, name
        assert found["le"] == bounds.high, name
    numbers = {name for name, field in FIELDS.items()
               if str(field.annotation) in ("<class 'int'>", "<class 'float'>", "int | None", "float | None")}
    assert numbers == set(RANGES)


def test_a_file_takes_the_names_of_the_flags(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("latency: 40%\nflops: 2000000\nwidth-mult: 0.5\n--batch-size: 32\nbudgets: {params: 1M}\n"
                    "require-measured: true\nwidth:\n", encoding="utf-8")
    assert read_options(file) == {"width_mult": 0.5, "batch_size": 32, "require_measured": True,
                                  "budgets": {"latency": "40%", "flops": "2000000", "params": "1M"}}


@pytest.mark.parametrize(("text", "parts"), [
    ("latensy: 40%", ["latensy", "Did you mean 'latency'?"]), ("width-mul: 1", ["Did you mean 'width-mult'?"]),
    ("width-mult: 1\nwidth_mult: 2", ["width_mult", "twice"]), ("latency: 40%\nbudgets: {latency: 50%}", ["twice"]),
    ("resume: runs/x", ["resume"]), ("epochs: yes", ["--epochs", "yes or no"]),
    ("epochs: many", ["--epochs", "'many'"]),
    ("epochs: 2.5", ["--epochs", "2.5"]), ("data: [a, b]", ["--data", "a list of 2"]), ("seed: -1", ["--seed"]),
    ("latency: 40", ["--latency", "unit"]), ("latency: [40%, 4]", ["--latency", "unit"]),
    ("latency: [8ms, 8000us]", ["8000us", "the same"]),
    ("latency: [[40%]]", ["--latency", "unit"]), ("latency: []", ["--latency", "unit"]), ("budgets: 40%", ["budgets"]),
    ("lr: .nan", ["finite"]), ("seed: 99999999999999999999999999", ["--seed"]), ("task: 1", ["--task"]),
    ("budgets: {speed: 40%}", ["speed"]), ("epochs: 1\nepochs: 2", ["twice"]), ("data: 5", ["--data", "string"]),
    ("a: &a [*a]", ["alias"]), ("target: 2020-01-01", ["2020-01-01"]),
])
def test_a_wrong_file_is_one_line_and_exit_2(text: str, parts: list[str], refusal: Refusal, tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.yaml").write_text(text + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for more in ([], ["--dry-run"]):
        message = refusal(2, "compress", "--config", "c.yaml", *more)
        assert message.count("\n") == 1
        assert [part for part in parts if part not in message] == []


def test_a_plan_is_a_config_file(tmp_path: Path, answer: Callable[..., Any], tables: Path) -> None:
    flags = ["--depth", "1", "--width-mult", "0.5", "--flops", "60%", "--latency", "80%", "--widths", "1",
             "--tables", tables, "--lr", "0.01", "--require-measured"]
    first = answer("compress", *flags, "--dry-run")
    (tmp_path / "plan.json").write_text(json.dumps(first), encoding="utf-8")
    again = answer("compress", "--config", tmp_path / "plan.json", "--dry-run")
    assert again["config"] == first["config"]
    changed = answer("compress", "--config", tmp_path / "plan.json", "--flops", "50%", "--dry-run")
    assert changed["config"]["budgets"] == {"flops": "50%", "latency": "80%"}

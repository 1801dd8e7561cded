"""Flags, units, names and config files: what is refused, and how."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from hwnas.cli.options import BUDGETS, OPTIONS, config_options
from hwnas.errors import InputError
from hwnas.pipeline import CompressConfig
from hwnas.pipeline.config_file import read_options

Refusal = Callable[..., str]


def test_every_option_of_a_run_has_a_flag() -> None:
    assert set(CompressConfig.model_fields) - {"budgets"} == set(OPTIONS) - set(BUDGETS)


@pytest.mark.parametrize("name", sorted(set(CompressConfig.model_fields) - {"budgets"}))
def test_help_shows_the_default_that_is_used(name: str) -> None:
    default = CompressConfig.model_fields[name].default
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

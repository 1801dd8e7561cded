"""The run folder: written whole, checked on reading, held by one process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from filelock import FileLock

from hwnas.errors import RunError, UnknownName, UsageError
from hwnas.pipeline import CompressConfig, RunFolder, make_config
from tests.pipeline.stage_results import data


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", CompressConfig())


def test_round_trip(run: RunFolder) -> None:
    (run.path / "a.bin").write_bytes(b"abc")
    run.finish("report", {"found": 3}, ["a.bin"], 1.5)
    again = RunFolder.open(run.path)
    assert again.state == run.state
    assert again.done("report")
    assert not again.done("profile")
    assert again.result("report") == {"found": 3}


def test_edited_run_json_is_refused(run: RunFolder) -> None:
    state = json.loads((run.path / "run.json").read_text())
    state["config"]["seed"] = 7
    (run.path / "run.json").write_text(json.dumps(state))
    with pytest.raises(RunError, match="was edited"):
        RunFolder.open(run.path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"hwnas_run": 3}', '{"hwnas_run": 1, "extra": 0}', "null"])
def test_not_a_run(run: RunFolder, text: str) -> None:
    from hwnas.errors import InputError

    (run.path / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"run\.json"):
        RunFolder.open(run.path)


def test_changed_or_missing_file_is_noticed(run: RunFolder) -> None:
    file = run.path / "a.bin"
    file.write_bytes(b"abc")
    run.finish("data", {}, ["a.bin"], 0.0)
    file.write_bytes(b"abd")
    with pytest.raises(RunError, match="was changed"):
        run.done("data")
    file.unlink()
    with pytest.raises(RunError, match="is gone"):
        run.done("data")


def test_unfinished_stage_names_the_way_out(run: RunFolder) -> None:
    with pytest.raises(RunError, match="compress --resume"):
        run.result("search")


def test_taken_folders(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--resume"):
        RunFolder.create(run.path, CompressConfig())
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious.txt").write_text("mine")
    with pytest.raises(UsageError, match="not an empty folder"):
        RunFolder.create(other, CompressConfig())
    assert (other / "precious.txt").read_text() == "mine"


def test_open_without_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run folder"):
        RunFolder.open(tmp_path)


def test_second_process_is_kept_out(run: RunFolder) -> None:
    with FileLock(run.path / ".lock"), pytest.raises(UsageError, match="another hwnas process"), run.locked():
        pass


def test_reopen_forgets(run: RunFolder) -> None:
    run.finish("data", {}, [], 0.0)
    run.reopen("data", "profile")
    assert not RunFolder.open(run.path).done("data")


def test_branch_needs_a_finished_search(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="has not finished"):
        run.branch(tmp_path / "new", CompressConfig())


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"epoch": 3}, UnknownName, "Did you mean 'epochs'"), ({"epochs": 0}, UsageError, "epochs"),
        ({"space": "moblie"}, UnknownName, "Did you mean 'mobile'"),
        ({"target": "lokal"}, UnknownName, "Did you mean 'local'"),
        ({"budgets": {"latency": "5 bananas"}}, UsageError, "--latency"),
        ({"budgets": {}}, UsageError, "at least one budget"), ({"lr": "fast"}, UsageError, "lr"),
    ],
)
def test_make_config_refuses(options: dict[str, object], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make_config(options)


def test_a_run_goes_on_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("photos", "elsewhere"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    asked = CompressConfig(data="photos", target="my.yaml", tables="tables", init="old")
    run = RunFolder.create(Path("run"), asked)
    monkeypatch.chdir(tmp_path / "elsewhere")
    config = RunFolder.open(tmp_path / "run").state.config
    assert config.data.source == str(tmp_path / "photos")
    found = config.target.name, config.target.tables, config.train.init
    assert found == tuple(str(tmp_path / n) for n in ("my.yaml", "tables", "old"))
    assert run.state.config == config
    named = CompressConfig(data="digits", target="local")
    assert named.anchored() == named


def test_moved_images_are_said_with_a_way_out(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from hwnas.pipeline.context import RunContext
    from hwnas.progress import silent

    (tmp_path / "photos").mkdir()
    run = RunFolder.create(tmp_path / "run", CompressConfig(data=str(tmp_path / "photos")))
    run.finish("data", data(), [], 0.0)
    (tmp_path / "photos").rename(tmp_path / "moved")
    with pytest.raises(RunError, match="move them back, or make a link"):
        _ = RunContext(run, silent).dataset

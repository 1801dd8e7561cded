"""spaces show; one spelling of the output in every command; what a shell completes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from hwnas.cli import completing, main
from hwnas.cli.app import make_app
from hwnas.data.recipe import recipe_names
from hwnas.documents import read_json
from hwnas.files import write_json
from hwnas.pipeline.latencies.latency_sources import WORDS
from hwnas.runtime import RUNTIMES
from hwnas.search.roles import EVALUATORS, EXECUTORS, REDUCERS, SEARCHERS
from hwnas.space import SPACES, SpaceConfig, build, space_from_json
from hwnas.space.heads import HEADS


def test_a_space_is_shown_position_by_position(answer: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    space = build(SpaceConfig("mobile", 96, 3, 6, 0.5))
    found = answer("spaces", "show", "mobile", "--imgsz", "96", "--classes", "6", "--width-mult", "0.5")
    assert space_from_json(found) == space
    facts = found["facts"]
    assert facts["flops"] == [space.smallest().flops, space.largest().flops]
    assert (facts["architectures"], facts["choices"]) == (str(space.size), len(space.choices))
    assert [p["name"] for p in facts["positions"]] == [p.name for p in space.positions]
    assert facts["positions"][-1]["writes"][0] == 6
    for before, after in zip(facts["positions"], facts["positions"][1:], strict=False):
        assert before["writes"] == after["reads"]
    assert main(["spaces", "show", "mobile", "--imgsz", "96"]) == 0
    assert "which" in capsys.readouterr().out


def test_a_space_is_written_changed_and_shown(answer: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    assert main(["spaces", "show", "mobile", "--imgsz", "64", "--head", "ssdlite", "--classes", "4", "-o",
                 str(file)]) == 0
    document = read_json(file)
    assert space_from_json(document) == build(SpaceConfig("mobile", 64, 3, 4, head="ssdlite"))
    document["positions"][4]["ops"].pop()
    write_json(file, document)
    found = answer("spaces", "show", str(file))
    assert space_from_json(found).sizes[2] == 6
    larger = answer("spaces", "show", str(file), "--imgsz", "96", "--channels", "1")
    assert larger["input"] == [1, 96, 96]
    wide = answer("spaces", "show", "tests.space.own_spaces:wide_kernels", "--imgsz", "64", "--classes", "3")
    assert (wide["name"], wide["classes"]) == ("tests.space.own_spaces:wide_kernels", 3)


def test_spaces_of_other_packages_are_listed(answer: Callable[..., Any], tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    information = tmp_path / "their_spaces-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: their-spaces\nVersion: 1.0\n", encoding="utf-8")
    (information / "entry_points.txt").write_text(
        "[hwnas.spaces]\ntheirs = tests.space.own_spaces:wide_kernels\nbroken = tests.space.own_spaces:fails\n",
        encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = {space["name"]: space for space in answer("spaces")}
    assert set(found) == {*SPACES, "theirs", "broken"}
    assert found["theirs"]["about"] == "Kernels 3 and 9 in a chain; obeys every parameter."
    assert "it rains" in found["broken"]["error"]
    assert main(["spaces"]) == 0


@pytest.mark.parametrize("words", [["show", "mobil"], ["show"], ["show", "nothing.json"], ["show", "nothing:at_all"],
                                   ["show", "tests.space.own_spaces:fails"], ["show", "mobile", "--imgsz", "4"],
                                   ["show", "mobile", "--head", "fcs"]])
def test_what_is_no_space_is_refused(words: list[str], refusal: Callable[..., str]) -> None:
    refusal(2, "spaces", *words)


@pytest.mark.parametrize("name", SPACES)
def test_every_space_can_be_shown(name: str) -> None:
    assert main(["spaces", "show", name]) == 0


def _commands(command: Any, path: str = "hwnas") -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, f"{path} {name}")


def test_the_output_is_spelled_the_same_everywhere() -> None:
    found = {path: set(p.opts) for path, command in _commands(get_command(make_app())) for p in command.params
             if "--out" in p.opts}
    assert len(found) >= 9
    assert {path: opts for path, opts in found.items() if opts != {"-o", "--out", "--output"}} == {}


def test_completed_names_are_those_of_the_registries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tuple(SPACES) == completing.SPACES
    assert set(completing.CHOICES["runtime"]) == set(RUNTIMES)
    assert set(completing.CHOICES["precision"]) == set(WORDS)
    assert set(completing.CHOICES["head"]) == set(HEADS)
    assert set(completing.RECIPES) == set(recipe_names("classify"))
    assert completing.recipes("photo-") == ["photo-long"]
    for name, plugins in (("evaluator", EVALUATORS), ("executor", EXECUTORS), ("reduce", REDUCERS),
                          ("searcher", SEARCHERS)):
        assert set(completing.CHOICES[name]) == set(plugins.table)
    assert completing.targets("raspberry") == ["raspberry-pi-4", "raspberry-pi-5"]
    assert "migo" in completing.strategies("mi")
    (tmp_path / "mine.json").write_text("{}", encoding="utf-8")
    assert completing.spaces(f"{tmp_path}/mi") == [f"{tmp_path}/mine.json"]
    assert completing.spaces("mob") == ["mobile"]
    points = {"hwnas.spaces": ["mobster"], "hwnas.evaluators": ["by_hand"], "hwnas.reducers": ["more", "nothing"]}
    monkeypatch.setattr("importlib.metadata.entry_points", lambda *, group: [
        EntryPoint(name, "x:y", group) for name in points.get(group, [])])
    assert completing.spaces("mob") == ["mobile", "mobster"]
    for flag, begun, names in (("evaluator", "", ["bn", "partial", "scratch", "shared", "table", "by_hand"]),
                               ("reduce", "m", ["migo", "more"]), ("runtime", "openvino-n", ["openvino-npu"])):
        complete = completing.completion_of(flag)
        assert complete is not None
        assert complete(begun) == names
    (tmp_path / "hwnas-runs" / "a").mkdir(parents=True)
    (tmp_path / "hwnas-runs" / "a" / "run.json").write_text("{}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert completing.runs("") == completing.runs("hwnas-runs/") == ["hwnas-runs/a"]


def test_a_shell_gets_its_answer(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_HWNAS_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "hwnas compress --target rasp")
    monkeypatch.setenv("COMP_CWORD", "3")
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 0
    assert capsys.readouterr().out.split() == ["raspberry-pi-4", "raspberry-pi-5"]
    assert os.environ["_HWNAS_COMPLETE"]

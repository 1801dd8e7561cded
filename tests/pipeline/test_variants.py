"""Networks with a share of the reference's channels or pixels, from the search to the exported model."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from hwnas.cli import main
from hwnas.errors import BudgetInfeasible, UsageError
from hwnas.export.metadata import read_metadata
from hwnas.latency import Entry, Table, table_path
from hwnas.pipeline import ArchitectureSolver, RunFolder, compress, make_config, pick, retarget
from hwnas.pipeline.config.budget import parse_all
from hwnas.pipeline.selection.queries import best_of, front_of
from hwnas.pipeline.task_setup import spaces_of, widths_of
from hwnas.space import FULL, SpaceConfig, Variant, build, scaled
from hwnas.target import load

HALF = Variant(0.5)


@pytest.fixture(scope="module")
def run(small: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunFolder]:
    """A finished run that could choose between all and half of the channels; nothing of it is timed."""
    threads = torch.get_num_threads()
    yield compress(tmp_path_factory.mktemp("widths") / "run", budgets={"flops": "50%"}, widths="0.5",
                   target="raspberry-pi-4", **small)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def solvers(run: RunFolder) -> dict[Variant, ArchitectureSolver]:
    return ArchitectureSolver.all_of_run(run)


def test_every_width_is_tried(run: RunFolder) -> None:
    tried = {c["variant"] for c in run.result("generate")["candidates"] if c["trial"]}
    assert tried == {"1", "0.5"}
    assert run.result("data")["variants"] == ["1", "0.5"]
    assert set(run.result("search")["offsets"]) == {"0.5"}
    assert run.lane().variants == {"0.5": "latency-w0.5.json"}
    run.check_file("profile", "latency-w0.5.json")


def test_what_ships_has_the_width_that_was_chosen(run: RunFolder) -> None:
    chosen, solver = run.result("generate"), ArchitectureSolver.of_run(run)
    assert solver.variant.key == chosen["variant"]
    told = read_metadata((run.path / "model.onnx").read_bytes())["architecture"]["space"]
    assert told["width_mult"] == solver.variant.width
    facts = json.loads((run.path / "report.json").read_text())
    assert facts["variant"] == {"width": solver.variant.width, "imgsz": told["imgsz"], "told": solver.variant.told}
    assert {f["kind"] for f in facts["finalists"]} == {"fp32", "fp32 at width 0.5"}
    assert main(["verify", str(run.path)]) == 0


def test_percentages_are_of_the_reference_with_all_channels(run: RunFolder,
                                                            solvers: dict[Variant, ArchitectureSolver]) -> None:
    largest = solvers[FULL].space.largest()
    assert solvers[HALF].reference == largest
    half = parse_all(dict.fromkeys(("flops", "params", "memory", "latency"), "50%"))
    assert solvers[HALF].absolute(half) == solvers[FULL].absolute(half)
    assert solvers[HALF].space.largest().flops < 0.5 * largest.flops


def test_the_best_of_all_widths_against_brute_force(solvers: dict[Variant, ArchitectureSolver]) -> None:
    reference = solvers[FULL].reference.flops
    live = [[k for k, alive in enumerate(row) if alive] for row in solvers[FULL].distribution.live]
    everything = [solver.answer(choice) for solver in solvers.values() for choice in itertools.product(*live)]
    for share in (0.05, 0.1, 0.2, 0.4, 0.8):
        within = [a for a in everything if a.costs["flops"] <= share * reference]
        if not within:
            with pytest.raises(BudgetInfeasible):
                best_of(solvers, {"flops": share * reference})
            continue
        best = max(a.predicted_score for a in within)
        found = best_of(solvers, {"flops": share * reference}, top=3)
        assert found[0].predicted_score == pytest.approx(best)
        assert all(a.costs["flops"] <= share * reference for a in found)


def test_the_front_of_all_widths_against_brute_force(solvers: dict[Variant, ArchitectureSolver]) -> None:
    points = front_of(solvers)
    assert [p.latency_ns for p in points] == sorted({p.latency_ns for p in points})
    every = [(p.cost, solver.baseline + p.utility) for solver in solvers.values() for p in solver.front()]
    for cost, accuracy in every:
        assert any(p.latency_ns <= cost and p.predicted_score >= accuracy for p in points)
    for point in points:
        assert not any(c <= point.latency_ns and a > point.predicted_score for c, a in every)


def test_a_budget_that_all_channels_cannot_meet(run: RunFolder, solvers: dict[Variant, ArchitectureSolver],
                                                tmp_path: Path) -> None:
    full = solvers[FULL].space
    share = 95 * full.smallest().flops / full.largest().flops
    with pytest.raises(BudgetInfeasible):
        solvers[FULL].answers(solvers[FULL].absolute({}) | {"flops": share / 100 * full.largest().flops})
    (found,) = pick(run.path, {"flops": f"{share:.3f}%"})
    assert found.architecture.space == scaled(full, HALF)
    done = retarget(run.path, tmp_path / "tight", {"flops": f"{share:.3f}%"})
    assert done.result("generate")["variant"] == "0.5"
    assert done.result("generate")["out"]["fp32"] == "no architecture is predicted within the budget"
    assert done.result("export")["verdict"]["within_budget"]


@pytest.mark.slow
def test_what_is_timed_has_its_width(small: dict[str, Any], tmp_path: Path) -> None:
    """On this machine: blocks of both widths in one table, a latency model each, candidates of both measured."""
    done = compress(tmp_path / "run", budgets={"latency": "70%"}, widths="0.5", **small)
    table = Table.read(done.path / "table.jsonl")
    for solver in ArchitectureSolver.all_of_run(done).values():
        assert not table.missing(solver.space.signatures)
    timed = [c for c in done.result("generate")["candidates"] if c["measured_ms"]]
    assert {c["variant"] for c in timed} == {"1", "0.5"}
    assert done.result("export")["verdict"]["within_budget"]


def test_generate_says_the_width(run: RunFolder, solvers: dict[Variant, ArchitectureSolver],
                                 capsys: pytest.CaptureFixture[str]) -> None:
    full = solvers[FULL].space
    share = f"{95 * full.smallest().flops / full.largest().flops:.3f}%"
    assert main(["generate", str(run.path), "--flops", share, "--front", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["picks"][0]["variant"] == "0.5"
    assert {point["variant"] for point in told["front"]} <= {"1", "0.5"}
    assert main(["generate", str(run.path), "--flops", share]) == 0
    assert "width 0.5: " in capsys.readouterr().out


@pytest.mark.parametrize(("given", "expected"), [
    ({}, ()), ({"widths": "1"}, ()), ({"widths": "0.5, 0.75,1"}, (0.75, 0.5)), ({"widths": (0.25,)}, (0.25,)),
])
def test_the_widths_of_a_config(given: dict[str, Any], expected: tuple[float, ...]) -> None:
    assert widths_of(make_config(given)) == expected


def test_detectors_have_widths_by_default() -> None:
    assert widths_of(make_config({"task": "detect", "data": "x"})) == (0.75, 0.5)


@pytest.mark.parametrize("wrong", ["half", "0", "1.5", "0.5,,0.25", "-0.5"])
def test_what_is_no_width(wrong: str) -> None:
    with pytest.raises(UsageError, match="widths"):
        make_config({"widths": wrong})


def test_a_width_without_a_table_is_left_out_where_the_reference_has_one(small: dict[str, Any], tmp_path: Path) -> None:
    """Latencies of two sources cannot be held against each other."""
    target = load("raspberry-pi-4")
    asked = {**small, "tables": str(tmp_path / "tables"), "target": "raspberry-pi-4", "widths": "0.5"}
    first = compress(tmp_path / "first", budgets={"latency": "90%"}, until="data", **asked)
    space = build(SpaceConfig.from_json(first.result("data")["space"]))
    table = Table.open(table_path(tmp_path / "tables", target), target, {"cpu": "of the board"}, source="imported")
    table.add(Entry(signature, 0.1, 0.1, 0.1, 8, "") for signature in space.signatures)
    done = compress(tmp_path / "run", budgets={"latency": "90%"}, until="profile", **asked)
    assert done.lane().source == "imported"
    assert done.lane().variants == {}
    assert any("width 0.5 is left out: its latencies are estimated" in w and "--widths 0.5" in w
               for w in done.lane().warnings)


@pytest.fixture(scope="module")
def small_boxes(boxes: Path, tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A detector that could choose between images 64 px and 32 px high; the budget leaves it no other."""
    asked = {**tiny, "width": 128, "widths": "1", "sizes": "32", "tables": str(tmp_path_factory.mktemp("tables"))}
    return compress(tmp_path_factory.mktemp("sizes") / "run", task="detect", data=str(boxes),
                    target="raspberry-pi-4", budgets={"flops": "24%"}, **asked)


def test_a_detector_may_take_smaller_images(small_boxes: RunFolder) -> None:
    """Everything that is about the result is about its size, and everything about the reference about that of it."""
    run, chosen = small_boxes, small_boxes.result("generate")
    assert chosen["variant"] == "1@32"
    assert chosen["out"] == {"fp32": "no architecture is predicted within the budget"}
    told = read_metadata((run.path / "model.onnx").read_bytes())
    assert told["architecture"]["space"]["imgsz"] == 32
    assert told["architecture"]["space"]["width"] == 64
    assert told["detection_head"]["size"] == [32, 64]
    assert read_metadata((run.path / "reference.onnx").read_bytes())["detection_head"]["size"] == [64, 128]
    verdict = run.result("export")["verdict"]
    assert verdict["failures"] == []
    assert verdict["accuracy"] == pytest.approx(run.result("finetune")["accuracy"], abs=0.1)
    facts = json.loads((run.path / "report.json").read_text())
    assert facts["variant"] == {"width": 1.0, "imgsz": 32, "told": "32 px"}
    assert "takes images 32 px high" in (run.path / "report.html").read_text()


def test_a_result_for_smaller_images_is_checked_and_used_by_itself(small_boxes: RunFolder, boxes: Path,
                                                                   tmp_path: Path) -> None:
    assert main(["verify", str(small_boxes.path)]) == 0
    assert main(["verify", str(small_boxes.path / "model.onnx"), "--data", str(boxes)]) == 0
    picture = next((boxes / "images").glob("val*.png"))
    assert main(["predict", str(small_boxes.path / "model.onnx"), str(picture), "-o", str(tmp_path / "out")]) == 0
    assert list((tmp_path / "out").iterdir())


def test_a_search_with_sizes_goes_on_where_it_was_cut(small_boxes: RunFolder, boxes: Path, tmp_path: Path) -> None:
    found = retarget(small_boxes.path, tmp_path / "again", {"flops": "100%"})
    assert {c["variant"] for c in found.result("generate")["candidates"]} == {"1", "1@32"}


@pytest.mark.parametrize(("given", "expected"), [
    ({}, ["1"]), ({"sizes": "64"}, ["1"]), ({"sizes": "32,48", "widths": "0.5"}, ["1", "0.5", "1@48", "0.5@48", "1@32",
                                                                                 "0.5@32"]),
])
def test_the_variants_of_a_config(given: dict[str, Any], expected: list[str]) -> None:
    space = build(SpaceConfig("ofa", 64, 3, 10))
    assert [v.key for v in spaces_of(make_config(given), space)] == expected


@pytest.mark.parametrize(("wrong", "rule"), [
    ({"sizes": "small"}, "sizes"), ({"sizes": "0"}, "sizes"), ({"sizes": "64.5"}, "sizes"),
    ({"task": "segment", "data": "x", "sizes": "64"}, "--sizes is not for --task segment: a mask is as large"),
])
def test_what_are_no_sizes(wrong: dict[str, Any], rule: str) -> None:
    with pytest.raises(UsageError, match=rule):
        make_config(wrong)


@pytest.mark.slow
def test_profile_measures_what_a_compress_would_ask_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["profile", "--head", "fcos", "--imgsz", "64", "--depth", "1", "--width-mult", "0.25", "--classes", "2",
             "--tables", str(tmp_path), "--max-seconds", "4", "--json"]  # one second was too short beside other work
    assert main([*asked, "--widths", "0.5", "--sizes", "32"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["variants"]) == {"0.5", "1@32", "0.5@32"}
    assert told["variants"]["1@32"]["largest_ms"] < told["largest_ms"]
    assert main([*asked, "--widths", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["measured"] == 0

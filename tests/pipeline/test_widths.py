"""Networks with a share of the reference's channels, from the search to the exported model."""

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
from hwnas.pipeline import Picker, RunFolder, compress, make_config, pick, retarget
from hwnas.pipeline.material import widths_of
from hwnas.pipeline.picking import best_of, front_of
from hwnas.space import SpaceConfig, build, thinner
from hwnas.target import load


@pytest.fixture(scope="module")
def run(small: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunFolder]:
    """A finished run that could choose between all and half of the channels; nothing of it is timed."""
    threads = torch.get_num_threads()
    yield compress(tmp_path_factory.mktemp("widths") / "run", budgets={"flops": "50%"}, widths="0.5",
                   target="raspberry-pi-4", **small)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def pickers(run: RunFolder) -> dict[float, Picker]:
    return Picker.all_of_run(run)


def test_every_width_is_tried(run: RunFolder) -> None:
    tried = {c["width"] for c in run.result("generate")["candidates"] if c["trial"]}
    assert tried == {1.0, 0.5}
    assert run.result("data")["widths"] == [1.0, 0.5]
    assert set(run.result("search")["offsets"]) == {"0.5"}
    assert run.lane()["widths"] == {"0.5": "latency-w0.5.json"}
    run.check_file("profile", "latency-w0.5.json")


def test_what_ships_has_the_width_that_was_chosen(run: RunFolder) -> None:
    chosen, picker = run.result("generate"), Picker.of_run(run)
    assert picker.width == chosen["width"]
    told = read_metadata((run.path / "model.onnx").read_bytes())["architecture"]["space"]
    assert told["width_mult"] == chosen["width"]
    facts = json.loads((run.path / "report.json").read_text())
    assert facts["width"] == chosen["width"]
    assert {f["kind"] for f in facts["finalists"]} == {"fp32", "fp32 at width 0.5"}
    assert main(["verify", str(run.path)]) == 0


def test_percentages_are_of_the_reference_with_all_channels(run: RunFolder, pickers: dict[float, Picker]) -> None:
    largest = pickers[1.0].space.largest()
    assert pickers[0.5].reference == largest
    for name in ("flops", "params", "memory", "latency"):
        assert pickers[0.5]._reference(name) == pickers[1.0]._reference(name)
    assert pickers[0.5].space.largest().flops < 0.5 * largest.flops


def test_the_best_of_all_widths_against_brute_force(pickers: dict[float, Picker]) -> None:
    reference = pickers[1.0].reference.flops
    live = [[k for k, alive in enumerate(row) if alive] for row in pickers[1.0].distribution.live]
    everything = [picker.answer(choice) for picker in pickers.values() for choice in itertools.product(*live)]
    for share in (0.05, 0.1, 0.2, 0.4, 0.8):
        within = [a for a in everything if a.costs["flops"] <= share * reference]
        if not within:
            with pytest.raises(BudgetInfeasible):
                best_of(pickers, {"flops": share * reference})
            continue
        best = max(a.predicted_accuracy for a in within)
        found = best_of(pickers, {"flops": share * reference}, top=3)
        assert found[0].predicted_accuracy == pytest.approx(best)
        assert all(a.costs["flops"] <= share * reference for a in found)


def test_the_front_of_all_widths_against_brute_force(pickers: dict[float, Picker]) -> None:
    points = front_of(pickers)
    assert [p.latency_ns for p in points] == sorted({p.latency_ns for p in points})
    every = [(p.cost, picker.baseline + p.utility) for picker in pickers.values() for p in picker.front()]
    for cost, accuracy in every:
        assert any(p.latency_ns <= cost and p.predicted_accuracy >= accuracy for p in points)
    for point in points:
        assert not any(c <= point.latency_ns and a > point.predicted_accuracy for c, a in every)


def test_a_budget_that_all_channels_cannot_meet(run: RunFolder, pickers: dict[float, Picker], tmp_path: Path) -> None:
    full = pickers[1.0].space
    share = 95 * full.smallest().flops / full.largest().flops
    with pytest.raises(BudgetInfeasible):
        pickers[1.0].answers(pickers[1.0].absolute({}) | {"flops": share / 100 * full.largest().flops})
    (found,) = pick(run.path, {"flops": f"{share:.3f}%"})
    assert found.architecture.space == thinner(full, 0.5)
    done = retarget(run.path, tmp_path / "tight", {"flops": f"{share:.3f}%"})
    assert done.result("generate")["width"] == 0.5
    assert done.result("generate")["out"]["fp32"] == "no architecture is predicted within the budget"
    assert done.result("export")["verdict"]["within_budget"]


@pytest.mark.slow
def test_what_is_timed_has_its_width(small: dict[str, Any], tmp_path: Path) -> None:
    """On this machine: blocks of both widths in one table, a latency model each, candidates of both measured."""
    done = compress(tmp_path / "run", budgets={"latency": "70%"}, widths="0.5", **small)
    table = Table.read(done.path / "table.jsonl")
    for picker in Picker.all_of_run(done).values():
        assert not table.missing(picker.space.signatures)
    timed = [c for c in done.result("generate")["candidates"] if c["measured_ms"]]
    assert {c["width"] for c in timed} == {1.0, 0.5}
    assert done.result("export")["verdict"]["within_budget"]


def test_generate_says_the_width(run: RunFolder, pickers: dict[float, Picker],
                                 capsys: pytest.CaptureFixture[str]) -> None:
    full = pickers[1.0].space
    share = f"{95 * full.smallest().flops / full.largest().flops:.3f}%"
    assert main(["generate", str(run.path), "--flops", share, "--front", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["picks"][0]["width"] == 0.5
    assert {point["width"] for point in told["front"]} <= {1.0, 0.5}
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
    space = build(SpaceConfig(**first.result("data")["space"]))
    table = Table.open(table_path(tmp_path / "tables", target), target, {"cpu": "of the board"}, source="imported")
    table.add(Entry(signature, 0.1, 0.1, 0.1, 8, "") for signature in space.signatures)
    done = compress(tmp_path / "run", budgets={"latency": "90%"}, until="profile", **asked)
    assert done.lane()["source"] == "imported"
    assert done.lane()["widths"] == {}
    assert any("width 0.5 is left out: its latencies are estimated" in w and "--width-mult 0.5" in w
               for w in done.lane()["warnings"])

"""A network of several precisions, from the tables to the report: what ships is what was chosen, place by place.

Which precision pays is up to the machine that the tests run on. Here the tables are bent so that int8 pays where there
is a choice and nowhere else; everything that is made, timed and judged is real.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from hwnas.deploy.bundle_writer import deploy_run
from hwnas.errors import RunError, UsageError
from hwnas.export import read_metadata
from hwnas.latency import MixedPrecisionModel
from hwnas.pipeline import RunFolder, compress, pick, resume
from hwnas.pipeline.exported.checking import check_model
from hwnas.pipeline.latencies.latency_sources import mixed_of, targets_for
from hwnas.pipeline.latencies.mixed import MixedLatencies, mixed_latencies
from hwnas.pipeline.selection import model_selector
from hwnas.pipeline.selection.candidates import Candidate
from hwnas.pipeline.selection.model_selector import ModelSelector
from hwnas.pipeline.stages import export, profile
from hwnas.profile import network_model
from hwnas.quantize import in_precisions, to_form
from hwnas.quantize.positions import position_of
from hwnas.runtime import open_runtime
from hwnas.runtime.onnxruntime import OnnxRuntime
from hwnas.space import FULL, SpaceConfig, build


def bent(*given: Any, **options: Any) -> MixedLatencies:
    """Choices pay in int8 and what is fixed in fp32: the other precision takes 40 times as long."""
    found = mixed_latencies(*given, **options)
    space = given[0][FULL]
    ops = {op.signature for choice in space.choices for op in choice.ops}

    def model(of: MixedPrecisionModel) -> MixedPrecisionModel:
        models = {p: replace(m, entries_ms={
            s: ms * (40 if (p == "fp32") == (s in ops) else 1) for s, ms in m.entries_ms.items()})
            for p, m in of.models.items()}
        return MixedPrecisionModel(models, dict.fromkeys(of.changes_ms, 1e-6))

    return replace(found, models={variant: model(one) for variant, one in found.models.items()})


@pytest.fixture(scope="module")
def mixed(finished: RunFolder, small: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunFolder]:
    """A finished run whose only finalist is of several precisions; the plain one is made before anything is bent."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profile, "mixed_latencies", bent)
        patch.setattr(ModelSelector, "_finalists", lambda self, ranked: [c for c in ranked if c.precision == "mixed"])
        patch.setattr(Candidate, "slower_than_fp32", False)
        patch.setattr(export, "_gains_nothing", lambda *of: False)
        patch.setattr(export, "_costs_too_much", lambda of: False)
        yield compress(tmp_path_factory.mktemp("mixed") / "run", precision="mixed",
                       budgets={"latency": "300%", "memory": "300%"}, **{**small, "epochs": 2, "limit": 400})
    torch.set_num_threads(threads)


pytestmark = pytest.mark.slow


def test_pairs_stand_around_the_lowered_positions_alone(mixed: RunFolder) -> None:
    precisions = mixed.result("generate")["precisions"]
    assert {*precisions.values()} == {"fp32", "int8"}
    model = onnx.load(mixed.path / "model.onnx")
    made_of = {name: node.op_type for node in model.graph.node for name in node.output}
    seen = set()
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            seen.add(position := position_of(node))
            x, weights = (made_of.get(name) == "DequantizeLinear" for name in node.input[:2])
            assert weights == (precisions[position] == "int8"), position
            assert x or not weights, position  # floats may read what integers made
    assert seen >= {name for name, p in precisions.items() if p == "int8"} - {"none"}
    assert "QuantizeLinear" not in {node.op_type for node in onnx.load(mixed.path / "model-fp32.onnx").graph.node}


def test_it_is_checked_like_any_other(mixed: RunFolder) -> None:
    found = mixed.result("export")
    assert found["precision"] == found["verdict"]["precision"] == "mixed"
    assert found["exact"]["max_difference"] <= 1e-4
    assert found["exact"]["agreement"] == 100.0
    assert found["verdict"]["loss"] is not None
    assert found["verdict"]["latency"]["median_ms"] <= found["budget_ms"]
    assert set(found["references"]) == {"int8"}
    facts = read_metadata((mixed.path / "model.onnx").read_bytes())
    assert facts["precision"] == facts["target"]["precision"] == "mixed"
    assert facts["precisions"] == mixed.result("generate")["precisions"]
    check = check_model(mixed.path)
    assert check.verdict.precision == "mixed"
    assert check.verdict.failures() == [] or check.verdict.loss is not None
    with pytest.raises(UsageError, match="exported in mixed and cannot be run in fp32"):
        check_model(mixed.path, overrides={"precision": "fp32"})


def test_all_compete_in_one_run(mixed: RunFolder) -> None:
    generated = mixed.result("generate")
    kinds = {c["precision"] for c in generated["candidates"]}
    assert kinds >= {"fp32", "int8", "mixed"} - {*generated["out"]}
    for c in generated["candidates"]:
        assert (c["lowered"] is not None) == (c["precision"] == "mixed")
        assert c["measured_ms"] > 0
    assert set(generated["references_ms"]) == {"fp32", "int8"}
    lines = [json.loads(line) for line in (mixed.path / "sensitivity.jsonl").read_text().splitlines()]
    assert {line["precision"] for line in lines} == {"int8"}
    whole = next(line for line in lines if line["place"] == "")
    assert whole["loss"] >= max(line["loss"] for line in lines) / 10
    assert len({line["loss"] for line in lines}) > 2


def test_the_page_says_what_has_which_precision(mixed: RunFolder) -> None:
    page, report = (mixed.path / "report.html").read_text(), json.loads((mixed.path / "report.json").read_text())
    named = [name for name, p in mixed.result("generate")["precisions"].items() if p == "int8"]
    assert report["precisions"]["ships"] == "mixed"
    assert f"int8: {', '.join(named)}" in report["precisions"]["positions"]
    assert f"int8: {', '.join(named)}" in page
    assert report["provenance"]["target"]["precision"] == "mixed"


def test_pick_answers_with_the_precisions_of_every_position(mixed: RunFolder) -> None:
    first, *_ = pick(mixed.path, {"latency": "300%"}, top=3)
    assert first.precisions is not None
    assert {*first.precisions} == {p.name for p in first.architecture.space.positions}
    assert first.costs["latency"] <= 3 * mixed.state.reference.latency_ms * 1e6  # type: ignore[union-attr]
    [plain] = pick(mixed.path, {"latency": "300%"}, precision="int8")
    assert plain.precisions is None


def test_what_was_killed_while_places_were_tried_goes_on(mixed: RunFolder, tmp_path: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "run"
    shutil.copytree(mixed.path, copy)
    run = RunFolder.open(copy)
    run.reopen("generate", "finetune", "export", "report")
    path = copy / "sensitivity.jsonl"
    every = path.read_text().splitlines()
    path.write_text("\n".join(every[:2]) + "\n" + every[2][:10])  # torn in the middle of a line
    monkeypatch.setattr(ModelSelector, "_finalists", lambda self, ranked: ranked[:1])
    resume(copy, until="generate")
    again = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    assert [line["place"] for line in again] == [json.loads(line)["place"] for line in every]
    assert again[:2] == [json.loads(line) for line in every[:2]]


def test_a_branch_takes_it_over_and_a_bundle_carries_it(mixed: RunFolder, tmp_path: Path,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    from hwnas.pipeline.job import branch

    found = branch(mixed.path, tmp_path / "branch", {"latency": "250%"}, "mixed")
    assert found.precisions == ("fp32", "int8", "mixed")
    assert branch(mixed.path, tmp_path / "plain", {"latency": "250%"}, "fp32").precisions == ("fp32",)
    deploy_run(mixed, tmp_path / "bundle")
    facts = json.loads((tmp_path / "bundle" / "model.json").read_text())
    assert facts["target"]["precision"] == "mixed"


def test_mixed_is_refused_where_a_network_has_one_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [t.precision for t in targets_for("local", "mixed")] == ["fp32", "int8"]
    assert [t.precision for t in targets_for("local", "int8,fp32")] == ["fp32", "int8"]
    with pytest.raises(UsageError, match="jetson-orin-nano is another"):
        targets_for("jetson", "mixed")
    monkeypatch.setattr(OnnxRuntime, "together", ("fp32",))
    with pytest.raises(UsageError, match="computes a network in one precision"):
        targets_for("local", "mixed")


def test_auto_goes_on_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from hwnas.pipeline.config.make_config import make_config

    config = make_config({"data": "digits", "budgets": {"latency": "50%"}, "precision": "auto"})
    assert mixed_of(config)[0] == ("fp32", "int8")
    monkeypatch.setattr(OnnxRuntime, "together", ("fp32",))
    assert mixed_of(config) == ((), "onnxruntime computes a network in one precision: choose of fp32, int8, or auto")
    assert mixed_of(make_config({"data": "digits", "budgets": {"latency": "50%"}, "precision": "int8"})) == ((), None)


def test_a_run_that_measured_no_changes_says_so(finished: RunFolder) -> None:
    with pytest.raises(RunError, match="knows no latencies of networks of several precisions"):
        model_selector.solvers_in(finished, "mixed")


def test_all_positions_lowered_are_the_network_lowered() -> None:
    """Whole: the same answers as quantising all of it; none: the same bytes."""
    space = build(SpaceConfig("nasbench201", 16, 3, 10, depth=1))
    model = network_model(space.largest(), batch=2)
    assert in_precisions(model, {}) == model
    every = dict.fromkeys((p.name for p in space.positions), "int8")
    runtime = open_runtime("onnxruntime", precision="mixed")
    sessions = [runtime.load(of) for of in (in_precisions(model, every), to_form(model, "int8"))]
    x = sessions[0].example()
    assert np.array_equal(*(session.run(x)[0] for session in sessions))
    stem = onnx.load_from_string(in_precisions(model, {"stem": "int8"}))
    makers = {name: node.op_type for node in stem.graph.node for name in node.output}
    of = {position_of(node) for node in stem.graph.node if node.op_type == "Conv"
          and makers.get(node.input[1]) == "DequantizeLinear"}
    assert of == {"stem"}

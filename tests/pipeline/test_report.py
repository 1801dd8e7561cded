"""The report of a finished run: what it says is what the stages left, and the page stands alone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jinja2 import Environment

from hwnas.errors import RunError
from hwnas.files import write_json
from hwnas.latency import Calibration, LatencyModel
from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.report import page
from hwnas.pipeline.report.axes import Canvas, score_span, span, ticks
from hwnas.pipeline.report.contents import FrontPoint
from hwnas.pipeline.report.facts import NEEDED, write_report
from hwnas.pipeline.report.hover import shown
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.reference import Reference
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.runtime import Measurement
from hwnas.search.distribution import Distribution
from hwnas.search.log import Evaluation, Failure, SearchLog
from hwnas.space import Space, SpaceConfig, build
from hwnas.tasks.breakdown import Breakdown, difference
from hwnas.tasks.classify import AccuracyMetric

NASTY = "<script>alert(1)</script> & \"co\""
VOID = {"meta", "link", "br", "img", "input", "hr", "path", "polyline", "polygon", "rect"}
BASELINE = 90.0
Maker = Callable[..., RunFolder]


def space() -> Space:
    return build(SpaceConfig("mobile", 16, 1, 3, depth=2))


def law(of: Space) -> Distribution:
    """Op 0 of every choice is dead; effects are different everywhere."""
    live = [np.arange(n) > 0 for n in of.sizes]
    effects = [np.linspace(0.1 * i - 0.75, 0.1 * i + 0.75, n) for i, n in enumerate(of.sizes)]
    weights = [np.where(mask, 1.0 / mask.sum(), 0.0) for mask in live]
    return Distribution(weights, live, effects, [np.full(n, 0.2) for n in of.sizes])


def timing(median: float) -> dict[str, float]:
    return {"median_ms": median, "p10_ms": 0.97 * median, "p90_ms": 1.11 * median, "runs": 200}


def epochs(first: float) -> list[dict[str, float]]:
    return [{"epoch": i, "loss": first / (i + 1), "val_accuracy": 80.0 + i, "seconds": 1.5} for i in range(3)]


def verdict(accuracy: float, latency: float, budget: float | None) -> dict[str, Any]:
    return {"max_difference": 2.5e-6, "agreement": 100.0, "accuracy": accuracy, "images": 200,
            "latency": timing(latency), "budget_ms": budget, "within_budget": True, "failures": []}


def data_result(of: Space) -> dict[str, Any]:
    classes = {name: {"train": 20 + i, "val": 5} for i, name in enumerate(("cat", NASTY, "owl"))}
    described = {"name": "pets", "source": "/data/private/pets", "imgsz": 16, "channels": 1, "train": 63, "val": 15,
                 "split": "folders train and val", "classes": classes}
    return {
        "data": described, "fingerprint": "00112233aabbccdd", "summary": f"pets: 3 classes, one of them {NASTY}",
        "space": {**of.config.__dict__}, "choices": len(of.choices), "size": str(of.size),
        "target": {"name": "local", "description": "", "runtime": "onnxruntime", "precision": "fp32", "batch": 1,
                   "threads": 1},
        "budgets": {"latency": "50%"},
    }


def profile_result(held_out: dict[str, float]) -> dict[str, Any]:
    return {"target": "local/onnxruntime-fp32-b1-t1", "space": "mobile", "measured": 0, "networks": 0, "seconds": 0.0,
            "calibration": {}, "held_out": held_out, "table_hash": "feed" * 16, "reference_ms": 0.2,
            "smallest_ms": 0.05,
            "device": {"cpu": "Test CPU", "flags": [], "cores": 2, "system": "Linux", "machine": "x86_64",
                       "python": "3.11", "runtime": "onnxruntime", "runtime_version": "1.2.3"}}


def evaluations(of: Space, settle: int) -> list[Evaluation]:
    rng = np.random.default_rng(0)
    phases = [("train", i) for i in range(6)] + [("settle", i) for i in range(settle)]
    return [Evaluation(p, i, of.sample(rng).choice, 85.0 + i, 0.5) for p, i in phases]


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    """A finished run, written stage by stage with the results that the stages write."""

    def made(budgets: dict[str, str] | None = None, *, settle: int = 4, held_out: bool = True,
             leave_out: str = "", parts: tuple[Breakdown, Breakdown] | None = None,
             options: dict[str, Any] | None = None, lines: Sequence[Evaluation | Failure] = (),
             **changes: Any) -> RunFolder:
        of = space()
        config = CompressConfig(data="/data/private/pets", budgets=budgets or {"latency": "50%"}, settle=settle,
                                seed=7, **(options or {}))
        run = RunFolder.create(tmp_path / "run", config)
        checked = {"networks": 10, "mape": 1.25, "bias": -0.5, "within_5": 100.0, "within_10": 100.0,
                   "kendall_tau": 0.956}
        model = LatencyModel("local", "measured", {s: 0.001 * (i + 3) for i, s in enumerate(of.signatures)},
                             Calibration("affine", 0.95, 0.004, 0.0, 0.04, networks=10, loo_mape=1.5,
                                         held_out=checked), "feed" * 16)
        distribution = law(of)
        solver = ArchitectureSolver(of, distribution, model, BASELINE)
        choice = [1 + i % 2 for i in range(len(of.sizes))]
        chosen = of.architecture(choice)
        write_json(run.path / "latency.json", model.to_json())
        write_json(run.path / "distribution.json", distribution.to_json())
        write_json(run.path / "front.json", solver.front().to_json())
        write_json(run.path / "architecture.json", chosen.to_json())
        log = SearchLog(run.path / "search.jsonl")
        for entry in lines or evaluations(of, settle):
            log.append(entry)
        limited = "latency" in config.budgets
        costs = {n: solver.cost(n, chosen) for n in ("latency", "flops", "params", "memory")}
        results: dict[str, tuple[dict[str, Any], list[str]]] = {
            "data": (data_result(of), []),
            "profile": (profile_result(checked if held_out else {}), ["latency.json"]),
            "reference": ({"accuracy": 97.0, "epochs": epochs(2.0)}, []),
            "search": ({"baseline": BASELINE, "evaluations": len(log.entries), "entropy": 3.25,
                        "best": choice, "best_score": 95.0}, ["search.jsonl", "distribution.json"]),
            "generate": ({
                "choice": choice, "bounds": {n: 1.25 * costs[n] for n in config.budgets}, "tighten": 1.0,
                "predicted_accuracy": 91.0, "shared_weights_accuracy": 92.5, "predicted": costs,
                "measured_ms": timing(0.0812), "reference_measured_ms": timing(0.201),
                "candidates": [
                    {"choice": c, "predicted_accuracy": 91.0, "score": s, "predicted_ms": p, "measured_ms": m}
                    for c, s, p, m in ((choice, 92.5, 0.083, 0.0812), ([2] * len(choice), 91.5, 0.09, 0.088))
                ]}, ["front.json", "architecture.json"]),
            "finetune": ({"accuracy": 96.5, "epochs": epochs(0.5)}, []),
            "export": ({"verdict": verdict(96.54, 0.0812, 0.1015 if limited else None),
                        "reference": verdict(97.04, 0.203, None), "budget_ms": 0.1015 if limited else None,
                        "ratio": 0.4, "size_bytes": 1_234_567, "reference_size_bytes": 2_345_678}, []),
        }
        if parts is not None:
            write_json(run.path / "details.json", {
                "hwnas_details": 2, "classes": list(parts[0].classes), "metric": "accuracy", "examples": [],
                "difference": difference(*parts), "reference": parts[0].to_json(), "compressed": parts[1].to_json()})
            exported = results["export"][0]
            for key, part in zip(("reference", "verdict"), parts, strict=True):
                exported[key] |= {"accuracy": part.standing.score, "standing": part.standing.to_json()}
            results["export"] = (exported | {"difference": difference(*parts), "warnings": ["look out"]},
                                 ["details.json"])
        for stage, (result, files) in results.items():
            if stage != leave_out:
                run.finish(stage, {**result, **changes.get(stage, {})}, files, 1.5)
        return run

    return made


class Reader(HTMLParser):
    """Checks that tags nest and gathers what a test asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.starts: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.starts.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.starts.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open, f"</{tag}> without a start"
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "title"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace("\N{NO-BREAK SPACE}", " ").split())


def written(run: RunFolder) -> tuple[Reader, dict[str, Any], str]:
    write_report(run)
    html = (run.path / "report.html").read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader, json.loads((run.path / "report.json").read_text(encoding="utf-8")), html


def test_the_verdict_comes_first(make: Maker) -> None:
    reader, facts, _ = written(make())
    assert facts["hwnas_report"] == 1
    assert facts["headline"] == "96.5 % at 0.081 ms: 40 % of the reference's 0.203 ms; budget 50 %: met"
    assert facts["headline"] in reader.text


def test_facts_are_the_inputs(make: Maker) -> None:
    run = make()
    _, facts, _ = written(run)
    solver, results = ArchitectureSolver.of_run(run), {n: s.result for n, s in run.state.stages.items()}
    rows, of = facts["comparison"], space()
    largest, chosen = of.largest(), of.architecture(results["generate"]["choice"])
    assert rows["accuracy"]["reference"] == 97.04
    assert rows["accuracy"]["compressed"] == 96.54
    assert rows["latency"]["compressed"] == timing(0.0812)
    assert rows["latency"]["ratio"] == pytest.approx(0.4)
    assert rows["predicted_latency"]["compressed"]["latency_ms"] == solver.latency.predict(chosen).latency_ms
    assert rows["flops"]["reference"] == largest.flops
    assert rows["params"]["compressed"] == chosen.params
    assert rows["memory"]["compressed"] == chosen.memory_bytes()
    assert [p["latency_ms"] * 1e6 for p in facts["front"]["points"]] == pytest.approx(solver.front().costs)
    assert facts["front"]["points"][-1]["accuracy"] == pytest.approx(BASELINE + solver.front().utilities[-1])
    effects = [[op["effect"] for op in row["ops"]] for row in facts["distribution"]]
    assert effects == [row.tolist() for row in solver.distribution.effects]
    assert [e["score"] for e in facts["search"]["evaluations"]] == [e.score for e in evaluations(of, 4)]
    assert facts["training"] == {"reference": epochs(2.0), "compressed": epochs(0.5)}
    assert facts["provenance"]["files"]["front.json"] == run.state.stages["generate"].files["front.json"]
    assert facts["provenance"]["seed"] == 7


def test_the_history_of_a_search_of_which_some_failed(make: Maker) -> None:
    of = space()
    lines = [Failure("alone", n, of.smallest().choice, f"no. {n} <diverged>") if n % 3 == 1 else
             Evaluation("alone", n, of.largest().choice, 90.0 + n, 1.0) for n in range(14)]
    page, facts, _ = written(make(lines=lines, options={"evaluator": "scratch", "strategy": "rea"},
                                  search={"warnings": ["5 of 14 evaluations failed, the first: no. 1 <diverged>"]}))
    assert [f["failed"] for f in facts["search"]["failures"]] == [f"no. {n} <diverged>" for n in (1, 4, 7, 10, 13)]
    assert facts["warnings"] == ["5 of 14 evaluations failed, the first: no. 1 <diverged>"]
    text = page.text
    assert "Warning: 5 of 14 evaluations failed, the first: no. 1 <diverged>" in text
    assert "9 evaluations, strategy rea, evaluator scratch: one score does not depend on another." in text
    assert "5 more failed: no. 2, no. 1 <diverged>; no. 5, no. 4 <diverged>; no. 8, no. 7 <diverged>; ..." in text
    assert "shared weights learn" not in text


def test_a_search_by_gradients_is_called_so(make: Maker) -> None:
    page, facts, _ = written(make(options={"searcher": "darts"}))
    assert facts["search"]["strategy"] == "darts"
    assert "evaluations, darts. In train the shared weights learn" in page.text


def test_layers_add_up_to_the_prediction(make: Maker) -> None:
    _, facts, _ = written(make())
    for who in ("reference", "compressed"):
        total = sum(row[who]["latency_ms"] for row in facts["layers"])
        assert total == pytest.approx(facts["comparison"]["predicted_latency"][who]["latency_ms"])


def test_predicted_accuracy_of_a_candidate_is_the_sum_of_its_effects(make: Maker) -> None:
    _, facts, _ = written(make())
    rows = law(space()).effects
    for candidate in facts["candidates"]:
        assert candidate["predicted_accuracy"] == pytest.approx(
            BASELINE + sum(row[k] for row, k in zip(rows, candidate["choice"], strict=True)))
    assert [c["chosen"] for c in facts["candidates"]] == [True, False]


def test_the_page_shows_the_numbers(make: Maker) -> None:
    reader, facts, _ = written(make())
    for expected in ("96.54 %", "97.04 %", "0.081 ms", "0.203 ms", "1.23 MB", "2.35 MB", "2.5e-06", "Test CPU",
                     "onnxruntime 1.2.3", "feed" * 16, "off by 1.2 % on average", "00112233aabbccdd"):
        assert expected in reader.text, expected
    predicted = facts["comparison"]["predicted_latency"]["compressed"]
    assert f"~{predicted['latency_ms']:.3f} ms" in reader.text
    assert f"~{predicted['low_ms']:.3f} to {predicted['high_ms']:.3f}" in reader.text


def test_predicted_numbers_never_look_measured(make: Maker) -> None:
    _, facts, html = written(make())
    predicted = facts["comparison"]["predicted_latency"]["reference"]["latency_ms"]
    assert f'<i class="est">~{predicted:.3f} ms</i>' in html
    assert not re.search(r'<i class="est">~0\.081 ms', html)
    front = re.findall(r'<path class="mark ([^"]*)"[^>]*><title>front, predicted', html)
    assert len(front) == len(facts["front"]["points"])
    assert set(front) == {"front open"}


def test_heat_map_outlines_the_chosen_op_and_marks_dead_ones(make: Maker) -> None:
    run = make()
    reader, _, _ = written(run)
    cells = [a for tag, a in reader.starts if tag == "td" and "--s:" in (a.get("style") or "")]
    of = space()
    assert len(cells) == sum(of.sizes)
    chosen = [a for a in cells if "chosen" in str(a["class"]).split()]
    taken = run.result("generate")["choice"]
    assert [str(a["title"]).split(":")[0] for a in chosen] == [
        c.ops[k].signature for c, k in zip(of.choices, taken, strict=True)]
    assert sum("dead" in str(a["class"]).split() for a in cells) == len(of.sizes)


def test_the_page_is_well_formed_and_accessible(make: Maker) -> None:
    reader, _, _ = written(make())
    assert reader.open == []
    ids = [a["id"] for _, a in reader.starts if a.get("id")]
    assert len(ids) == len(set(ids))
    for tag, a in reader.starts:
        assert set(str(a.get("aria-labelledby") or "").split()) <= set(ids), tag
    assert all(a.get("role") == "img" for tag, a in reader.starts if tag == "svg" and a.get("class") == "chart")
    assert sum(tag == "h1" for tag, _ in reader.starts) == 1
    assert sum(tag == "caption" for tag, _ in reader.starts) >= 3


def test_the_page_loads_nothing(make: Maker) -> None:
    reader, _, html = written(make())
    assert not {tag for tag, _ in reader.starts} & {"script", "link", "img", "iframe", "object"}
    assert not [a for _, a in reader.starts if {"src", "href", "xlink:href", "onload"} & set(a)]
    assert not re.search(r"https?://|@import|url\((?!#)", html)
    assert len(html) < 1_500_000


def test_text_from_outside_is_escaped_and_paths_stay_home(make: Maker) -> None:
    reader, facts, html = written(make())
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert NASTY in reader.text
    assert "/data/private" not in html + json.dumps(facts)


def test_writing_again_gives_the_same_bytes(make: Maker) -> None:
    run = make()
    write_report(run)
    before = [(run.path / name).read_bytes() for name in ("report.html", "report.json")]
    run.finish("report", {}, ["report.html", "report.json"], 0.3)
    write_report(RunFolder.open(run.path))
    assert [(run.path / name).read_bytes() for name in ("report.html", "report.json")] == before
    assert run.done("report")


def test_without_a_latency_budget(make: Maker) -> None:
    reader, facts, html = written(make({"flops": "60%", "memory": "64MB"}))
    assert facts["headline"].endswith("; FLOPs budget 60 %: met; Activation memory budget 64 MB: met")
    assert [b["kind"] for b in facts["budgets"]] == ["exact", "exact"]
    assert "limit-text" not in html.split("</style>")[1]
    assert reader.open == []


def test_a_missed_budget_says_so(make: Maker) -> None:
    over = {"export": {"budget_ms": 0.08, "verdict": verdict(96.54, 0.0812, 0.08)}}
    reader, facts, _ = written(make(**over))
    assert facts["headline"].endswith("budget 50 %: missed")
    assert not facts["budgets"][0]["met"]
    assert "missed" in [a.get("class") for tag, a in reader.starts if tag == "td"]


def test_dots_of_another_speed_have_a_line_and_a_word_of_their_own(make: Maker) -> None:
    run = make(generate={"reference_measured_ms": timing(1.8 * 0.203), "measured_ms": timing(0.17), "candidates": [
        {"choice": [2] * len(space().sizes), "predicted_accuracy": 91.0, "score": 91.5, "predicted_ms": 0.09,
         "measured_ms": 0.175}]})
    run.state.reference = Reference.measured(space().largest(), Measurement(0.203, 0.2, 0.21, 100))
    run.save()
    reader, facts, html = written(run)
    budget, (dot,) = facts["budgets"][0], facts["candidates"]
    assert budget["limit"] < dot["measured_ms"] <= 1.8 * budget["limit"]
    assert "1.80 times slower when the candidates were measured" in facts["warnings"][0]
    assert html.count("limit-text") > 1
    assert "at their speed the budget of 0.102" in " ".join(reader.text.split()).replace("\N{NO-BREAK SPACE}", " ")
    assert budget["told"] == "50 % of 0.203 ms measured = 0.102 ms"


def test_without_settle_phase_or_held_out_networks(make: Maker) -> None:
    reader, facts, _ = written(make(settle=0, held_out=False))
    assert facts["latency_model"]["held_out"] is None
    assert "There was no settle phase" in reader.text
    assert "not checked on held-out networks" in reader.text


@pytest.mark.parametrize("stage", NEEDED)
def test_an_unfinished_stage_names_the_way_out(make: Maker, stage: str) -> None:
    run = make(leave_out=stage)
    with pytest.raises(RunError, match=f"has not finished stage {stage}.*--resume"):
        write_report(run)
    assert not (run.path / "report.html").exists()


def test_a_changed_file_is_refused(make: Maker) -> None:
    run = make()
    with (run.path / "search.jsonl").open("a") as file:
        file.write("\n")
    with pytest.raises(RunError, match=r"search\.jsonl was changed"):
        write_report(run)


@pytest.mark.parametrize("stage, outer, inner", [("export", "verdict", "accuracy"), ("profile", "device", "cpu")])
def test_a_result_of_another_version_is_refused(make: Maker, stage: str, outer: str, inner: str) -> None:
    run = make()
    del run.state.stages[stage].result[outer][inner]
    with pytest.raises(RunError, match=r"another version|verdict.accuracy: Field required"):
        write_report(run)
    assert not (run.path / "report.html").exists()


def test_a_checkout_that_is_not_installed_has_no_version(make: Maker) -> None:
    run = make()
    run.state.versions.pop("hwnas", None)
    reader, _, _ = written(run)
    assert "Made by hwnas unknown." in reader.text


def test_no_torch() -> None:
    program = "import sys, hwnas.pipeline.report.facts; print('torch' in sys.modules, 'onnxruntime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("low, high", [(0.0, 1.0), (93.9, 100.6), (0.0365, 0.2482), (-3.0, 2.0), (1e5, 3e6)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 2 <= len(found) <= 7
    assert low - 1e-9 <= found[0] < found[-1] <= high * (1 + 1e-9) + 1e-9
    steps = np.diff(found)
    assert np.allclose(steps, steps[0])
    mantissa = steps[0] / 10 ** np.floor(np.log10(steps[0]) + 1e-9)
    assert min(abs(mantissa - m) for m in (1, 2, 5)) < 1e-6


def test_a_count_has_no_fractions() -> None:
    assert ticks(0.5, 3.5, least=1.0) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("values", [[1.0], [0.0, 0.0], [2.0, 5.0]])
def test_a_span_is_never_empty(values: list[float]) -> None:
    low, high = span(values)
    assert low < min(values) <= max(values) < high


@pytest.mark.parametrize("given, shown", [("50%", "50 %"), ("8ms", "8 ms"), ("300M", "300 M"), (" 2 MB ", "2 MB"),
                                          ("1e5", "1e5"), ("64MiB", "64 MiB"), ("2000", "2000")])
def test_budgets_are_shown_as_written(given: str, shown: str) -> None:
    assert page.spaced(given) == shown


def test_numbers_as_people_read_them() -> None:
    assert [page.ms(v) for v in (0.1194, 12.3456, 123.456)] == ["0.119", "12.35", "123.5"]
    assert [page.count(v) for v in (812, 2_302_720, 4.1e9)] == ["812", "2.30 M", "4.10 G"]
    assert [page.size(v) for v in (512, 49_152, 1_053_117)] == ["512 B", "49.2 kB", "1.05 MB"]
    assert [page.signed(v) for v in (0.5, -0.284, -0.001)] == ["+0.50", "\N{MINUS SIGN}0.28", "0"]
    assert [page.clock(v) for v in (8.04, 89.1, 3 * 3600 + 61)] == ["8.0 s", "1 min 29 s", "3 h 1 min"]


def test_template_and_style_lie_in_the_package() -> None:
    folder = Path(page.__file__).parent
    source = (folder / "page.html.j2").read_text(encoding="utf-8")
    Environment(autoescape=True).parse(source)
    assert "|safe" not in source
    assert (folder / "style.css").is_file()


def test_every_point_of_the_front_shows_its_layers(make: Maker) -> None:
    reader, facts, html = written(make())
    points, of = facts["front"]["points"], space()
    strips = re.findall(r'<g class="pt" id="front-p(\d+)".*?</g></g>', html)
    assert strips == [str(i) for i in range(len(strips))]
    assert 1 < len(strips) <= len(points)
    last = html.split(f'id="front-p{len(strips) - 1}"')[1].split("</g></g>")[0]
    assert f"~{points[-1]['latency_ms']:.3f} ms, ~{points[-1]['accuracy']:.2f} %" in last
    for position, k in zip(of.choices, points[-1]["choice"], strict=True):
        assert f">{position.name} {position.ops[k].label}<" in last
    hits = [(float(a["x"]), float(a["width"])) for tag, a in reader.starts if a.get("class") == "hit"]
    for (x, width), (after, _) in pairwise(hits):
        assert x + width == pytest.approx(after, abs=0.11)  # no gap and no overlap
    assert sum(f">{name}<" in html for name in ("latency", "accuracy", "operations")) == 3


def test_points_that_cannot_be_told_apart_share_a_strip() -> None:
    canvas = Canvas("c", "t", "d", (0.0, 1.0), (0.0, 1.0), "x", "y")
    points = [FrontPoint(i / 4000, 0.5, (0,)) for i in range(4001)]
    kept = shown(canvas, points)
    assert len(kept) < 250
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert shown(canvas, points[:1]) == points[:1]


def test_the_report_explains_the_budgets(make: Maker) -> None:
    run = make({"latency": "50%", "flops": "60%"})
    reader, facts, _ = written(run)
    story = facts["explanation"]
    assert [row["name"] for row in story["limits"]] == ["latency", "flops"]
    bounds, solver = run.result("generate")["bounds"], ArchitectureSolver.of_run(run)
    best = solver.answers(bounds)[0]
    assert story["choice"] == list(best.architecture.choice)
    assert all(line in reader.text for line in story["lines"])
    assert all(row["reached"] <= row["budget"] == bounds[row["name"]] for row in story["limits"])


def answered(truth: list[int], answers: list[int], names: tuple[str, ...]) -> Breakdown:
    return AccuracyMetric(np.array(truth)).breakdown([[np.eye(len(names), dtype=np.float32)[np.array(answers)]]], names)


def test_every_class_stands_on_the_page_as_in_the_json(make: Maker) -> None:
    truth, names = [0] * 20 + [1] * 15 + [2] * 5, ("cat", NASTY, "owl")
    old, new = answered(truth, truth, names), answered(truth, [0] * 24 + [1] * 16, names)
    reader, facts, html = written(make(parts=(old, new)))
    assert facts["warnings"] == ["look out"]
    assert facts["details"]["compressed"]["confusion"] == [[20, 0, 0], [4, 11, 0], [0, 5, 0]]
    for row in facts["details"]["compressed"]["per_class"]:
        assert f"{row['count']:,}" in reader.text
        assert row["recall"] is None or f"{row['recall']:.1f}" in reader.text
    assert facts["difference"]["told"] in reader.text
    assert facts["headline"].startswith("77.5 % (always 'cat': 50.00 %) at 0.081 ms")
    assert "always 'cat': 50.00 %" in reader.text
    assert "95 %: 62.5 to 87.7" in reader.text
    assert "owl never found" in reader.text
    matrix = html.split('class="matrix"')[1].split("</table>")[0]
    assert re.findall(r'class="(up|down)"[^>]*>(\d+)<', matrix) == [("up", "20"), ("down", "4"), ("up", "11"),
                                                                   ("down", "5")]
    assert reader.open == []
    assert "<script" not in html


def test_a_useless_result_does_not_look_like_a_success(make: Maker) -> None:
    truth, names = [0] * 20 + [1] * 15, ("cat", "dog")
    never = answered(truth, [0] * 35, names)
    reader, facts, html = written(make(parts=(never, never)))
    assert facts["headline"].startswith("57.1 %, no better than always 'cat', at 0.081 ms")
    assert facts["headline"].endswith("budget 50 %: met")
    assert "Not a model to ship" in reader.text
    assert 'class="met"' not in html


def test_of_many_classes_the_worst_and_the_confused_are_shown(make: Maker) -> None:
    names = tuple(f"kind {i}" for i in range(120))
    truth = [i for i in range(120) for _ in range(2)]
    found = answered(truth, [0 if i == 7 else i for i in truth], names)
    reader, facts, _ = written(make(parts=(found, found)))
    assert facts["details"]["compressed"]["confusion"] is None
    assert "kind 7 kind 0 2 100.0 %" in reader.text
    assert "The 12 worst of 120 classes" in reader.text
    assert "matrix" not in [a.get("class") for tag, a in reader.starts if tag == "table"]


def test_a_run_without_details_is_still_reported(make: Maker) -> None:
    reader, facts, _ = written(make())
    assert facts["details"] is None
    assert facts["standing"] == {"reference": None, "compressed": None}
    assert "class by class" not in reader.text


@pytest.mark.parametrize("values, least, word", [
    ([95.0, 96.0, 97.5], 90.0, "axis from"), ([0.0, 1.0, 2.0], -0.2, ""), ([50.0, 50.1], 48.9, "axis from"),
    ([5.0, 95.0, 95.5, 96.0, 96.2, 96.5, 96.6, 97.0], 90.0, "1 lower ones are not shown"),
])
def test_an_axis_of_scores_begins_where_they_are_and_says_so(values: list[float], least: float, word: str) -> None:
    (low, high), told = score_span(values)
    assert low >= least
    assert high >= max(values)
    assert high - low >= 2.0 or not word
    assert word in told


def test_nothing_is_wider_than_a_phone(make: Maker) -> None:
    """Figures scale, and whatever may be wide scrolls in itself; a browser checks the rest where there is one."""
    reader, _, html = written(make())
    assert all(a.get("viewbox") for tag, a in reader.starts if tag == "svg")
    assert not [a for tag, a in reader.starts if tag in ("svg", "table", "img", "figure") and a.get("width")]
    style = html.split("<style>")[1].split("</style>")[0]
    narrow = style.split("@media (max-width: 760px)")[1]
    assert not re.search(r"[^-]width:\s*\d{3,}px", style)
    assert "min-width: 0" in narrow


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OVER = """<script>addEventListener("load", () => {
  const over = [...document.querySelectorAll("section *")].filter(e => !e.closest(".scroll, svg, .sr") &&
    e.getBoundingClientRect().right > e.closest("section").getBoundingClientRect().right + 1).map(e => e.outerHTML);
  for (const e of document.querySelectorAll(".compare, .budgets"))
    if (e.parentElement.scrollWidth > e.parentElement.clientWidth) over.push(e.className);
  const bars = [...document.querySelectorAll(".stage i")].map(e => Math.round(e.getBoundingClientRect().left));
  parent.postMessage(JSON.stringify({over, wide: document.documentElement.scrollWidth, bars: [...new Set(bars)]}), "*");
})</script></body>"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium to look at the page with")
def test_in_a_browser_400_px_wide_nothing_is_over_its_card(make: Maker, tmp_path: Path) -> None:
    names = ("person_with_a_rather_long_name_and_no_blank", "dog")
    found = answered([0] * 20 + [1] * 15, [0] * 30 + [1] * 5, names)
    html = written(make({"latency": "50%", "memory": "64MB"}, parts=(found, found)))[2]
    (tmp_path / "page.html").write_text(html.replace("</body>", OVER), encoding="utf-8")
    (tmp_path / "frame.html").write_text(
        '<iframe src="page.html" style="width:400px;height:900px;border:0"></iframe><pre id="told"></pre><script>'
        'addEventListener("message", e => { document.getElementById("told").textContent = e.data })</script>')
    done = subprocess.run(
        [str(BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
         "--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=4000",
         "--dump-dom", (tmp_path / "frame.html").as_uri()], capture_output=True, text=True, timeout=240, check=True)
    told = json.loads(unescape(done.stdout.split('<pre id="told">')[1].split("</pre>")[0]))
    assert told["over"] == []
    assert told["wide"] == 400
    assert len(told["bars"]) == 1

"""The report of a run on a user's own network: report.html for people, report.json for programs, from the same facts.

Nothing here measures or reads a clock: the same run gives the same bytes, however often it is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwnas.files import write_bytes, write_json
from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.config.own_network import OWN_NETWORK, WITH_OWN
from hwnas.pipeline.report import page
from hwnas.pipeline.run.cautions import warnings_of
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.own_results import (
    OWN_RESULTS,
    FitResult,
    PlanResult,
    ReadResult,
    ScoresResult,
    ShippedRow,
    ShipResult,
    TuneResult,
    UnitsResult,
)
from hwnas.pipeline.run.own_scores import scores_in
from hwnas.pipeline.run.results import ReportResult
from hwnas.surgery.plan import AS_IT_IS, FLOAT, NONE, SPANNED, TEACHER, Option, is_joint

FILES = ("report.html", "report.json")
NAMES = {"network": "as given", "uniform-int8": "uniform int8", "model": "result"}
WORDS = ("agreement", "accuracy")


def write_own_report(run: RunFolder) -> None:
    """Write report.html (one file, needs no network) and report.json into a run folder.

    Raises:
        RunError: a stage is not finished.
        InputError: the folder cannot be written.
    """
    html = page.render_own_network(_page_facts(run))
    write_json(run.path / "report.json", own_report_json(run))
    write_bytes(run.path / "report.html", html.encode())


def own_report_json(run: RunFolder) -> dict[str, Any]:
    """What all stages found, under their names; what became of every unit; the warnings of all."""
    found = {result.stage: run.found(result).to_json() for result in OWN_RESULTS if result is not ReportResult}
    return {"hwnas_own_report": 1, **found, "became": unit_rows(run), "warnings": warnings_of(run)}


def unit_rows(run: RunFolder) -> list[dict[str, Any]]:
    """What became of every unit: its form and precision, times alone, and what that adds to the loss alone.

    Raises:
        RunError: a stage is not finished.
    """
    units, chosen = run.found(UnitsResult), run.found(PlanResult).chosen
    scores = scores_in(run.path)
    floats = str(run.found(ReadResult).target.get("precision", "fp32"))
    rows = []
    for unit in units.units:
        option = Option.read(chosen[unit.name]) if unit.name in chosen else AS_IT_IS
        score = scores.get(f"{unit.name} {option.key}", {})
        nothing = option == AS_IT_IS or option.form == SPANNED  # of a span the second unit has the loss of both
        before = unit.alone_ms.get(AS_IT_IS.key)
        rows.append({
            "unit": unit.name, "label": unit.label, "share": unit.share, "becomes": _becomes(option, unit.frozen),
            "precision": floats if option.precision == FLOAT else option.precision, "before_ms": before,
            "after_ms": 0.0 if option.form in (NONE, SPANNED) else unit.alone_ms.get(option.key),
            "loss": 0.0 if nothing else score.get("loss"), "loss_se": 0.0 if nothing else score.get("loss_se")})
    return rows


def _becomes(option: Option, frozen: str) -> str:
    if option == AS_IT_IS and frozen:
        return f"kept: {frozen}"
    return {TEACHER: "kept", NONE: "left out", SPANNED: "in the next one"}.get(option.form, option.form)


def _page_facts(run: RunFolder) -> dict[str, Any]:
    read, units = run.found(ReadResult), run.found(UnitsResult)
    plan, ship = run.found(PlanResult), run.found(ShipResult)
    rows = [_row(row, ship.rows[0]) for row in ship.rows]
    became = unit_rows(run)
    config, result = run.state.config, ship.rows[-1]
    met = result.latency.median_ms <= ship.limit_ms
    joints = [(place, Option.read(key).precision) for place, key in plan.chosen.items() if is_joint(place)]
    return {
        "network": read.network, "read": read, "target": read.target, "rows": rows, "became": became,
        "words": [word for word in WORDS if word in result.scores], "warnings": warnings_of(run),
        "headline": _headline(ship, read, met), "met": met, "asked": read.budgets["latency"],
        "limit_ms": ship.limit_ms, "result_ms": result.latency.median_ms, "joints": joints,
        "longest_ms": max([ms for row in became for ms in (row["before_ms"], row["after_ms"]) if ms], default=1.0),
        "units": units, "plan": plan, "prediction_error": _prediction_error(plan),
        "raced": sum(row.tried is not None for row in plan.rows), "tune": run.found(TuneResult),
        "fit": run.found(FitResult), "scores": run.found(ScoresResult), "runs": result.latency.runs,
        "no_source": ship.no_source, "attempts": run.state.attempts,
        "config": _config(config),
        "stages": [(stage, run.state.stages[stage].seconds) for stage in run.stages if stage in run.state.stages
                   and stage != ReportResult.stage],
        "files": {name: digest for stage in run.stages if stage in run.state.stages and stage != ReportResult.stage
                  for name, digest in sorted(run.state.stages[stage].files.items())},
        "versions": {"hwnas": "unknown"} | run.state.versions, "created": run.state.created,
    }


def _config(config: CompressConfig) -> dict[str, Any]:
    """What such a run can be asked for and was; files by their names alone, as the page is passed on."""
    found = {name: value for name, value in config.flat().items()
             if name in (*OWN_NETWORK, *WITH_OWN) and name != "tables" and value is not None}
    return {name: Path(value).name if name in ("model", "data", "contract") else value
            for name, value in found.items()}


def _row(row: ShippedRow, given: ShippedRow) -> dict[str, Any]:
    return {"name": NAMES.get(row.name, row.name.replace("-", " ")), "file": row.file, "latency": row.latency,
            "ratio": row.latency.median_ms / given.latency.median_ms, "scores": row.scores,
            "size_bytes": row.size_bytes}


def _headline(ship: ShipResult, read: ReadResult, met: bool) -> str:
    given, result = ship.rows[0], ship.rows[-1]
    scores: Mapping[str, float] = result.scores
    told = [f"{scores['agreement']:.1f} % of the answers are the network's own"] if "agreement" in scores else \
        [f"loss {scores['loss']:.4f}"]
    if "accuracy" in scores:
        told.append(f"accuracy {scores['accuracy']:.1f} %, as given {given.scores['accuracy']:.1f} %")
    first = (f"{page.ms(result.latency.median_ms)} ms, {100 * ship.ratio:.0f} % of the "
             f"{page.ms(given.latency.median_ms)} ms of {read.network} as it was given")
    return "; ".join([first, *told, f"budget {page.spaced(read.budgets['latency'])}: {'met' if met else 'missed'}"])


def _prediction_error(plan: PlanResult) -> float | None:
    """Of the plans whose truth was asked for and that change something: mean of |predicted - measured|, percent."""
    found = [100 * abs(row.predicted_ms - row.measured_ms) / row.measured_ms for row in plan.rows
             if row.changed and row.measured_ms]
    return sum(found) / len(found) if found else None

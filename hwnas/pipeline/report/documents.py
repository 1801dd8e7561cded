"""A summary and a report as the JSON that other programs read: `--json` of the commands, report.json.

Keys are those of hwnas 0.1, where a score of any metric is called `accuracy`; what is new is called by its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hwnas.pipeline.report.budget_rows import BudgetRow, Overview
from hwnas.pipeline.report.contents import Both, CandidateFacts, Comparison, FrontFacts, FrontPoint, Report, Row
from hwnas.pipeline.report.reached import Reached
from hwnas.pipeline.report.summary import FinalistRow, NetworkSummary, PrecisionRow, Summary
from hwnas.pipeline.run.result_parts import Part, as_json

SCHEMA = 1  # of report.json
OVERVIEW_SCHEMA = 1  # of that of a run for several budgets
Document = dict[str, Any]


def summary_json(found: Summary) -> Document:
    """What `hwnas compress --json` says; latencies in ms, sizes in bytes, scores in percent."""
    return {
        "run": str(found.run), "model": str(found.model), "report": str(found.report), "data": found.data,
        "target": dict(found.target), "latency_source": found.latency_source, "origin": found.origin,
        "here": found.here, "warnings": list(found.warnings), "next": found.next, "choice": list(found.choice),
        "variant": asdict(found.variant), "metric": found.metric, "reference": _network(found.reference),
        "compressed": _network(found.compressed), "ratio": found.ratio,
        "precisions": [_precision(row) for row in found.precisions], "finalists": _finalists(found.finalists),
        "out": dict(found.out), "budgets": [_budget_of_summary(b) for b in found.budgets],
        **({"positions": found.positions} if found.positions else {}),
        "reference_of_budgets": found.reference_of_budgets.model_dump(),
        "moments": [moment.to_json() for moment in found.moments], "parity": found.parity,
        "agreement": found.agreement, "loss": found.loss, "difference": as_json(found.difference),
        "details": found.details, "seconds": found.seconds, "no_success": found.no_success,
    }


def overview_json(found: Overview, base: Path | None = None) -> Document:
    """What `hwnas compress --json` and report.json say of several networks; figures are null where there is no network.

    Args:
        base: folder that paths are told relative to; None tells them as they are.
    """
    return {
        "run": _place(found.run, base), "report": _place(found.report, base), "kind": found.kind,
        "data": found.data, "target": dict(found.target), "origin": "; ".join(found.origins),
        "metric": found.metric, "title": found.title,
        "source": found.source, "base": found.base, "reference": {"score": found.reference_score, **found.reference},
        "warnings": [{"text": text, "budgets": budgets} for text, budgets in found.warnings],
        "networks": [_budget_row(row, base) for row in found.networks],
        "made": sum(row.made is not None for row in found.networks),
        "seconds": {"search": found.search_seconds, "networks": found.network_seconds},
        "created": found.created, "versions": dict(found.versions), "seed": found.seed,
        "together": found.together,
    }


def _budget_row(row: BudgetRow, base: Path | None) -> Document:
    made = row.made
    return {
        "name": row.name, "budget": row.budget, "budgets": dict(row.budgets), "limits": dict(row.limits),
        "made": made is not None, "error": row.error, "result": row.result, "run": _place(row.run, base),
        "model": _place(made.model, base) if made else None, "report": _place(made.report, base) if made else None,
        "latency_ms": row.latency_ms, "kind": row.kind, "share": row.share, "score": made.score if made else None,
        "precision": made.precision if made else None, "predicted_ms": made.predicted_ms if made else None,
        "flops": made.flops if made else None, "params": made.params if made else None,
        "size_bytes": made.size_bytes if made else None, "same_as": row.same_as,
        "warnings": list(made.warnings) if made else [], "no_success": made.no_success if made else None,
        "next": made.next if made else None, "seconds": row.seconds,
        "target": dict(row.target) if row.target is not None else None, "origin": row.origin,
    }


def _place(path: Path, base: Path | None) -> str:
    return str(path) if base is None else path.relative_to(base).as_posix()


def report_json(found: Report) -> Document:
    """What report.json says."""
    return {
        "hwnas_report": SCHEMA, "headline": found.headline, "standing": _parts(found.standing),
        "difference": as_json(found.difference), "no_success": found.no_success,
        "measured_here": found.measured_here, "metric": found.metric,
        "words": {**asdict(found.words), "columns": [[c.network, c.key, c.title, c.digits]
                                                     for c in found.class_columns]},
        "word": found.word, "origin": found.origin, "warnings": list(found.warnings), "next": found.next,
        "budgets": [_budget_of_report(b) for b in found.budgets], "reference": found.reference.model_dump(),
        "moments": [moment.to_json() for moment in found.moments], "comparison": _comparison(found.comparison),
        "precisions": _precisions(found), "variant": asdict(found.variant),
        "finalists": _finalists(found.finalists), "close": found.close, "out": dict(found.out),
        "details": _without_pictures(found.details), "front": _front(found.front),
        "explanation": _explanation(found), "candidates": [_candidate(c) for c in found.candidates],
        "latency_model": {**vars(found.latency_model), "calibration": found.latency_model.calibration.to_json()},
        "distribution": [asdict(choice) for choice in found.distribution],
        "search": {**asdict(found.search), "architectures": str(found.search.architectures),
                   "evaluations": [{**asdict(e), "choice": list(e.choice)} for e in found.search.evaluations],
                   "failures": [{**asdict(e), "choice": list(e.choice)} for e in found.search.failures]},
        "training": {"reference": [epoch.to_json() for epoch in found.training.reference],
                     "compressed": [epoch.to_json() for epoch in found.training.compressed]},
        "layers": [{"position": layer.position, "reference": asdict(layer.reference),
                    "compressed": asdict(layer.compressed)} for layer in found.layers],
        "stages": [asdict(stage) for stage in found.stages], "provenance": asdict(found.provenance),
    }


def _network(network: NetworkSummary) -> Document:
    found = {**vars(network), "standing": as_json(network.standing), "measured_ms": as_json(network.measured)}
    del found["measured"]
    return {"accuracy": found.pop("score"), **found}


def _precision(row: PrecisionRow) -> Document:
    return {"name": row.name, "precision": row.precision, "accuracy": row.score, "measured_ms": as_json(row.measured),
            "ships": row.ships}


def _finalists(rows: Sequence[FinalistRow]) -> list[Document]:
    return [asdict(row) for row in rows]


def _budget_of_summary(b: Reached) -> Document:
    return {"name": b.name, "asked": b.asked, "told": b.told, "limit": b.limit, "achieved": b.value, "met": b.met,
            "kind": b.kind, "judged": b.sentence, "speed": b.speed, "moved": b.moved}


def _budget_of_report(b: Reached) -> Document:
    return {"name": b.name, "text": b.asked, "told": b.told, "kind": b.kind, "unit": b.unit, "limit": b.limit,
            "reached": b.value, "met": b.met, "judged": b.sentence, "speed": b.speed, "moved": b.moved}


def _parts(both: Both[Any]) -> Document:
    return {"reference": as_json(both.reference), "compressed": as_json(both.compressed)}


def _comparison(found: Comparison) -> Document:
    rows = {"accuracy" if name == "score" else name: _row(row) for name, row in found.rows()}
    del rows["parity"]["ratio"]
    return rows


def _row(row: Row[Any]) -> Document:
    return {"kind": row.kind, "unit": row.unit, "reference": _value(row.reference),
            "compressed": _value(row.compressed), "ratio": row.ratio}


def _value(value: Any) -> Any:
    if isinstance(value, Part):
        return value.to_json()
    return value if isinstance(value, int | float) else asdict(value)


def _precisions(found: Report) -> Document | None:
    table = found.precisions
    if table is None:
        return None
    return {"rows": [{**_precision(row), "ratio": ratio} for row, ratio in table.rows], "losses": dict(table.losses),
            "loss": table.loss, "ships": table.ships, **({"positions": table.positions} if table.positions else {})}


def _without_pictures(details: Mapping[str, Any] | None) -> Document | None:
    if details is None:
        return None
    examples = [{k: v for k, v in example.items() if k != "src"} for example in details["examples"]]
    return {**details, "examples": examples}


def _front(found: FrontFacts) -> Document:
    return {"kind": "predicted", "exact": found.exact, "architectures": str(found.architectures),
            "points": [_point(point) for point in found.points], "reference": _point(found.reference),
            "chosen": _point(found.chosen)}


def _point(point: FrontPoint) -> Document:
    return {"latency_ms": point.latency_ms, "accuracy": point.score, "choice": list(point.choice)}


def _explanation(found: Report) -> Document | None:
    if found.explanation is None:
        return None
    explained, lines = found.explanation
    return {"kind": "predicted", "lines": list(lines), **explained.to_json()}


def _candidate(c: CandidateFacts) -> Document:
    return {"choice": list(c.choice), "predicted_ms": c.predicted_ms, "measured_ms": c.measured_ms,
            "predicted_accuracy": c.predicted_score, "shared_weights_accuracy": c.shared_weights_score,
            "chosen": c.chosen}

"""The report of a finished run: report.html for people, report.json for programs, from the same facts.

Nothing here trains, measures or reads a clock: the same run gives the same bytes, so writing it again changes nothing.

Every number is of one of three kinds, and the page shows them differently:
    measured    timed on the target, or counted on images through the runtime that will serve the model
    predicted   by the latency model or by the additive effects of the distribution; in italics behind a ~
    exact       follows from the architecture alone: multiply-accumulates, parameters, activation memory
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

from hwnas.errors import InputError, RunError
from hwnas.files import read_json, write_bytes, write_json
from hwnas.generate import Front
from hwnas.pipeline.picking import Picker
from hwnas.pipeline.report_html import page
from hwnas.pipeline.run import STAGES, RunFolder
from hwnas.search.log import SearchLog
from hwnas.space import Architecture, Op

SCHEMA = 1
NEEDED = STAGES[:-1]  # all but the report itself
Facts = dict[str, Any]


@dataclass(frozen=True)
class Evidence:
    """What the stages of a run left behind.

    Args:
        run: the folder.
        picker: space, distribution and latency model.
        front: latency in ns against the sum of effects.
        log: every evaluation of the search.
        results: stage -> what it found.
    """

    run: RunFolder
    picker: Picker
    front: Front
    log: SearchLog
    results: dict[str, Any]

    @classmethod
    def of_run(cls, run: RunFolder) -> Evidence:
        """Read a run and check its files against their hashes.

        Raises:
            RunError: a stage is not finished, or a file is missing or was changed.
        """
        results = {stage: run.result(stage) for stage in NEEDED}
        for stage in NEEDED:
            run.done(stage)
        front = Front.from_json(read_json(run.path / "front.json"))
        return cls(run, Picker.of_run(run), front, SearchLog(run.path / "search.jsonl"), results)

    @property
    def reference(self) -> Architecture:
        return self.picker.space.largest()

    @property
    def chosen(self) -> Architecture:
        return self.picker.space.architecture(self.results["generate"]["choice"])

    def predicted_accuracy(self, choice: tuple[int, ...]) -> float:
        """Baseline plus the effects of the ops, percent; a ranking more than a forecast: it can exceed 100."""
        effects = self.picker.distribution.effects
        return self.picker.baseline + float(sum(row[k] for row, k in zip(effects, choice, strict=True)))


def write_report(run: RunFolder) -> None:
    """Write report.html (one file, needs no network) and report.json into a run folder.

    Raises:
        RunError: a stage is not finished, a file was changed, or the run is of another version of hwnas.
        InputError: the folder cannot be written.
    """
    found = facts(run)
    with _of_this_version(run):
        html = page.render(found)
    write_json(run.path / "report.json", found)
    write_bytes(run.path / "report.html", html.encode())


def facts(run: RunFolder) -> Facts:
    """Everything the report says, as a JSON value.

    Raises:
        RunError: as `write_report`.
    """
    with _of_this_version(run):
        return _facts(Evidence.of_run(run))


@contextlib.contextmanager
def _of_this_version(run: RunFolder) -> Iterator[None]:
    """What a stage of another version left may lack what the report needs: say so."""
    try:
        yield
    except RunError:
        raise
    except (KeyError, TypeError, IndexError, ValueError, InputError) as err:
        raise RunError(
            f"{run.path} cannot be reported ({type(err).__name__}: {err}): it was made by another version of hwnas; "
            "use that one, or start a new run"
        ) from err


def _facts(e: Evidence) -> Facts:
    comparison, budgets = _comparison(e), _budgets(e)
    return {
        "hwnas_report": SCHEMA,
        "headline": _headline(comparison, budgets),
        "budgets": budgets,
        "comparison": comparison,
        "front": _front(e),
        "candidates": _candidates(e),
        "latency_model": _latency_model(e),
        "distribution": _distribution(e),
        "search": _search(e),
        "training": {"reference": e.results["reference"]["epochs"], "compressed": e.results["finetune"]["epochs"]},
        "layers": _layers(e),
        "stages": [{"name": name, "seconds": e.run.state.stages[name].seconds} for name in NEEDED],
        "provenance": _provenance(e),
    }


def _headline(comparison: Facts, budgets: list[Facts]) -> str:
    accuracy, latency = comparison["accuracy"]["compressed"], comparison["latency"]
    new, old = latency["compressed"]["median_ms"], latency["reference"]["median_ms"]
    verdicts = [
        f"{'' if b['name'] == 'latency' else page.NAMES[b['name']] + ' '}budget {page.spaced(b['text'])}: "
        f"{'met' if b['met'] else 'missed'}" for b in budgets
    ]
    lead = f"{accuracy:.1f} % at {page.ms(new)} ms: {100 * new / old:.0f} % of the reference's {page.ms(old)} ms"
    return "; ".join([lead, *verdicts])


def _budgets(e: Evidence) -> list[Facts]:
    """Every budget as asked, as a bound and as reached: latency as measured on the target, the others exact."""
    found, export, generate = [], e.results["export"], e.results["generate"]
    for name, text in e.run.state.config.budgets.items():
        if name == "latency":
            kind, limit, reached = "measured", export["budget_ms"], export["verdict"]["latency"]["median_ms"]
        else:
            kind, limit, reached = "exact", generate["bounds"][name], e.picker.cost(name, e.chosen)
        unit = {"latency": "ms", "memory": "bytes"}.get(name, "")
        found.append({"name": name, "text": text, "kind": kind, "unit": unit, "limit": limit, "reached": reached,
                      "met": reached <= limit})
    return found


def _comparison(e: Evidence) -> Facts:
    export = e.results["export"]
    old, new = export["reference"], export["verdict"]
    rows = {
        "accuracy": _pair("measured", "%", old["accuracy"], new["accuracy"]),
        "latency": _pair("measured", "ms", old["latency"], new["latency"], "median_ms"),
    }
    estimates = [asdict(e.picker.latency.predict(arch)) for arch in (e.reference, e.chosen)]
    rows["predicted_latency"] = _pair("predicted", "ms", estimates[0], estimates[1], "latency_ms")
    for name, unit in (("flops", ""), ("params", ""), ("memory", "bytes")):
        costs = [int(e.picker.cost(name, arch)) for arch in (e.reference, e.chosen)]
        rows[name] = _pair("exact", unit, costs[0], costs[1])
    rows["file_size"] = _pair("exact", "bytes", export["reference_size_bytes"], export["size_bytes"])
    parity = [{k: v[k] for k in ("max_difference", "agreement")} for v in (old, new)]
    rows["parity"] = {"kind": "measured", "unit": "", "reference": parity[0], "compressed": parity[1]}
    return rows


def _pair(kind: str, unit: str, reference: Any, compressed: Any, key: str = "") -> Facts:
    """A row of the comparison; `key` names the number of a nested value whose ratio is given."""
    old, new = (v[key] if key else v for v in (reference, compressed))
    return {"kind": kind, "unit": unit, "reference": reference, "compressed": compressed,
            "ratio": new / old if old else None}


def _front(e: Evidence) -> Facts:
    points = [
        {"latency_ms": p.cost / 1e6, "accuracy": e.picker.baseline + p.utility, "choice": list(p.choice)}
        for p in e.front
    ]
    kept = prod(int(live.sum()) for live in e.picker.distribution.live)
    return {"kind": "predicted", "exact": e.front.gap == 0, "architectures": str(kept), "points": points,
            "reference": _point(e, e.reference), "chosen": _point(e, e.chosen)}


def _point(e: Evidence, arch: Architecture) -> Facts:
    return {"latency_ms": e.picker.latency.predict(arch).latency_ms, "accuracy": e.predicted_accuracy(arch.choice),
            "choice": list(arch.choice)}


def _candidates(e: Evidence) -> list[Facts]:
    """Architectures that were timed on the target and scored with the shared weights."""
    chosen = list(e.chosen.choice)
    return [
        {"choice": c["choice"], "predicted_ms": c["predicted_ms"], "measured_ms": c["measured_ms"],
         "predicted_accuracy": e.predicted_accuracy(tuple(c["choice"])), "shared_weights_accuracy": c["score"],
         "chosen": c["choice"] == chosen}
        for c in e.results["generate"]["candidates"]
    ]


def _latency_model(e: Evidence) -> Facts:
    profile = e.results["profile"]
    return {
        "source": e.picker.latency.source, "calibration": e.picker.latency.calibration.to_json(),
        "held_out": profile["held_out"] if profile.get("held_out") else None,
        "held_out_isolated_sum": profile.get("held_out_isolated_sum"),
        "held_out_pairs": profile.get("held_out_pairs", []),  # none where the table was there already
    }


def _distribution(e: Evidence) -> list[Facts]:
    law, found = e.picker.distribution, []
    for i, (position, taken) in enumerate(zip(e.picker.space.choices, e.chosen.choice, strict=True)):
        ops = [
            {"label": op.label, "signature": op.signature, "probability": float(law.probabilities[i][k]),
             "effect": float(law.effects[i][k]), "stderr": float(law.stderr[i][k]), "live": bool(law.live[i][k]),
             "chosen": k == taken}
            for k, op in enumerate(position.ops)
        ]
        found.append({"position": position.name, "ops": ops})
    return found


def _search(e: Evidence) -> Facts:
    result = e.results["search"]
    evaluations = [
        {"phase": v.phase, "number": v.number, "choice": list(v.choice), "score": v.score, "seconds": v.seconds}
        for v in e.log.entries
    ]
    return {"mode": e.run.state.config.mode, "baseline": e.picker.baseline, "entropy": result["entropy"],
            "architectures": str(e.picker.space.size), "evaluations": evaluations}


def _layers(e: Evidence) -> list[Facts]:
    """Predicted cost of every position; the last row is what a call costs whatever the network is."""
    model = e.picker.latency

    def cost(op: Op) -> Facts:
        return {"label": op.label, "signature": op.signature, "latency_ms": model.op_cost_ms(op), "flops": op.flops}

    rows = [
        {"position": p.name, "reference": cost(old), "compressed": cost(new)}
        for p, old, new in zip(e.picker.space.positions, e.reference.ops, e.chosen.ops, strict=True)
    ]
    call = {"label": "every call", "signature": "", "latency_ms": model.calibration.b_ms, "flops": 0}
    return [*rows, {"position": "call", "reference": call, "compressed": call}]


def _provenance(e: Evidence) -> Facts:
    """Where it all comes from; of paths only the last part, so that a report can be passed on."""
    state, data, profile = e.run.state, e.results["data"], e.results["profile"]
    config = state.config.model_dump(exclude={"tables"})
    config |= {"data": Path(config["data"]).name, "target": data["target"]["name"]}
    described = {k: v for k, v in data["data"].items() if k != "source"}
    return {
        "created": state.created, "versions": {"hwnas": "unknown"} | state.versions, "seed": state.config.seed,
        "config": config, "target": data["target"], "device": profile["device"],
        "table_hash": e.picker.latency.table_hash,
        "data": {**described, "summary": data["summary"], "fingerprint": data["fingerprint"]},
        "space": data["space"], "images": e.results["export"]["verdict"]["images"],
        "runs": e.results["export"]["verdict"]["latency"]["runs"], "tightened": state.attempts,
        "files": {n: digest for stage in NEEDED for n, digest in sorted(state.stages[stage].files.items())},
    }

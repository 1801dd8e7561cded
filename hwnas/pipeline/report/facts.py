"""The report of a finished run: report.html for people, report.json for programs, from the same facts.

Nothing here trains, measures or reads a clock: the same run gives the same bytes, so writing it again changes nothing.

Every number is of one of three kinds, and the page shows them differently:
    measured    timed on the target, or counted on images through the runtime that will serve the model
    predicted   by the latency model or by the additive effects of the distribution; in italics behind a ~; where the
                model itself is an estimate from public figures, the page says so
    exact       follows from the architecture alone: multiply-accumulates, parameters, activation memory
"""

from __future__ import annotations

import base64
import contextlib
import math
from collections.abc import Iterator
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import Any

from hwnas.errors import InputError, RunError
from hwnas.files import write_bytes, write_json
from hwnas.latency import LatencyModel
from hwnas.pipeline.report import page
from hwnas.pipeline.report.reached import reached
from hwnas.pipeline.report.run_artifacts import NEEDED, RunArtifacts
from hwnas.pipeline.report.summary import finalists, origin_of, precisions, variant_facts
from hwnas.pipeline.run.cautions import no_success, warnings_of
from hwnas.pipeline.run.details import read_details
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.limits import reference_of
from hwnas.pipeline.run.moments import moments_of
from hwnas.pipeline.run.result_parts import as_json
from hwnas.pipeline.selection.queries import explain_bounds, words_of
from hwnas.space import Architecture, Op
from hwnas.target import VALUE_BYTES
from hwnas.tasks import find

SCHEMA = 1
Facts = dict[str, Any]


def write_report(run: RunFolder) -> None:
    """Write report.html (one file, needs no network) and report.json into a run folder.

    Raises:
        RunError: a stage is not finished, a file was changed, or the run is of another version of hwnas.
        InputError: the folder cannot be written.
    """
    found = facts(run)
    with _of_this_version(run):
        html = page.render(found)
    write_json(run.path / "report.json", _without_pictures(found))
    write_bytes(run.path / "report.html", html.encode())


def _without_pictures(found: Facts) -> Facts:
    if found["details"] is None:
        return found
    told = [{k: v for k, v in example.items() if k != "src"} for example in found["details"]["examples"]]
    return found | {"details": found["details"] | {"examples": told}}


def facts(run: RunFolder) -> Facts:
    """Everything the report says, as a JSON value.

    Raises:
        RunError: as `write_report`.
    """
    with _of_this_version(run):
        return _facts(RunArtifacts.of_run(run))


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


def _facts(e: RunArtifacts) -> Facts:
    comparison, budgets, standing = _comparison(e), _budgets(e), _standing(e)
    return {
        "hwnas_report": SCHEMA,
        "headline": _headline(comparison, budgets, _word(e), _words(e)["lead"], standing),
        "standing": standing,
        "difference": as_json(e.exported.difference),
        "no_success": no_success({"compressed": {"standing": standing["compressed"]}}),
        "measured_here": "latency" in comparison,
        "metric": _metric(e),
        "words": _words(e),
        "word": _word(e),
        "origin": origin_of(e.run),
        "warnings": warnings_of(e.run),
        "next": e.exported.next,
        "budgets": budgets,
        "reference": reference_of(e.run).model_dump(),
        "moments": [moment.to_json() for moment in moments_of(e.run)],
        "comparison": comparison,
        "precisions": _precisions(e),
        "variant": variant_facts(e.solver),
        "finalists": finalists(e.run),
        "close": e.generated.close,
        "out": e.generated.out,
        "details": _details(e),
        "front": _front(e),
        "explanation": _explanation(e),
        "candidates": _candidates(e),
        "latency_model": _latency_model(e),
        "distribution": _distribution(e),
        "search": _search(e),
        "training": {"reference": [epoch.to_json() for epoch in e.reference_training.epochs],
                     "compressed": [epoch.to_json() for epoch in e.training.epochs]},
        "layers": _layers(e),
        "stages": [{"name": name, "seconds": e.run.state.stages[name].seconds} for name in NEEDED],
        "provenance": _provenance(e),
    }


def _metric(e: RunArtifacts) -> str:
    """What scores are."""
    return e.exported.verdict.metric


def _words(e: RunArtifacts) -> Facts:
    """How the task has its score spoken of: `hwnas.tasks.task.Words`, the columns of its table of classes."""
    task = find(e.run.state.config.task)
    return {**asdict(task.words), "columns": [[c.network, c.key, c.title, c.digits] for c in task.columns]}


def _standing(e: RunArtifacts) -> Facts:
    """Of both networks what the score is worth; None in runs of hwnas 0.1."""
    return {"reference": as_json(e.exported.reference.standing), "compressed": as_json(e.exported.verdict.standing)}


def _details(e: RunArtifacts) -> Facts | None:
    """Figures of every class and examples with their pictures inside; None in runs of hwnas 0.1, which lack them."""
    found = read_details(e.run)
    if found is None:
        return None
    for example in found["examples"]:
        content = (e.run.path / example["file"]).read_bytes()
        example["src"] = "data:image/png;base64," + base64.b64encode(content).decode()
    return found


def _word(e: RunArtifacts) -> str:
    """What a latency is that was not measured: a table predicts, public figures estimate."""
    return "estimated" if e.solver.latency.source == "estimated" else "predicted"


def _headline(comparison: Facts, budgets: list[Facts], word: str, lead: str, standing: Facts) -> str:
    found = standing["compressed"] or {"told": "", "level": "better"}
    score = f"{lead}{comparison['accuracy']['compressed']:.1f} %"
    failed = no_success({"compressed": {"standing": found}})
    score += f", {failed}," if failed else f" ({found['told']})" if found["told"] else ""
    measured = "latency" in comparison
    row, key = (comparison["latency"], "median_ms") if measured else (comparison["predicted_latency"], "latency_ms")
    new, old = row["compressed"][key], row["reference"][key]
    verdicts = [
        f"{'' if b['name'] == 'latency' else page.NAMES[b['name']] + ' '}budget {page.spaced(b['text'])}: "
        f"{('met' if b['met'] else 'missed') if b['met'] is not None else 'not measured'}" for b in budgets
    ]
    how = "" if measured else f" {word}"
    first = f"{score} at {page.ms(new)} ms{how}: {100 * new / old:.0f} % of the reference's {page.ms(old)} ms"
    return "; ".join([first, *verdicts])


def _budgets(e: RunArtifacts) -> list[Facts]:
    """Every budget as asked, as a bound and as reached: latency as measured on the target, the others exact."""
    return [{"name": b.name, "text": b.asked, "told": b.told, "kind": b.kind, "unit": b.unit, "limit": b.limit,
             "reached": b.value, "met": b.met, "judged": b.sentence,
             "speed": b.speed, "moved": b.moved} for b in reached(e.run, e.solver, e.chosen)]


def _comparison(e: RunArtifacts) -> Facts:
    export = e.exported
    old, new = export.reference, export.verdict
    rows = {"accuracy": _pair("measured", "%", old.accuracy, new.accuracy)}
    if new.latency:
        rows["latency"] = _pair("measured", "ms", as_json(old.latency), as_json(new.latency), "median_ms")
    estimates = [asdict(e.solver.predict(arch)) for arch in (e.reference, e.chosen)]
    # The reference is in fp32 whatever ships.
    estimates[0] = {k: v * (1.0 if k == "measured_share" else e.solver.reference_ratio)
                    for k, v in estimates[0].items()}
    rows["predicted_latency"] = _pair("predicted", "ms", estimates[0], estimates[1], "latency_ms")
    for name, unit in (("flops", ""), ("params", ""), ("memory", "bytes")):
        costs = [int(e.solver.cost(name, arch)) for arch in (e.reference, e.chosen)]
        if name == "memory":
            costs[0] = e.reference.memory_bytes(VALUE_BYTES["fp32"])
        rows[name] = _pair("exact", unit, costs[0], costs[1])
    rows["file_size"] = _pair("exact", "bytes", export.reference_size_bytes, export.size_bytes)
    parity = [{"max_difference": v.max_difference, "agreement": v.agreement} for v in (old, export.in_fp32)]
    rows["parity"] = {"kind": "measured", "unit": "", "reference": parity[0], "compressed": parity[1]}
    return rows


def _precisions(e: RunArtifacts) -> Facts | None:
    """The networks in every precision that was looked at; None if that was fp32 alone."""
    rows = precisions(e.run)
    if not rows:
        return None
    base = rows[0]["measured_ms"]
    for row in rows:
        timed = row["measured_ms"]
        row["ratio"] = timed["median_ms"] / base["median_ms"] if timed and base else None
    return {"rows": rows, "losses": e.generated.losses, "loss": e.exported.verdict.loss, "ships": e.exported.precision}


def _pair(kind: str, unit: str, reference: Any, compressed: Any, key: str = "") -> Facts:
    """A row of the comparison; `key` names the number of a nested value whose ratio is given."""
    old, new = (v[key] if key else v for v in (reference, compressed))
    return {"kind": kind, "unit": unit, "reference": reference, "compressed": compressed,
            "ratio": new / old if old else None}


def _front(e: RunArtifacts) -> Facts:
    points = [
        {"latency_ms": p.cost / 1e6, "accuracy": e.solver.baseline + p.utility, "choice": list(p.choice)}
        for p in e.front
    ]
    kept = prod(int(live.sum()) for live in e.solver.distribution.live)
    return {"kind": "predicted", "exact": e.front.gap == 0, "architectures": str(kept), "points": points,
            "reference": _point(e, e.reference), "chosen": _point(e, e.chosen)}


def _explanation(e: RunArtifacts) -> Facts | None:
    """What the budgets do to the best predicted architecture; None without a budget."""
    bounds = e.generated.bounds
    if not bounds:
        return None
    found = explain_bounds(e.solver, bounds)
    return {"kind": "predicted", "lines": found.text(words_of(e.solver, _metric(e))).splitlines(), **found.to_json()}


def _point(e: RunArtifacts, arch: Architecture) -> Facts:
    return {"latency_ms": e.solver.predict(arch).latency_ms, "accuracy": e.predicted_accuracy(arch),
            "choice": list(arch.choice)}


def _candidates(e: RunArtifacts) -> list[Facts]:
    """Architectures that were considered in the precision and the variant that ship, scored with the shared weights.

    `measured_ms` is None where they were not timed on the target.
    """
    chosen, space = list(e.chosen.choice), e.solver.space
    return [
        {"choice": c.choice, "predicted_ms": c.predicted_ms, "measured_ms": c.measured_ms,
         "predicted_accuracy": e.predicted_accuracy(space.architecture(c.choice)),
         "shared_weights_accuracy": c.score,
         "chosen": c.choice == chosen}
        for c in e.generated.candidates
        if c.precision == e.generated.precision and c.variant == e.solver.variant.key
    ]


def _latency_model(e: RunArtifacts) -> Facts:
    return {
        "source": e.solver.latency.source, "precision": e.solver.latency.precision,
        "calibration": e.solver.latency.calibration.to_json(),
        "times": math.exp(e.solver.latency.calibration.log_spread),
        "held_out": e.lane.held_out or None,
        "held_out_isolated_sum": e.lane.held_out_isolated_sum,
        "held_out_pairs": e.lane.held_out_pairs,  # none where the table was there already
    }


def _distribution(e: RunArtifacts) -> list[Facts]:
    law, found = e.solver.distribution, []
    for i, (position, taken) in enumerate(zip(e.solver.space.choices, e.chosen.choice, strict=True)):
        ops = [
            {"label": op.label, "signature": op.signature, "probability": float(law.probabilities[i][k]),
             "effect": float(law.effects[i][k]), "stderr": float(law.stderr[i][k]), "live": bool(law.live[i][k]),
             "chosen": k == taken}
            for k, op in enumerate(position.ops)
        ]
        found.append({"position": position.name, "ops": ops})
    return found


def _search(e: RunArtifacts) -> Facts:
    evaluations = [
        {"phase": v.phase, "number": v.number, "choice": list(v.choice), "score": v.score, "seconds": v.seconds}
        for v in e.log.entries
    ]
    return {"mode": e.run.state.config.search.mode, "baseline": e.solver.baseline, "entropy": e.searched.entropy,
            "architectures": str(e.solver.space.size), "evaluations": evaluations}


def _layers(e: RunArtifacts) -> list[Facts]:
    """Predicted cost of every position; the last row is what a call costs whatever the network is."""
    model, wide = e.solver.latency, e.solver.knowing(e.reference).latency

    def cost(op: Op, model: LatencyModel) -> Facts:
        return {"label": op.label, "signature": op.signature, "latency_ms": model.op_cost_ms(op), "flops": op.flops}

    rows = [
        {"position": p.name, "reference": cost(old, wide), "compressed": cost(new, model)}
        for p, old, new in zip(e.solver.space.positions, e.reference.ops, e.chosen.ops, strict=True)
    ]
    calls = ({"label": "every call", "signature": "", "latency_ms": m.calibration.b_ms, "flops": 0}
             for m in (wide, model))
    return [*rows, dict(zip(("position", "reference", "compressed"), ("call", *calls), strict=True))]


def _provenance(e: RunArtifacts) -> Facts:
    """Where it all comes from; of paths only the last part, so that a report can be passed on."""
    state, data, checked = e.run.state, e.data, e.exported.verdict
    config = {name: value for name, value in state.config.flat().items() if name != "tables"}
    config |= {"data": Path(config["data"]).name, "target": data.target["name"]}
    described = {k: v for k, v in data.data.items() if k != "source"}
    return {
        "created": state.created, "versions": {"hwnas": "unknown"} | state.versions, "seed": state.config.seed,
        "config": config, "target": {**data.target, "precision": e.lane.precision},
        "device": e.lane.device or None,
        "table_hash": e.solver.latency.table_hash,
        "data": {**described, "summary": data.summary, "fingerprint": data.fingerprint},
        "space": data.space, "images": checked.images,
        "runs": checked.latency.runs if checked.latency else 0, "tightened": state.attempts,
        "files": {n: digest for stage in NEEDED for n, digest in sorted(state.stages[stage].files.items())},
    }

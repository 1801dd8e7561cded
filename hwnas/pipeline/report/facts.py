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
from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any, TypeVar

from hwnas.data.recipe import stored_recipe
from hwnas.errors import InputError, RunError
from hwnas.files import write_bytes, write_json
from hwnas.generate.explain import Explanation
from hwnas.latency import LatencyModel
from hwnas.pipeline.config.make_config import BY_GRADIENTS
from hwnas.pipeline.own_code import score_words
from hwnas.pipeline.report import page
from hwnas.pipeline.report.contents import (
    Both,
    CandidateFacts,
    ChoiceFacts,
    Comparison,
    FrontFacts,
    FrontPoint,
    LatencyModelFacts,
    LayerCost,
    LayerFacts,
    OpFacts,
    Parity,
    PrecisionTable,
    Provenance,
    Report,
    Row,
    SearchFacts,
    StageTime,
)
from hwnas.pipeline.report.documents import report_json
from hwnas.pipeline.report.reached import UNIT, Reached, reached
from hwnas.pipeline.report.run_artifacts import NEEDED, RunArtifacts
from hwnas.pipeline.report.summary import finalists, origin_of, precisions, variant_facts
from hwnas.pipeline.run.cautions import no_success, warnings_of
from hwnas.pipeline.run.details import read_details
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.limits import reference_of
from hwnas.pipeline.run.moments import moments_of
from hwnas.pipeline.run.result_parts import StandingResult, VerdictResult
from hwnas.pipeline.selection.answers import told_positions
from hwnas.pipeline.selection.queries import explain_bounds, words_of
from hwnas.space import Architecture, Op
from hwnas.target import MIXED, VALUE_BYTES
from hwnas.tasks import find

Number = TypeVar("Number", int, float)


def write_report(run: RunFolder) -> None:
    """Write report.html (one file, needs no network) and report.json into a run folder.

    Raises:
        RunError: a stage is not finished, a file was changed, or the run is of another version of hwnas.
        InputError: the folder cannot be written.
    """
    found = facts(run)
    with _of_this_version(run):
        html = page.render(found)
    write_json(run.path / "report.json", report_json(found))
    write_bytes(run.path / "report.html", html.encode())


def facts(run: RunFolder) -> Report:
    """Everything the report says.

    Raises:
        RunError: as `write_report`.
    """
    with _of_this_version(run):
        return _report(RunArtifacts.of_run(run))


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


def _report(e: RunArtifacts) -> Report:
    comparison, budgets, task = _comparison(e), reached(e.run, e.solver, e.chosen), find(e.run.state.config.task)
    standing = Both(e.exported.reference.standing, e.exported.verdict.standing)
    words = score_words(e.run.state.config)
    return Report(
        headline=_headline(comparison, budgets, _word(e), words.lead, standing.compressed),
        standing=standing, difference=e.exported.difference, no_success=no_success(standing.compressed),
        metric=e.exported.verdict.metric, words=words, class_columns=task.columns, word=_word(e),
        origin=origin_of(e.run), warnings=warnings_of(e.run), next=e.exported.next, budgets=budgets,
        reference=reference_of(e.run), moments=moments_of(e.run), comparison=comparison, precisions=_precisions(e),
        variant=variant_facts(e.solver), finalists=finalists(e.run), close=e.generated.close, out=e.generated.out,
        details=_details(e), front=_front(e), explanation=_explanation(e), candidates=_candidates(e),
        latency_model=_latency_model(e), distribution=_distribution(e), search=_search(e),
        training=Both(e.reference_training.epochs, e.training.epochs), layers=_layers(e),
        stages=[StageTime(name, (record := e.run.state.stages[name]).seconds, record.beside) for name in NEEDED],
        provenance=_provenance(e),
    )


def _details(e: RunArtifacts) -> Mapping[str, Any] | None:
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


def _headline(comparison: Comparison, budgets: list[Reached], word: str, lead: str,
              standing: StandingResult | None) -> str:
    score, failed = f"{lead}{comparison.score.compressed:.1f} %", no_success(standing)
    score += f", {failed}," if failed else f" ({standing.told})" if standing and standing.told else ""
    if comparison.latency:
        new, old = comparison.latency.compressed.median_ms, comparison.latency.reference.median_ms
    else:
        new, old = comparison.predicted_latency.compressed.latency_ms, comparison.predicted_latency.reference.latency_ms
    verdicts = [
        f"{'' if b.name == 'latency' else page.NAMES[b.name] + ' '}budget {page.spaced(b.asked)}: "
        f"{('met' if b.met else 'missed') if b.met is not None else 'not measured'}" for b in budgets
    ]
    how = "" if comparison.latency else f" {word}"
    first = f"{score} at {page.ms(new)} ms{how}: {100 * new / old:.0f} % of the reference's {page.ms(old)} ms"
    return "; ".join([first, *verdicts])


def _comparison(e: RunArtifacts) -> Comparison:
    old, new = e.exported.reference, e.exported.verdict
    timed = None
    if old.latency and new.latency:
        timed = Row(old.latency, new.latency, "measured", "ms", _ratio(old.latency.median_ms, new.latency.median_ms))
    first, second = e.solver.predict(e.reference), e.generated.corrected(e.solver.predict(e.chosen))
    factor = e.solver.reference_ratio  # the reference is in fp32 whatever ships
    first = replace(first, latency_ms=first.latency_ms * factor, low_ms=first.low_ms * factor,
                    high_ms=first.high_ms * factor)
    return Comparison(
        score=_row("measured", "%", old.score, new.score), latency=timed,
        predicted_latency=Row(first, second, "predicted", "ms", _ratio(first.latency_ms, second.latency_ms)),
        flops=_exact(e, "flops"), params=_exact(e, "params"),
        memory=_row("exact", "bytes", e.reference.memory_bytes(VALUE_BYTES["fp32"]),
                    int(e.solver.cost("memory", e.chosen))),
        spent=_spent(e),
        file_size=_row("exact", "bytes", e.exported.reference_size_bytes, e.exported.size_bytes),
        parity=Row(_parity(old), _parity(e.exported.in_fp32), "measured", ""),
    )


def _spent(e: RunArtifacts) -> dict[str, Row[float]]:
    """What was measured of both networks besides their median times."""
    old, new = (found.figures if found else {} for found in (e.exported.reference_spent, e.exported.spent))
    return {name: _row("measured", UNIT[name], old[name], new[name]) for name in new if name in old}


def _parity(verdict: VerdictResult) -> Parity:
    return Parity(verdict.max_difference, verdict.agreement)


def _exact(e: RunArtifacts, cost: str) -> Row[int]:
    return _row("exact", "", int(e.solver.cost(cost, e.reference)), int(e.solver.cost(cost, e.chosen)))


def _row(kind: str, unit: str, reference: Number, compressed: Number) -> Row[Number]:
    return Row(reference, compressed, kind, unit, _ratio(reference, compressed))


def _ratio(reference: float, compressed: float) -> float | None:
    return compressed / reference if reference else None


def _precisions(e: RunArtifacts) -> PrecisionTable | None:
    """The networks in every precision that was looked at; None if that was fp32 alone."""
    rows = precisions(e.run)
    if not rows:
        return None
    base = rows[0].measured
    ratios = [row.measured.median_ms / base.median_ms if row.measured and base else None for row in rows]
    return PrecisionTable(list(zip(rows, ratios, strict=True)), e.generated.losses, e.exported.verdict.loss,
                          e.exported.precision, told_positions(e.generated.precisions))


def _front(e: RunArtifacts) -> FrontFacts:
    points = [FrontPoint(p.cost / 1e6, e.solver.baseline + p.utility, tuple(p.choice)) for p in e.front]
    kept = prod(int(live.sum()) for live in e.solver.distribution.live)
    return FrontFacts(e.front.gap == 0, kept, points, _point(e, e.reference), _point(e, e.chosen))


def _point(e: RunArtifacts, arch: Architecture) -> FrontPoint:
    return FrontPoint(e.solver.predict(arch).latency_ms, e.predicted_score(arch), arch.choice)


def _explanation(e: RunArtifacts) -> tuple[Explanation, list[str]] | None:
    """What the budgets do to the best predicted architecture; None without a budget."""
    bounds = e.generated.bounds
    if not bounds or e.solver.precision == MIXED:  # what binds is explained for one precision
        return None
    found = explain_bounds(e.solver, bounds)
    return found, found.text(words_of(e.solver, e.exported.verdict.metric)).splitlines()


def _candidates(e: RunArtifacts) -> list[CandidateFacts]:
    """Those in the precision and the variant that ship, scored with the shared weights."""
    chosen, space = e.chosen.choice, e.solver.space
    return [
        CandidateFacts(tuple(c.choice), c.predicted_ms, c.measured_ms, e.predicted_score(space.architecture(c.choice)),
                       c.score, tuple(c.choice) == chosen)
        for c in e.generated.candidates
        if c.precision == e.generated.precision and c.variant == e.solver.variant.key
    ]


def _latency_model(e: RunArtifacts) -> LatencyModelFacts:
    model, lane = e.solver.latency, e.lane
    return LatencyModelFacts(
        model.source, model.precision, model.calibration, math.exp(model.calibration.log_spread), lane.held_out or None,
        lane.held_out_isolated_sum, lane.held_out_pairs,  # no pairs where the table was there already
        e.generated.correction.to_json() if e.generated.correction else None)


def _distribution(e: RunArtifacts) -> list[ChoiceFacts]:
    law, found = e.solver.distribution, []
    for i, (position, taken) in enumerate(zip(e.solver.space.choices, e.chosen.choice, strict=True)):
        ops = [OpFacts(op.label, op.signature, float(law.probabilities[i][k]), float(law.effects[i][k]),
                       float(law.stderr[i][k]), bool(law.live[i][k]), k == taken) for k, op in enumerate(position.ops)]
        found.append(ChoiceFacts(position.name, ops))
    return found


def _search(e: RunArtifacts) -> SearchFacts:
    asked = e.run.state.config.search
    who = asked.searcher if asked.searcher in BY_GRADIENTS else asked.strategy
    return SearchFacts(asked.mode, e.solver.baseline, e.searched.entropy, e.solver.space.size, e.log.entries,
                       e.log.failures, who, asked.evaluator)


def _layers(e: RunArtifacts) -> list[LayerFacts]:
    """Predicted cost of every position; the last row is what a call costs whatever the network is."""
    model, wide = e.solver.latency, e.solver.knowing(e.reference).latency

    def cost(op: Op, model: LatencyModel) -> LayerCost:
        return LayerCost(op.label, op.signature, model.op_cost_ms(op), op.flops)

    rows = [LayerFacts(cost(old, wide), cost(new, model), p.name)
            for p, old, new in zip(e.solver.space.positions, e.reference.ops, e.chosen.ops, strict=True)]
    old_call, new_call = (LayerCost("every call", "", m.calibration.b_ms, 0) for m in (wide, model))
    return [*rows, LayerFacts(old_call, new_call, "call")]


def _provenance(e: RunArtifacts) -> Provenance:
    state, data, checked = e.run.state, e.data, e.exported.verdict
    config = {name: value for name, value in state.config.flat().items() if name != "tables"}
    config["recipe"] = stored_recipe(data.recipe).told()
    config |= {"data": Path(config["data"]).name, "target": data.target["name"]}
    described = {k: v for k, v in data.data.items() if k != "source"}
    return Provenance(
        created=state.created, versions={"hwnas": "unknown"} | state.versions, seed=state.config.seed, config=config,
        target={**data.target, "precision": e.exported.precision}, device=e.lane.device or None,
        table_hash=e.solver.latency.table_hash,
        data={**described, "summary": data.summary, "fingerprint": data.fingerprint}, space=data.space,
        images=checked.images, runs=checked.latency.runs if checked.latency else 0, tightened=state.attempts,
        files={n: digest for stage in NEEDED for n, digest in sorted(state.stages[stage].files.items())},
    )

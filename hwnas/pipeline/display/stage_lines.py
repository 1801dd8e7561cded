"""One line about every stage of a run when it is done."""

from __future__ import annotations

from functools import singledispatch

from hwnas.data.recipe import SMALL, stored_recipe
from hwnas.pipeline.commands import nearby
from hwnas.pipeline.config.budget import called
from hwnas.pipeline.display.score_lines import counts_images, score
from hwnas.pipeline.display.watch import duration
from hwnas.pipeline.run.branches import TARGETS
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.own_results import (
    FitResult,
    PlanResult,
    ReadResult,
    ScoresResult,
    ShipResult,
    TuneResult,
    UnitsResult,
)
from hwnas.pipeline.run.read_result import EVERY_RESULT
from hwnas.pipeline.run.result_parts import LaneResult
from hwnas.pipeline.run.results import (
    DataResult,
    ExportResult,
    FinetuneResult,
    GenerateResult,
    ProfileResult,
    SearchResult,
    StageResult,
    TrainedResult,
)
from hwnas.progress import plural

BREAK = f"\n{'':<22}"  # before a further line: name and seconds of the stage stand in front of the first


@singledispatch
def line(found: StageResult) -> str:
    """What a finished stage found."""
    return ""


@line.register
def _(found: DataResult) -> str:
    space = f"space {found.space['name']}: {plural(found.choices, 'choice')}, {int(found.size):,} architectures"
    recipe = stored_recipe(found.recipe)
    chosen = "" if recipe.name == SMALL else f"{BREAK}recipe {recipe.told()}"
    if (plan := found.planned) is not None:
        chosen += (f"{BREAK}{plural(plan.epochs, 'epoch')} of reference and result, {plan.warmup} and "
                   f"{plan.epochs_per_evaluation:g} an evaluation of the search: about {duration(plan.seconds)}")
    if found.shares > 1:
        chosen += f"{BREAK}reference and search side by side, half of the threads each"
    return "".join([f"{found.summary}{BREAK}{space}{chosen}",
                    *(f"{BREAK}warning: {warning}" for warning in found.warnings)])


@line.register
def _(found: ProfileResult) -> str:
    lines = [_lane(lane, several=len(found.lanes) > 1) for lane in found.lanes]
    if found.reference is not None:  # what percentages are of from now on; a run of hwnas 0.1 did not fix it
        told = f"reference {found.reference.latency_ms:.3f} ms {found.reference.basis}"
        lines.append("; ".join([told, *(f"budget {called(name)} {text}" for name, text in found.limits.items())]))
    lines += [f"budget {budget} has no network: {why}" for budget, why in found.infeasible.items()]
    return BREAK.join(lines)


def _lane(lane: LaneResult, several: bool) -> str:
    named = f"{lane.precision}: " if several else ""
    warned = "".join(f"; warning: {warning}" for warning in lane.warnings)
    if lane.source == "estimated":
        what = "no block" if lane.device else "nothing"
        return (f"{named}{what} measured: reference estimated at {lane.reference_ms:.3f} ms "
                f"({lane.reference_low_ms:.3f}-{lane.reference_high_ms:.3f}){warned}")
    timed = f"{plural(lane.measured, 'block')} timed" if lane.measured else "table is full"
    error = f", error on held-out networks {lane.held_out['mape']:.1f} %" if lane.held_out else ""
    return f"{named}{timed}{error}; reference predicted at {lane.reference_ms:.3f} ms{warned}"


@line.register
def _(found: TrainedResult) -> str:
    return f"{found.metric} {score(found)}"


@line.register
def _(found: FinetuneResult) -> str:
    told = f"{found.metric} {score(found)}"
    return f"{told}, the same network as within {found.same_as}: trained once" if found.same_as else told


@line.register
def _(found: SearchResult) -> str:
    how = {"shared": " with shared weights", "bn": " with batch norms trained alone",
           "partial": " with shared weights on a part of the channels"}.get(found.evaluator, "")
    warned = "".join(f"{BREAK}warning: {warning}" for warning in found.warnings)
    return f"{plural(found.evaluations, 'evaluation')}, mean {found.metric}{how} {found.baseline:.2f} %{warned}"


@line.register
def _(found: GenerateResult) -> str:
    within = ", ".join(f"{called(name)} {text}" for name, text in found.limits.items()) or "the budget"
    out = "".join(f"; {precision} is out: {why}" for precision, why in found.out.items())
    if found.tighten > 1 and found.correction is not None:
        out += (f"; the table was asked for {found.tighten:.2f} times the budget, since networks measure "
                f"{found.correction.factor:.2f} of what it says here")
    out += f"{BREAK}{found.close}" if found.close else ""
    told = f"{plural(len(found.candidates), 'candidate')} within {within}; the best"
    told += f" in {found.precision}" if found.precision != "fp32" else ""
    if found.precisions:
        lowered = sum(precision != "fp32" for precision in found.precisions.values())
        told += f" ({lowered} of {plural(len(found.precisions), 'position')} lowered)"
    if found.measured_ms is None or found.reference_measured_ms is None:
        word = "estimated" if found.latency_source == "estimated" else "predicted"
        low, high = found.interval or (0.0, 0.0)
        return (f"{told} {word} at {found.predicted['latency'] / 1e6:.3f} ms ({low:.3f}-{high:.3f}), not measured{out}")
    return (f"{told} measured {found.measured_ms.median_ms:.3f} ms, reference "
            f"{found.reference_measured_ms.median_ms:.3f} ms{out}")


@line.register
def _(found: ExportResult) -> str:
    verdict, loss = found.verdict, found.verdict.loss
    latency = f"median {verdict.latency.median_ms:.3f} ms" if verdict.latency else "not measured on the device"
    lost = f", {verdict.precision} against fp32 {0 - loss['drop']:+.2f} points" if loss else ""
    outputs = ("fp32 " if loss else "") + ("logits" if counts_images(verdict.standing) else "outputs")
    return (f"{verdict.metric} {score(verdict)}{lost}, {latency}, {outputs} within "
            f"{found.in_fp32.max_difference:.0e} of torch's")


@line.register
def _(found: ReadResult) -> str:
    fit, score, judge = found.images
    scored = ""
    if "accuracy" in found.scores:
        scored = (f"{BREAK}your network: {found.scores['accuracy']:.2f} % +- {found.scores['accuracy_se']:.2f} on the "
                  f"{judge:,} images that judge, as you said it is fed")
    shape = "x".join(map(str, found.input_shape))
    return "".join([f"{found.network}, input {shape}, folded within {found.difference:.0e} of what was given; "
                    f"{fit:,} images calibrate, {score:,} score, {judge:,} judge", scored,
                    *(f"{BREAK}warning: {warning}" for warning in found.warnings)])


@line.register
def _(found: FitResult) -> str:
    if not found.images:
        return "units are not replaced"
    forms = sum(map(len, found.forms.values()))
    return f"{plural(forms, 'thinner form')} of {plural(len(found.forms), 'unit')}, fitted on {found.images:,} images"


@line.register
def _(found: UnitsResult) -> str:
    frozen = sum(bool(unit.frozen) for unit in found.units)
    kept = plural(sum(found.kept.values()), "node")
    warned = "".join(f"{BREAK}warning: {warning}" for warning in found.warnings)
    budgets = ", ".join(f"{text} = {ms:.3f} ms" for text, ms in found.limits.items())
    held = int(found.facts.get("units_known", 0))
    known = f"; {plural(held, 'time')} of units from the table" if held else ""
    timed, error = plural(int(found.facts["plans"]), "plan"), 100 * found.facts["error_left_out"]
    return (f"{plural(len(found.units), 'unit')}{f' ({frozen} stay)' if frozen else ''}, {kept} between them; "
            f"{found.whole_ms:.3f} ms, budget {budgets}; {timed} timed, each predicted by the others "
            f"within {error:.1f} %{known}{warned}")


@line.register
def _(found: ScoresResult) -> str:
    pairs = f" and {plural(found.pairs, 'pair')} of neighbours" if found.pairs else ""
    return f"{plural(found.options, 'option')}{pairs} on {found.images:,} images"


@line.register
def _(found: PlanResult) -> str:
    best = next(row for row in found.rows if row.name == found.name)
    return (f"{plural(len(found.rows), 'plan')} judged and timed in {plural(found.rounds, 'round')}; {found.name}: "
            f"{best.measured_ms:.3f} ms, loss {best.loss:.4f}, {plural(best.changed, 'place')} changed")


@line.register
def _(found: TuneResult) -> str:
    if not found.steps:
        return f"not tuned: {found.why}"
    told = f"loss {found.before:.4f} -> {found.after:.4f} in {found.steps:,} steps on {found.images:,} images"
    told += ", the last with everything rounded as int8 does" if found.rounded else ""
    return told if found.kept else f"{told}; {found.why}, the weights before are kept"


@line.register
def _(found: ShipResult) -> str:
    told = [f"{row.name}: {row.latency.median_ms:.3f} ms" +
            "".join(f", {word} {row.scores[word]:.2f} %" for word in ("agreement", "accuracy") if word in row.scores)
            for row in found.rows]
    return BREAK.join([f"{100 * found.ratio:.1f} % of the latency of the network as it was given, budget "
                       f"{found.limit_ms:.3f} ms", *told])


def heading(run: RunFolder) -> list[str]:
    """What a run is about."""
    config = run.state.config
    if config.model.source is not None:
        return [f"{nearby(config.model.source)} on {nearby(config.data.source)} -> {nearby(config.target.name)}, "
                f"budget latency {config.budgets.get('latency')}, seed {config.seed}", f"run folder {run.path}"]
    budgets = ", ".join(f"{called(name)} {text}" for name, text in config.budgets.items())
    targets = ", ".join(map(nearby, config.target.names))
    return [f"{nearby(config.data.source)} -> {targets}, space {nearby(config.space.name)}, "
            f"budget {budgets}, seed {config.seed}",
            f"run folder {run.path}"]


def branch_heading(run: RunFolder) -> str:
    """What the run of one of several budgets or targets is about."""
    config = run.state.config
    target = f"{nearby(config.target.name)}, " if run.path.parent.name == TARGETS else ""
    budgets = ", ".join(f"{called(name)} {text}" for name, text in config.budgets.items())
    return f"{target}budget {budgets} -> {run.path}"


def ended(stage: str, event: str, seconds: float, run: RunFolder) -> list[str]:
    """What a finished stage found, after its name and how long it took or that it was 'kept'."""
    took = "kept" if event == "kept" else duration(seconds)
    found = next(run.found(result) for result in EVERY_RESULT if result.stage == stage)
    first, *others = line(found).split(BREAK)
    return [f"{stage:<10} {took:>9}  {first}".rstrip(), *(f"{BREAK[1:]}{other}" for other in others)]

"""The figures of a report. Open marks and dashed lines are predicted, full ones measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from markupsafe import Markup

from hwnas.pipeline.report.axes import Canvas, Point, mark, score_span, span
from hwnas.pipeline.report.contents import CandidateFacts, Report
from hwnas.pipeline.report.hover import ShownPoint, shown, strips, with_operations
from hwnas.pipeline.run.moments import APART
from hwnas.runtime.promise import slower


@dataclass(frozen=True)
class Figure:
    """An SVG and its key: (symbol, meaning) pairs; of the front also the points that it tells apart, and what must be
    said of its marks."""

    svg: Markup
    key: list[tuple[Markup, str]]
    points: list[ShownPoint] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def figures(facts: Report) -> dict[str, Figure]:
    """Every figure of the page, by name; `latency` only where something was measured on the device."""
    return {
        "front": _front(facts),
        **({"latency": _latency(facts)} if facts.measured_here else {}),
        **({"precision": _precision(facts)} if (facts.details or {}).get("compressed", {}).get("curves") else {}),
        "history": _history(facts),
        "loss": _curve(facts, "loss", "Training loss per epoch", "loss"),
        "score": _curve(facts, "val_score", f"Validation {facts.metric} per epoch", f"{facts.metric}, %"),
    }


def _front(facts: Report) -> Figure:
    """Score with shared weights against latency: the predicted front, what was chosen and what came of it."""
    front, candidates = facts.front, [c for c in facts.candidates if c.measured_ms is not None]
    points = [(p.latency_ms, p.score) for p in front.points]
    old, new = ((p.latency_ms, p.score) for p in (front.reference, front.chosen))
    tried = [_measured(c) for c in candidates]
    everything = [*points, *tried, old, new]
    limit = next((b.limit for b in facts.budgets if b.name == "latency"), None)
    scores, begins = score_span([y for _, y in everything])
    moved = _moved(facts) if candidates and limit is not None else None
    limits = [x for x in (limit, moved[0] if moved else None) if x is not None]
    canvas = Canvas(
        "front", f"{facts.words.title} against latency: the front",
        f"{len(points)} architectures that no other beats, predicted from {points[0][0]:.3f} ms and "
        f"{points[0][1]:.1f} % to {points[-1][0]:.3f} ms and {points[-1][1]:.1f} %; the chosen one at {new[0]:.3f} ms "
        f"and {new[1]:.1f} %, the reference at {old[0]:.3f} ms and {old[1]:.1f} %.",
        span(x for x, _ in [*everything, *((x, 0.0) for x in limits)]), scores,
        "latency, ms", f"{facts.metric} with shared weights, %",
    )
    key = [(_symbol("dot", "front open"), "front, predicted"), (_symbol("diamond", "new open"), "chosen, predicted"),
           (_symbol("square", "old open"), "reference, predicted"), *_begins(begins)]
    if candidates:
        key[1:1] = [(_symbol("dot", "tried full"), "tried, measured"),
                    (_symbol("diamond", "new full"), "chosen, measured")]
    if limit is not None:
        canvas.line([(limit, canvas.y[0]), (limit, canvas.y[1])], "limit")
        canvas.label(limit, canvas.y[0], f"budget {limit:.3f} ms", "limit-text", dx=6, dy=-8)
    if moved is not None:
        canvas.line([(moved[0], canvas.y[0]), (moved[0], canvas.y[1])], "limit")
        canvas.label(moved[0], canvas.y[1], f"{moved[0]:.3f} ms at the speed of the full marks", "limit-text", dx=6,
                     dy=14)
    canvas.under, canvas.more_height = strips(canvas, front.points, front.chosen, facts.distribution)
    canvas.line(_steps(points), "front dashed")
    for x, y in points:
        canvas.mark("dot", x, y, 3.5, "front open", f"front, predicted: {x:.3f} ms, {y:.2f} %")
    for (x, y), c in zip(tried, candidates, strict=True):
        if not c.chosen:
            canvas.mark("dot", x, y, 3.2, "tried full", f"tried, measured: {x:.3f} ms, {y:.2f} %")
    canvas.mark("square", *old, 5, "old open", f"reference, predicted: {old[0]:.3f} ms, {old[1]:.2f} %")
    _chosen(canvas, new, candidates)
    rows = with_operations(shown(canvas, front.points), facts.distribution)
    return Figure(canvas.render(), key, rows, [moved[1]] if moved else [])


def _moved(facts: Report) -> tuple[float, str] | None:
    """The budget's line at the speed that the candidates were measured at, and why; None where that was the same."""
    moments = {moment.name: moment.reference_ms for moment in facts.moments}
    row = next(b for b in facts.budgets if b.name == "latency")
    if not {"budget", "candidates"} <= set(moments) or not row.told.endswith(" ms") or "%" not in row.told:
        return None
    times = moments["candidates"] / moments["budget"]
    if max(times, 1 / times) <= 1 + APART:
        return None
    limit = row.limit * times
    return limit, (f"Full marks were measured when the machine ran {slower(times)} than when the budget was fixed: at "
                   f"their speed the budget of {row.limit:.3f} ms is {limit:.3f} ms, the second line.")


def _chosen(canvas: Canvas, new: Point, candidates: list[CandidateFacts]) -> None:
    """The chosen network as predicted, tied to where it measured."""
    for c in (c for c in candidates if c.chosen):
        x, y = _measured(c)
        canvas.line([new, (x, y)], "new")
        canvas.mark("diamond", x, y, 5.5, "new full", f"chosen, measured: {x:.3f} ms, {y:.2f} %")
    canvas.mark("diamond", *new, 5.5, "new open", f"chosen, predicted: {new[0]:.3f} ms, {new[1]:.2f} %")


def _latency(facts: Report) -> Figure:
    """Measured against predicted latency; the band is 5 % either side of equality."""
    tried = [(c.predicted_ms, c.measured_ms) for c in facts.candidates if not c.chosen and c.measured_ms is not None]
    timed = facts.comparison.latency
    assert timed is not None  # the figure is drawn where it was
    old = facts.comparison.predicted_latency.reference.latency_ms, timed.reference.median_ms
    new = facts.front.chosen.latency_ms, timed.compressed.median_ms  # by the table, as all others of this figure
    held = [(p["predicted_ms"], p["measured_ms"]) for p in facts.latency_model.held_out_pairs]
    low, high = span([v for point in [*tried, *held, old, new] for v in point], 0.08)
    low = max(low, 0.0)
    off = [100 * (y / x - 1) for x, y in [*held, *tried, old, new]]
    canvas = Canvas(
        "latency", "Measured against predicted latency",
        f"{len(off)} networks on this device; measured minus predicted lies between {min(off):+.1f} % and "
        f"{max(off):+.1f} %; the chosen network {off[-1]:+.1f} %, the reference {off[-2]:+.1f} %.",
        (low, high), (low, high), "~ predicted latency, ms", "measured latency, ms",
    )
    canvas.area([(low, 0.95 * low), (high, 0.95 * high), (high, 1.05 * high), (low, 1.05 * low)], "band")
    canvas.line([(low, low), (high, high)], "diagonal")
    for x, y in held:
        canvas.mark("dot", x, y, 3.2, "front full", f"held-out network: predicted {x:.3f} ms, measured {y:.3f} ms")
    for x, y in tried:
        canvas.mark("dot", x, y, 3.2, "tried full", f"tried: predicted {x:.3f} ms, measured {y:.3f} ms")
    canvas.mark("square", *old, 5.5, "old full", f"reference: predicted {old[0]:.3f} ms, measured {old[1]:.3f} ms")
    canvas.mark("diamond", *new, 5.5, "new full", f"chosen: predicted {new[0]:.3f} ms, measured {new[1]:.3f} ms")
    key = [(_symbol("dot", "tried full"), "tried"), (_symbol("diamond", "new full"), "chosen"),
           (_symbol("square", "old full"), "reference"), (_symbol("square", "band-key full"), "within 5 %")]
    if held:
        key.insert(0, (_symbol("dot", "front full"), "held out"))
    return Figure(canvas.render(), key)


def _precision(facts: Report) -> Figure:
    """Precision at every recall of the shipped model, mean over the classes and each class, at an overlap of .5."""
    found = facts.details or {}
    rows = [[p if p is not None else 0.0 for p in row] for row in found["compressed"]["curves"]]
    recalls = found["compressed"]["recalls"]
    mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    half = len(mean) // 2
    canvas = Canvas("precision", "Precision against recall",
                    f"At an overlap of .5; the mean over {len(rows)} classes is {mean[half]:.2f} at a recall of "
                    f"{recalls[half]:.2f}.", (0.0, 1.0), (0.0, 1.02), "recall", "precision")
    for name, row in zip(found["classes"], rows, strict=True):
        canvas.line(list(zip(recalls, row, strict=True)), "old")
        canvas.mark("dot", recalls[half], row[half], 2.5, "old full", f"{name}: {row[half]:.2f} at {recalls[half]:.2f}")
    canvas.line(list(zip(recalls, mean, strict=True)), "new")
    canvas.mark("diamond", recalls[half], mean[half], 4, "new full", "mean over the classes")
    return Figure(canvas.render(), [(_symbol("diamond", "new full"), "mean over the classes"),
                                    (_symbol("dot", "old full"), "one class")])


def _history(facts: Report) -> Figure:
    """Score of every evaluation in order; first while the shared weights train, then with the final ones."""
    search = facts.search
    evaluations = search.evaluations
    scores = [e.score for e in evaluations]
    trained = sum(e.phase == "train" for e in evaluations)
    band, begins = score_span(scores)
    alone = any(e.phase == "alone" for e in evaluations)
    told = (f"{len(scores)} evaluations, each on its own" if alone else
            f"{trained} evaluations while the shared weights were trained, {len(scores) - trained} with the final ones")
    canvas = Canvas(
        "history", "Search history",
        f"{told}; scores from {min(scores):.1f} to {max(scores):.1f} %, baseline {search.baseline:.1f} %.",
        (0.0, len(scores) + 1.0), band, "evaluation", "score, %", whole_x=True,
    )
    key = [(_symbol("dot", "old full"), "alone" if alone else "train")]
    if trained < len(scores) and not alone:
        key.append((_symbol("triangle", "tried full"), "settle"))
        canvas.line([(trained + 0.5, canvas.y[0]), (trained + 0.5, canvas.y[1])], "divider")
        canvas.line([(trained + 0.5, search.baseline), (len(scores) + 1.0, search.baseline)], "tried")
        key.append((Markup('<svg class="symbol" viewBox="0 0 16 16"><path class="line tried" d="M1 8H15"/></svg>'),
                    "mean of settle"))
    key += _begins(begins)
    for i, e in enumerate(evaluations, 1):
        shape, style = ("dot", "old full") if e.phase != "settle" else ("triangle", "tried full")
        canvas.mark(shape, i, e.score, 3, style, f"{e.phase} {e.number + 1}: {e.score:.2f} %")
    return Figure(canvas.render(), key)


def _curve(facts: Report, field: str, title: str, label: str) -> Figure:
    """One quantity per epoch of both trainings."""
    lines = {who: [(e.epoch + 1.0, getattr(e, field)) for e in epochs] for who, epochs in vars(facts.training).items()}
    values = [y for line in lines.values() for _, y in line]
    last = max(x for line in lines.values() for x, _ in line)
    ends = ", ".join(f"{who} from {line[0][1]:.3g} to {line[-1][1]:.3g}" for who, line in lines.items())
    band, begins = score_span(values) if field == "val_score" else (span(values, 0.08), "")
    canvas = Canvas(f"curve-{field.replace('_', '-')}", title, f"{title}: {ends}.", (0.5, last + 0.5),
                    band, "epoch", label, whole_x=True)
    key = _begins(begins)
    for (who, line), (shape, style) in zip(lines.items(), (("square", "old"), ("diamond", "new")), strict=True):
        canvas.line(line, style)
        for x, y in line:
            canvas.mark(shape, x, y, 3, f"{style} full", f"{who}, epoch {x:.0f}: {y:.4g}")
        key.append((_symbol(shape, f"{style} full"), who))
    return Figure(canvas.render(), key)


def _measured(c: CandidateFacts) -> Point:
    """Where a candidate that was timed lies: milliseconds, percent with the shared weights."""
    return c.measured_ms or 0.0, c.shared_weights_score


def _begins(text: str) -> list[tuple[Markup, str]]:
    return [(Markup(), text)] if text else []


def _steps(points: list[Point]) -> list[Point]:
    """The front as a staircase: a budget between two points buys the cheaper one."""
    corners = [(x, before[1]) for before, (x, _) in pairwise(points)]
    return [points[0], *(p for pair in zip(corners, points[1:], strict=True) for p in pair)]


def _symbol(shape: str, style: str) -> Markup:
    return Markup('<svg class="symbol" viewBox="0 0 16 16" aria-hidden="true">{}</svg>').format(
        mark(shape, 8, 8, 5, style))

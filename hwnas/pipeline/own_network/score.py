"""Stage score: what every option adds to the loss alone, and what two neighbours add beyond that together.

Losses of replacements add up only roughly, and least so where a unit reads what a replaced one makes. So pairs of
neighbours are scored in the forms that an optimiser would like best: the one that is left out, the one convolution, and
the one of half the width. All of it on images that decide nothing else. Scores are lines of scores.jsonl, written as
they are found, so that a killed run asks for none of them twice, and neither does a run for another target for those
that hold there.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

from hwnas.pipeline.own_network.context import OwnContext
from hwnas.pipeline.run.own_results import ScoresResult
from hwnas.pipeline.run.own_scores import FILE, PAIR, UNIFORM, add_scores, scores_in
from hwnas.pipeline.stages.stage import Stage
from hwnas.surgery.plan import AS_IT_IS, FLOAT, SPANNED, TEACHER, Option, Places, Plan, is_joint, spans, with_span
from hwnas.surgery.planning import Losses
from hwnas.surgery.thin import THIN


class ScoreStage(Stage[ScoresResult]):
    """Replaces one thing at a time, then two."""

    name = ScoresResult.stage

    def run(self, context: OwnContext) -> ScoresResult:
        """Score every option of every unit, every unit at once in each precision, and pairs of neighbours."""
        judge, path = context.scoring, context.run.path
        alone = {f"{place} {option.key}": with_span(context.cut, place, option)
                 for place, options in context.places.options.items() for option in options
                 if option != AS_IT_IS and option.form != SPANNED and not is_joint(place)}
        every = {f"{UNIFORM}{p}": context.places.uniform(p) for p in context.precisions if p != FLOAT}
        wanted: dict[str, Plan] = {**alone, **every, **_pairs(context.places)}
        known = scores_in(path)
        for number, (name, plan) in enumerate(wanted.items()):
            context.progress("scoring options", number, len(wanted))
            if name not in known:
                score = judge.score(context.running(context.assembler.model(plan)))
                known[name] = {"what": name, **score.to_json()}
                add_scores(path, [known[name]])
        context.progress("scoring options", len(wanted), len(wanted))
        uniform = {name.removeprefix(UNIFORM): {k: v for k, v in known[name].items() if k != "what"} for name in every}
        return ScoresResult(options=len(alone), images=len(context.scored), uniform=uniform,
                            pairs=len(wanted) - len(alone) - len(every))

    def leaves(self, found: ScoresResult) -> Sequence[str]:
        return [FILE]


def _pairs(places: Places) -> dict[str, Plan]:
    """Neighbours in the forms that are scored together, all in floats."""
    found: dict[str, Plan] = {}
    for first, second in places.cut.next_to():
        for a, b in product(_telling(places, first), _telling(places, second)):
            found[f"{PAIR}{first} {a.key} {second} {b.key}"] = {first: a, second: b}
    return found


def _telling(places: Places, unit: str) -> list[Option]:
    """The form that goes furthest, the next that is no thinner unit, and a thinner one in the middle."""
    forms = [o for o in places.options[unit] if o.precision == FLOAT and o.form not in (TEACHER, SPANNED)
             and not spans(o)]
    thinner = [o for o in forms if o.form.startswith(THIN)]
    others = [o for o in forms if o not in thinner] or thinner[-1:]
    return [*others[:2], *[o for o in thinner[len(thinner) // 2:][:1] if o not in others]]


def losses_of(path: Path, places: Places) -> Losses:
    """What stage score found of the options of a run; what a pair adds holds in every precision of the two.

    A run that began with losses of another may have lines of options that it has not.
    """
    lines = scores_in(path)
    alone = {(place, key): line for name, line in lines.items() if not name.startswith((UNIFORM, PAIR))
             for place, key in [name.split(" ")] if Option.read(key) in places.options.get(place, ())}
    mean = {key: float(line["loss"]) for key, line in alone.items()}
    pairs: dict[tuple[str, str, str, str], float] = {}
    for name, line in lines.items():
        if not name.startswith(PAIR):
            continue
        first, a, second, b = name.removeprefix(PAIR).split(" ")
        if not {(first, a), (second, b)} <= mean.keys():
            continue
        beyond = float(line["loss"]) - mean[first, a] - mean[second, b]
        for x, y in product(_alike(mean, first, a), _alike(mean, second, b)):
            pairs[first, x, second, y] = max(beyond, 0.0)
    return Losses(mean, {key: float(line["loss_se"]) for key, line in alone.items()}, pairs)


def _alike(mean: dict[tuple[str, str], float], place: str, key: str) -> list[str]:
    """Keys of the same form of a unit, in every precision."""
    form = Option.read(key).form
    return [k for p, k in mean if p == place and Option.read(k).form == form]

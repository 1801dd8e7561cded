"""Stage score: what every option adds to the loss, alone, on images that decide nothing else.

Scores are lines of scores.jsonl, written as they are found, so that a killed run asks for none of them twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwnas.files import append_line, read_lines
from hwnas.pipeline.own_network.context import OwnContext
from hwnas.pipeline.run.own_results import ScoresResult
from hwnas.pipeline.stages.stage import Stage
from hwnas.surgery.plan import AS_IT_IS, FLOAT, is_joint
from hwnas.surgery.planning import Losses

FILE = "scores.jsonl"


class ScoreStage(Stage[ScoresResult]):
    """Replaces one thing at a time."""

    name = ScoresResult.stage

    def run(self, context: OwnContext) -> ScoresResult:
        """Score every option of every unit, and every unit at once in each precision."""
        judge, path = context.judge(context.scored), context.run.path / FILE
        wanted = {f"{place} {option.key}": {place: option} for place, options in context.places.options.items()
                  for option in options if option != AS_IT_IS and not is_joint(place)}
        every = {f"uniform {p}": context.places.uniform(p) for p in context.precisions if p != FLOAT}
        known = _known(path)
        for number, (name, plan) in enumerate({**wanted, **every}.items()):
            context.progress("scoring options", number, len(wanted) + len(every))
            if name not in known:
                score = judge.score(context.running(context.assembler.model(plan)))
                known[name] = {"what": name, **score.to_json()}
                append_line(path, known[name])
        context.progress("scoring options", len(wanted) + len(every), len(wanted) + len(every))
        uniform = {name.removeprefix("uniform "): {k: v for k, v in known[name].items() if k != "what"}
                   for name in every}
        return ScoresResult(options=len(wanted), images=len(context.scored), uniform=uniform)

    def leaves(self, found: ScoresResult) -> Sequence[str]:
        return [FILE]


def losses_of(path: Path) -> Losses:
    """What stage score found."""
    lines = [line for name, line in _known(path / FILE).items() if not name.startswith("uniform ")]
    keys = [tuple(str(line["what"]).split(" ", 1)) for line in lines]
    return Losses({(a, b): float(line["loss"]) for (a, b), line in zip(keys, lines, strict=True)},
                  {(a, b): float(line["loss_se"]) for (a, b), line in zip(keys, lines, strict=True)})


def _known(path: Path) -> dict[str, dict[str, Any]]:
    if not path.is_file():
        return {}
    return {str(line["what"]): line for line in read_lines(path)}


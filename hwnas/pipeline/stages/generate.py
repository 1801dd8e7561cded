"""Stage generate: solve the budgets, time the best candidates, score those that hold, try the finalists.

| file              | what                                                    |
|-------------------|---------------------------------------------------------|
| front.json        | what no other beats in predicted score and latency      |
| architecture.json | the winner                                              |
| sensitivity.jsonl | what a precision costs at every place, where places may differ in it |
"""

from __future__ import annotations

from collections.abc import Sequence

from hwnas.pipeline.context import RunContext
from hwnas.pipeline.latencies.spending import asked_of, check_measurable, measured_lines
from hwnas.pipeline.run.limits import reference_of
from hwnas.pipeline.run.results import GenerateResult
from hwnas.pipeline.selection.model_selector import ModelSelector
from hwnas.pipeline.stages.stage import Stage


class GenerateStage(Stage[GenerateResult]):
    """The architecture that is made."""

    name = GenerateResult.stage

    def run(self, context: RunContext) -> GenerateResult:
        _measure_what_is_new(context)
        return ModelSelector(context).choose()

    def leaves(self, found: GenerateResult) -> Sequence[str]:
        return ["front.json", "architecture.json", *([found.sensitivity] if found.sensitivity else [])]


def _measure_what_is_new(context: RunContext) -> None:
    """What budgets ask for of a run that took over the search of another, which nobody asked before.

    Raises:
        UsageError: this machine cannot measure it.
    """
    state, targets = context.run.state, context.targets
    known = set.intersection(*({*state.spends.get(target.precision, {})} for target in targets.values()))
    asked = [name for name in asked_of(each.wanted for each in context.config.on_first) if name not in known]
    if not asked:
        return
    first = next(iter(targets.values()))
    check_measurable(asked, first, all(context.run.lane(precision).here for precision in targets))
    reference, lines = measured_lines(context.space, targets.values(), asked, reference_of(context.run, context.space),
                                      progress=context.progress)
    state.reference = reference
    state.spends = {precision: {**state.spends.get(precision, {}), **found} for precision, found in lines.items()}
    context.run.save()

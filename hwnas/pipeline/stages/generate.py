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
from hwnas.pipeline.run.results import GenerateResult
from hwnas.pipeline.selection.model_selector import ModelSelector
from hwnas.pipeline.stages.stage import Stage


class GenerateStage(Stage[GenerateResult]):
    """The architecture that is made."""

    name = GenerateResult.stage

    def run(self, context: RunContext) -> GenerateResult:
        return ModelSelector(context).choose()

    def leaves(self, found: GenerateResult) -> Sequence[str]:
        return ["front.json", "architecture.json", *([found.sensitivity] if found.sensitivity else [])]

"""Stage data: load the images and build the space to their size. Leaves facts in run.json.

A space that no builder of the package makes is in run.json whole, and beside it as a file of its own, space.json.
"""

from __future__ import annotations

from collections.abc import Sequence

from hwnas.files import write_json
from hwnas.pipeline.context import RunContext
from hwnas.pipeline.duration import planned
from hwnas.pipeline.own_code import own_code
from hwnas.pipeline.run.results import DataResult, PlannedResult, described
from hwnas.pipeline.shares import shares_of
from hwnas.pipeline.stages.stage import Stage
from hwnas.pipeline.task_setup import adapted
from hwnas.search.roles import StagedReducer, create_reducer
from hwnas.space import space_to_json
from hwnas.tasks import find

FILE = "space.json"


class DataStage(Stage[DataResult]):
    """What is learnt from, and what can be built for it."""

    name = DataResult.stage

    def run(self, context: RunContext) -> DataResult:
        context.starts_from("search", "search.safetensors")  # a run to start from that is not there is better said now
        data, space = context.dataset, context.space
        reducer = create_reducer(context.config.search.reduce, context.config.search.keep)
        if isinstance(reducer, StagedReducer):
            reducer.first(space)  # one for other spaces says so before a reference is trained
        unseen = data.check(context.progress) or ()  # rather than in the middle of a training
        if space.config.graph is not None:
            write_json(context.run.path / FILE, space_to_json(space))
        shares = shares_of(context.config, data, space)
        first = next(iter(context.targets.values()))
        return DataResult(
            data=data.describe(), fingerprint=data.fingerprint, summary=data.summary(),
            space=space.config.to_json(), choices=len(space.choices), size=str(space.size),
            variants=[variant.key for variant in context.spaces],
            target=described(first), budgets=dict(context.config.budgets),
            recipe=context.recipe.model_dump(mode="json"), code=own_code(context.config, context.recipe),
            planned=_planned(context, shares),
            shares=shares,
            warnings=[*adapted(context.config, space), *data.notes, *unseen,
                      *find(context.config.task).data_warnings(data.describe())],
        )

    def leaves(self, found: DataResult) -> Sequence[str]:
        return () if found.space.get("graph") is None else (FILE,)


def _planned(context: RunContext, shares: int) -> PlannedResult | None:
    """How long is trained, where a time is given."""
    if context.config.train.time is None:
        return None
    options, seconds = planned(context.config, context.dataset, context.space, len(context.config.networks), shares)
    return PlannedResult(**options, seconds=seconds)

"""One network for all targets of a run: whichever of their runs comes first chooses, and the others take it over.

Each target has a run of its own, with its latencies, its export and its report; the architecture is one. It is chosen
within the budgets of all, and its candidates are timed on every target that is this machine. Where a model measures
over its budget on one, that target's budget is tightened: what was agreed upon no longer holds, and it is chosen anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hwnas.pipeline.config.budget import parse_all
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.results import GenerateResult
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.pipeline.selection.candidates import Configuration
from hwnas.pipeline.selection.devices_solver import for_devices

if TYPE_CHECKING:
    from hwnas.pipeline.context import RunContext

AFTER = ("generate", "finetune", "export", "report")


def tightened(runs: Sequence[RunFolder]) -> dict[str, float]:
    """Target -> factor on its latency budget, as it stands now."""
    return {run.state.config.target.name: run.state.tighten for run in runs}


def for_all(context: RunContext, solvers: Mapping[Configuration, ArchitectureSolver]
            ) -> dict[Configuration, ArchitectureSolver]:
    """The solvers of a run, with the budgets of all targets where one network is for all of them."""
    others = context.together
    if not others:
        return dict(solvers)
    [precision] = {kind.precision for kind in solvers}
    runs = {run.state.config.target.name: run for run in (context.run, *others)}
    of_each = {name: ArchitectureSolver.all_of_run(run) if run is not context.run else
               {kind.variant: solver for kind, solver in solvers.items()} for name, run in runs.items()}
    found = for_devices(of_each, context.config.target.name,
                        {name: parse_all(run.state.config.budgets) for name, run in runs.items()},
                        tightened(list(runs.values())), context.give_up)
    return {Configuration(precision, variant): solver for variant, solver in found.items()}


def agreed(context: RunContext) -> GenerateResult | None:
    """What another target's run chose for all, as long as it holds; None where this one has to choose."""
    others = context.together
    now = tightened([context.run, *others])
    for run in others:
        found = run.found_if_done(GenerateResult)
        if found is not None and found.agreed == now:
            return found
    return None


def disagreeing(runs: Sequence[RunFolder]) -> list[RunFolder]:
    """Runs that hold another network than is agreed upon now."""
    now = tightened(runs)
    return [run for run in runs if (found := run.found_if_done(GenerateResult)) is not None and found.agreed != now]

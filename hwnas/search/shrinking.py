"""Shrinks a space in stages before a strategy is asked, while the shared weights are trained.

The first stage trains the epochs that warm a search up, every further one `EPOCHS`, or as many with fresh weights
where the reducer says so; then the reducer says which ops are left. The search goes on with these, with the weights as
they are and without a warm-up of its own.

    shrunk.safetensors     weights and momenta after the last whole stage, what the reducer compares them with, which
                           ops were left, and what all of it depends on

Killed, it goes on behind the last whole stage, bit for bit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hwnas.errors import RunError, UsageError
from hwnas.progress import Progress, silent
from hwnas.search.config import SearchConfig
from hwnas.search.cycle import fair_paths
from hwnas.search.distribution import BoolArray
from hwnas.search.effort import Effort
from hwnas.search.evaluators.setting import NetworkEvaluator
from hwnas.search.evaluators.shared import SupernetEvaluator
from hwnas.search.roles import Evaluator, Mask, StagedReducer
from hwnas.search.schedule import fair_rounds
from hwnas.space import Space
from hwnas.tracking.tracker import Curve, no_curve
from hwnas.train.checkpoint import load_tensors, save_tensors
from hwnas.train.loop import restore, snapshot

EPOCHS = 2
FILE = "shrunk.safetensors"
BASE = "base."


def shrunk(space: Space, evaluator: NetworkEvaluator, reducer: StagedReducer, config: SearchConfig, folder: Path,
           origin: dict[str, Any], progress: Progress = silent, curve: Curve = no_curve) -> Mask:
    """The mask after all stages; the weights of the evaluator are then as the last of them left them.

    Args:
        origin: what all of it depends on.

    Raises:
        UsageError: an evaluator without shared weights, or several processes.
        RunError: the files in `folder` belong to another search.
        TrainingDiverged: the loss became NaN.
    """
    if not isinstance(evaluator, SupernetEvaluator) or evaluator.additive() is not None:
        raise UsageError("a space is shrunk by what training does to shared weights: take the evaluator shared")
    if (world := evaluator.fold.accelerator.world) > 1:
        raise UsageError(f"a space is shrunk in one process, not in {world}: take --reduce migo")
    reducer.begin(evaluator)
    drawn = snapshot(evaluator.supernet, evaluator.optimizer) if reducer.renews else {}
    initial = {name: value.clone() for name, value in drawn.items()}
    live, stage = _left(folder / FILE, evaluator, reducer, origin, reducer.first(space))
    lengths = stage_epochs(reducer, config)
    whole, folds = evaluator.fold, [reducer.fold(evaluator.fold, number) for number in range(reducer.stages)]
    steps = [fold.steps(config.train.batch) for fold, length in zip(folds, lengths, strict=True) for _ in range(length)]
    rounds = fair_rounds(0, steps, 0, config.train.lr)
    for number in range(stage, reducer.stages):
        first, evaluator.fold = sum(lengths[:number]), folds[number]
        for current in rounds[first : first + lengths[number]]:
            rng = np.random.default_rng((evaluator.seed, 6, current.number))
            # Far from the numbers of the search's rounds, which draw batches by theirs.
            loss = evaluator.train(fair_paths(live, rng), 10**6 + current.number, len(current.rates), current.rates)
            curve(current.number, {"loss": loss, "lr": current.rates[-1]})
            progress("shrink", current.number + 1, len(rounds))
        live = reducer.shrink(space, live, number, evaluator)
        if reducer.renews and number < reducer.stages - 1:
            evaluator.optimizer.state.clear()
            restore(evaluator.supernet, evaluator.optimizer, initial)
        tensors = snapshot(evaluator.supernet, evaluator.optimizer)
        tensors |= {f"{BASE}{name}": value for name, value in reducer.tensors().items()}
        save_tensors(folder / FILE, tensors, {
            "origin": origin, "stage": number + 1, "live": [row.tolist() for row in live],
            "reducer": reducer.state_dict()})
    evaluator.fold = whole
    return live


def stage_epochs(reducer: StagedReducer, config: SearchConfig) -> list[int]:
    """Epochs of every stage."""
    first = max(1, config.warmup)
    return [first, *[first if reducer.renews else EPOCHS] * (reducer.stages - 1)]


def shrinking_effort(reducer: StagedReducer, config: SearchConfig, evaluator: Evaluator) -> Effort:
    """What it takes to shrink a space, where every stage sees all images."""
    return Effort(sum(stage_epochs(reducer, config))) + evaluator.effort() * (reducer.scored * reducer.stages)


def _left(path: Path, evaluator: SupernetEvaluator, reducer: StagedReducer, origin: dict[str, Any],
          everything: Mask) -> tuple[Mask, int]:
    """The mask and the number of whole stages of a killed one, whose weights are taken up."""
    if not path.exists():
        return everything, 0
    tensors, state = load_tensors(path)
    try:
        if state["origin"] != origin:
            raise RunError(f"{path} belongs to another search (space, data, seed or options differ): choose another "
                           "folder, or delete it to start again")
        live: list[BoolArray] = [np.array(row, dtype=np.bool_) for row in state["live"]]
        if [row.shape for row in live] != [row.shape for row in everything] or not all(row.any() for row in live):
            raise ValueError("its mask is of another space")
        base = {name.removeprefix(BASE): value for name, value in tensors.items() if name.startswith(BASE)}
        reducer.load(state["reducer"], base)
        restore(evaluator.supernet, evaluator.optimizer,
                {name: value for name, value in tensors.items() if not name.startswith(BASE)})
        return live, int(state["stage"])
    except (KeyError, TypeError, ValueError, RuntimeError) as err:
        raise RunError(f"{path} is no checkpoint of this search ({type(err).__name__}): delete it to start again"
                       ) from err

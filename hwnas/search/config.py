"""How a search of networks goes: which strategy, what scores, how the shared weights are trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from hwnas.train import TrainConfig

ROLES = ("strategy", "evaluator", "reduce", "evaluations", "searcher", "architecture_lr", "evaluation_epochs",
         "evaluation_table", "bn_scope", "cost_target")


LATER = {"optimizer": "sgd", "ema": 0.0, "drop_path": 0.0, "accumulate": 1, "patience": 0}
"""Fields of the training that checkpoints of hwnas 0.1 do not name, with their defaults."""


@dataclass(frozen=True)
class SearchConfig:
    """How a distribution is learnt.

    Args:
        strategy: what asks for architectures, see `hwnas.search.registry`.
        evaluator: what scores them, and `reduce`: which ops are left in the end, see `hwnas.search.roles`.
        evaluations: how many architectures are asked for; None takes as many as MIGO's cycles need.
        searcher: who leads, see `hwnas.search.roles`; None takes the one that the evaluator needs.
        architecture_lr: learning rate of the probabilities, for the searchers that learn by gradients.
        cost_target: share of the largest network's FLOPs above which networks are pushed away, for the searchers parsec
            and fpnas; None for no such pull.
        executor: where they are scored, see `hwnas.search.roles`; None takes `inline` for one worker, else `processes`.
        workers: evaluations that are out at once, on which the search depends, and processes where there are some. For
            evaluators whose weights do not move.
        evaluation_epochs: of every training; for the evaluator scratch.
        bn_scope: which norms learn: the `last` of every op, or `all`; for the evaluator bn.
        evaluation_table: a search.jsonl whose scores are looked up; for the evaluator table.
        mode: of MIGO: `pooled` (effects from all samples), `corrected` or `reference`.
        training: `fair` (a fresh path of a fair cycle every step) or `path` (the asked path for an epoch, as MIGO-NAS
            does it); see `hwnas.search.schedule`.
        warmup: epochs of fair training before the first evaluation; for `fair`.
        epochs_per_evaluation: training between two evaluations, in epochs; for `fair`.
        cycles: s, fair cycles between two prunings.
        keep: live ops per choice at which pruning stops; the generator picks among these.
        settle: architectures scored with the final weights, from which the effects are estimated.
        holdout: share of the training set that judges paths.
        ridge: of the effect regression, in samples.
        train: batch size, peak learning rate, decay; its epochs and warm-up are not used.
        widths: shares of the space's channels at which the shared weights are to work, besides all of them.
        sizes: heights of the input in pixels at which they are to work, besides the space's own.
    """

    mode: str = "pooled"
    training: Literal["fair", "path"] = "fair"
    warmup: int = 10
    epochs_per_evaluation: float = 0.5
    cycles: int = 2
    keep: int = 3
    settle: int = 60
    holdout: float = 0.2
    ridge: float = 10.0
    train: TrainConfig = TrainConfig()
    widths: tuple[float, ...] = ()
    sizes: tuple[int, ...] = ()
    strategy: str = "migo"
    evaluator: str = "shared"
    reduce: str = "migo"
    evaluations: int | None = None
    searcher: str | None = None
    architecture_lr: float = 0.01
    cost_target: float | None = None
    executor: str | None = None
    workers: int = 1
    evaluation_epochs: int = 1
    evaluation_table: str | None = None
    bn_scope: Literal["last", "all"] = "last"

    def described(self) -> dict[str, Any]:
        """What a checkpoint must agree with: not `settle`, which comes after the last one, nor where is scored.

        What has its default is left out where checkpoints of hwnas 0.1 do not name it.
        """
        found = {key: value for key, value in asdict(self).items() if key not in ("settle", "workers", "executor")}
        for name, default in LATER.items():
            if found["train"][name] == default:
                del found["train"][name]
        for name in ("widths", "sizes"):
            if given := found.pop(name):
                found[name] = list(given)
        defaults = SearchConfig()
        for name in ROLES:
            if name in found and found[name] == getattr(defaults, name):
                del found[name]
        return found

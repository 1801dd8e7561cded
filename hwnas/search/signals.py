"""What can be said of architectures before any of them is trained alone: signals by name.

    signal          how                                                                        weights
    accuracy        metric on the images that judge, batch norm over 512 others                fair paths
    accuracy_plain  the same with the statistics that training left                            fair paths
    accuracy_uniform  as accuracy                                                              uniform paths
    additive        sum of the effects that a regression finds in `accuracy`                   fair paths
    angle           how far training has turned the weights (search/angles.py)                 fair paths
    angle_uniform   the same                                                                   uniform paths
    magnitude       sum of the sizes of the weights                                            fair paths
    bn              sum of the scales of last batch norms (evaluators/batch_norm.py)           norms alone, last
    bn_all          the same                                                                   norms alone, all
    params, flops, synflow, jacob_cov, naswot, zen   see train/zero_cost.py                    none
    a+b             mean of the places that a and b give, of 0 (worst) to 1

Fair paths train every op equally often (hwnas.search.cycle); uniform ones are drawn anew every step (SPOS). Weights
that only norms are trained of get a tenth of the epochs, as in BN-NAS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from hwnas.errors import UnknownName
from hwnas.nets import Network, Supernet
from hwnas.progress import Progress, silent
from hwnas.search.additive import PART
from hwnas.search.angles import Angles, weights_of
from hwnas.search.cycle import fair_paths
from hwnas.search.distribution import FloatArray, everything_live
from hwnas.search.effects import fit_effects
from hwnas.search.evaluators.batch_norm import batch_norms
from hwnas.search.evaluators.setting import EvaluatorSetting
from hwnas.search.evaluators.shared import SupernetEvaluator, shared_weights
from hwnas.search.schedule import fair_rounds
from hwnas.search.strategy import Choice
from hwnas.train.zero_cost import ZERO_COST

Weights = Literal["fair", "uniform", "bn", "bn_all"]
IMAGES = 32  # that a network which nobody trained is shown
SEEDED = 7  # of what is drawn besides


@dataclass(frozen=True)
class _Trained:
    """A supernet: what scores with it, as it was drawn, and the batch-norm statistics that training left."""

    evaluator: SupernetEvaluator
    base: Supernet
    left: Mapping[str, Tensor]


@dataclass
class Signals:
    """The signals of the architectures of one space on one task; weights are trained when they are first asked for.

    Args:
        setting: space, task, batch size, learning rate and seed of the supernets.
        epochs: that fair and uniform paths are trained.
        progress: told of the training and of every architecture.
    """

    setting: EvaluatorSetting
    epochs: int
    progress: Progress = silent
    _said: dict[tuple[str, int], FloatArray] = field(default_factory=dict)
    _trained: dict[Weights, _Trained] = field(default_factory=dict)

    def know(self, name: str, cells: Sequence[Choice], values: FloatArray) -> None:
        """A signal that was computed before, so that what is made of it need not compute it again."""
        self._said[name, hash(tuple(cells))] = values

    def __call__(self, name: str, cells: Sequence[Choice]) -> FloatArray:
        """A signal of every architecture; -inf where it has none.

        Raises:
            UnknownName: no such signal.
        """
        if "+" in name:
            return np.mean([places(self(part, cells)) for part in name.split("+")], axis=0)  # type: ignore[no-any-return]
        if (name, hash(tuple(cells))) not in self._said:
            self.know(name, cells, self._computed(name, cells))
        return self._said[name, hash(tuple(cells))]

    def _computed(self, name: str, cells: Sequence[Choice]) -> FloatArray:
        if name in ZERO_COST:
            return self._each(name, cells, self._untrained(name))
        if name == "additive":
            return self._additive(cells)
        found = self._ways().get(name)
        if found is None:
            raise UnknownName("signal", name, NAMES)
        return self._each(name, cells, found())

    def _ways(self) -> dict[str, Callable[[], Callable[[Choice], float]]]:
        return {
            "accuracy": lambda: self._supernet("fair").evaluator.score,
            "accuracy_plain": lambda: _plain(self._supernet("fair")),
            "accuracy_uniform": lambda: self._supernet("uniform").evaluator.score,
            "angle": lambda: _angle(self._supernet("fair")),
            "angle_uniform": lambda: _angle(self._supernet("uniform")),
            "magnitude": lambda: _magnitude(self._supernet("fair")),
            "bn": lambda: _sum(self._supernet("bn")), "bn_all": lambda: _sum(self._supernet("bn_all")),
        }

    def _each(self, name: str, cells: Sequence[Choice], of: Callable[[Choice], float]) -> FloatArray:
        found = []
        for number, choice in enumerate(cells, 1):
            found.append(of(choice))
            self.progress(name, number, len(cells))
        return np.array(found)

    def _additive(self, cells: Sequence[Choice]) -> FloatArray:
        """Effects of one half of the architectures say what the other is worth: no score speaks for itself."""
        scores, halves = self("accuracy", cells), np.arange(len(cells)) % 2
        found = np.zeros(len(cells))
        for half in (0, 1):
            known = np.flatnonzero(halves != half).tolist()
            fit = fit_effects([cells[i] for i in known], scores[known].tolist(), [0] * len(known),
                              self.setting.space.sizes, self.setting.config.ridge)
            rows = fit.rows()
            for i in np.flatnonzero(halves == half).tolist():
                found[i] = sum(row[k] for row, k in zip(rows, cells[i], strict=True))
        return found

    def _untrained(self, name: str) -> Callable[[Choice], float]:
        space, task, of = self.setting.space, self.setting.task, ZERO_COST[name]
        mean, std = task.data.mean.tolist(), task.data.std.tolist()
        shown = np.moveaxis(np.asarray(task.train_images[:IMAGES]), -1, 1)
        images = torch.from_numpy(np.ascontiguousarray(shown)).float() / 255

        def score(choice: Choice) -> float:
            arch = space.architecture(choice)
            if not arch.connected:
                return -np.inf
            torch.manual_seed(self.setting.seed)
            return of(Network(arch, mean, std), images)

        return score

    def _supernet(self, weights: Weights) -> _Trained:
        """Trained when it is first asked for."""
        if weights not in self._trained:
            self._trained[weights] = self._train(weights)
        return self._trained[weights]

    def _train(self, weights: Weights) -> _Trained:
        norms = weights.startswith("bn")
        scope: Literal["last", "all"] = "all" if weights == "bn_all" else "last"
        setting = replace(self.setting, config=replace(self.setting.config, bn_scope=scope))
        evaluator = batch_norms(setting) if norms else shared_weights(setting)
        base = evaluator.supernet if norms else shared_weights(setting).supernet
        epochs = max(1, round(PART * self.epochs)) if norms else self.epochs
        live = everything_live(self.setting.space.sizes).live
        for current in fair_rounds(0, [evaluator.steps_per_epoch] * epochs, 0, setting.config.train.lr):
            rng = np.random.default_rng((self.setting.seed, SEEDED, current.number))
            evaluator.train(_drawn(live, rng) if weights == "uniform" else fair_paths(live, rng), current.number,
                            len(current.rates), current.rates)
            self.progress(f"train {weights}", current.number + 1, epochs)
        left = {name: value.clone() for name, value in evaluator.supernet.named_buffers()}
        return _Trained(evaluator, base, left)


NAMES = ("accuracy", "accuracy_plain", "accuracy_uniform", "additive", "angle", "angle_uniform", "magnitude", "bn",
         "bn_all", *ZERO_COST)


def places(values: FloatArray) -> FloatArray:
    """The place of every value among all, 0 for the least to 1 for the largest; equal ones share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    middle = ends - (counts + 1) / 2
    return np.asarray(middle[inverse] / max(1, len(values) - 1), dtype=np.float64)


def _drawn(live: Sequence[np.ndarray], rng: np.random.Generator) -> Iterator[Choice]:
    while True:
        yield tuple(int(rng.choice(np.flatnonzero(mask))) for mask in live)


def _angle(trained: _Trained) -> Callable[[Choice], float]:
    return Angles.between(trained.base, trained.evaluator.supernet).of


def _magnitude(trained: _Trained) -> Callable[[Choice], float]:
    supernet = trained.evaluator.supernet
    sizes = [[sum(float(np.abs(t).sum()) for t in tensors) for tensors in row] for row in weights_of(supernet)]
    return lambda choice: sum(row[k] for row, k in zip(sizes, supernet.space.architecture(choice).path, strict=True))


def _sum(trained: _Trained) -> Callable[[Choice], float]:
    table = trained.evaluator.additive()
    assert table is not None
    return lambda choice: float(sum(row[k] for row, k in zip(table, choice, strict=True)))


def _plain(trained: _Trained) -> Callable[[Choice], float]:
    """Scores with the statistics that training left, those of all paths together; other scores change them."""
    evaluator, supernet = trained.evaluator, trained.evaluator.supernet

    def score(choice: Choice) -> float:
        for name, value in supernet.named_buffers():
            value.copy_(trained.left[name])
        return evaluator.fold.score(supernet.subnet(supernet.space.architecture(choice)))

    return score

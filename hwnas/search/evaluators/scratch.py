"""The score of an architecture is that of a network trained from scratch for a few epochs, one of its own each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from hwnas.nets import Network
from hwnas.search.effort import Effort
from hwnas.search.evaluators.setting import EvaluatorSetting, NetworkEvaluator, fold_of
from hwnas.space import FULL, Architecture, Space, scaled, variants
from hwnas.train import Workload, fit


class ScratchEvaluator(NetworkEvaluator):
    """Trains `evaluation_epochs` on the fold and scores on what it holds out; the same seed gives the same score.

    Costs a training per architecture, and ranks better than shared weights where few epochs tell architectures apart:
    nothing is shared between them.
    """

    def __init__(self, setting: EvaluatorSetting) -> None:
        config, folds = setting.config, setting.folds()
        self.fold, self._space, self._seed = folds[0], setting.space, setting.seed
        self._known = [(setting.space, self.fold)] + [
            (scaled(setting.space, v), folds[v.imgsz]) for v in variants(config.widths, config.sizes) if v != FULL]
        self._train = replace(config.train, epochs=config.evaluation_epochs,
                              warmup=min(config.train.warmup, config.evaluation_epochs / 2))
        self._threads = torch.get_num_threads()  # other processes must add up in the same order

    def fold_of(self, space: Space) -> Workload:
        return fold_of(space, self._known)

    def score(self, choice: Sequence[int], scaled: Space | None = None) -> float:
        space = scaled or self._space
        return self.fold_of(space).score(self.network(space.architecture(choice)))

    def effort(self) -> Effort:
        return Effort(self._train.epochs, 1)

    def network(self, arch: Architecture) -> Network:
        """`arch` trained as for its score."""
        torch.set_num_threads(self._threads)
        net, fold = fresh_network(arch, self.fold, self._seed), self.fold_of(arch.space)
        fit(net, fold, self._train, seed=self._seed)
        return net.eval()


def fresh_network(arch: Architecture, task: Workload, seed: int) -> Network:
    """`arch` with random weights of a seed, normalising as the data of the task ask for."""
    torch.manual_seed(seed)
    net = Network(arch, task.data.mean.tolist(), task.data.std.tolist())
    task.prepare(net)
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

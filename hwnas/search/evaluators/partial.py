"""Shared weights on a part of the channels (PC-DARTS); see `hwnas.nets.partial`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from hwnas.errors import UsageError
from hwnas.nets import Mixture, Network, Subnet
from hwnas.nets.partial import PartialSupernet
from hwnas.search.evaluators.setting import EvaluatorSetting
from hwnas.search.evaluators.shared import SupernetEvaluator
from hwnas.space import Architecture


@dataclass
class PartialEvaluator(SupernetEvaluator):
    """Trains and scores networks as their edges run beside what passes them; networks of their own begin anew."""

    searcher: ClassVar[str] = "pcdarts"

    def network(self, arch: Architecture) -> Network:
        """`arch` as it is drawn: the shared weights have other shapes."""
        data = self.fold.data
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            net = Network(arch, data.mean.tolist(), data.std.tolist())
            self.fold.prepare(net)
        return self.fold.accelerator.placed(net.to(memory_format=torch.channels_last))  # type: ignore[call-overload, no-any-return]

    def path_of(self, arch: Architecture) -> Subnet:
        """A mixture of one op a choice: what passes an edge is shuffled as any other."""
        return self.supernet.subnet(Mixture.of_choices(self.supernet.space, [{k: 1.0} for k in arch.choice]))


def partial_channels(setting: EvaluatorSetting) -> PartialEvaluator:
    """The evaluator as a search begins with it.

    Raises:
        UsageError: a search over widths or sizes, or a space none of whose choices has a part to see.
    """
    if setting.config.widths or setting.config.sizes:
        raise UsageError("the evaluator partial has one width and one size: leave out widths and sizes, or take the "
                         "evaluator shared")
    torch.manual_seed(setting.seed)
    task = setting.task
    supernet = PartialSupernet(setting.space, task.data.mean.tolist(), task.data.std.tolist())
    if not supernet.partial:
        raise UsageError(f"no choice of space {setting.space.name} keeps its channels at every candidate, so none can "
                         f"see a part of them: take the evaluator shared, or a space of cells of {2 * supernet.share} "
                         "channels or more")
    task.prepare(supernet)
    supernet = task.accelerator.placed(supernet.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    return PartialEvaluator(supernet, setting.folds()[0], setting.config.train, setting.seed)

"""BN-NAS: how large the scales of batch norms grow while nothing else is trained.

    symbol     meaning                                                                shape
    gamma      scales of the last batch norm of candidate k of position p             (C,)
    s_ik       sum over the positions p of choice i of mean |gamma| of candidate k    scalar
    S          sum of s over the ops of an architecture; larger is better             scalar

Source: Chen et al., BN-NAS, ICCV 2021. Convolutions stay as they were drawn, paths are drawn at random, and only batch
norms learn, for a tenth of the epochs. S adds up over the choices, so DPNG finds the best architecture of any budget
exactly where the paper has an evolution.

Ours: an op without a batch norm (skip, pooling) gets one behind it while it is trained here, since an op that has none
would have no score, and BN-only training is known to favour convolutions for that; it is no part of the network that
leaves. Ops that share weights elsewhere have their own here, or they would share the scales, too. Paths are fair. The
authors' code frees the last norms alone, the paper says all: `SCOPES`. A classifier that stays as it was drawn is drawn
with a deviation of 1 / sqrt(inputs): with 0.01, as elsewhere here, next to no gradient comes through it. What was
reproduced: benchmarks/indicators.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hwnas.errors import UsageError
from hwnas.nets import Mixture, Supernet
from hwnas.nets.mixed_op import MixedOp
from hwnas.search.distribution import FloatArray, Rows
from hwnas.search.evaluators.setting import EvaluatorSetting
from hwnas.search.evaluators.shared import SupernetEvaluator
from hwnas.space import Architecture

Scope = Literal["last", "all"]
SCOPES: tuple[Scope, ...] = ("last", "all")


@dataclass
class BatchNormEvaluator(SupernetEvaluator):
    """Trains nothing but batch norms; their scales say what ops are worth.

    A score is the task's metric with the weights as they were drawn and the norms as they were trained.

    Args:
        scope: `last`: the last norm of every candidate; `all`: every norm of the supernet.
    """

    searcher: ClassVar[str] = "additive"
    scope: Scope = "last"

    def __post_init__(self) -> None:
        free = set(self._last.values()) if self.scope == "last" else {
            module for module in self.supernet.modules() if isinstance(module, _BatchNorm)}
        self.supernet.requires_grad_(False)
        for module in free:
            module.requires_grad_(True)
        super().__post_init__()

    def train(self, paths: Iterator[Sequence[int] | Mixture], number: int, steps: int, rates: Sequence[float]) -> float:
        """As of shared weights, on the paths that have a norm which learns: over a cell that is cut none has."""
        return super().train((path for path in paths if isinstance(path, Mixture) or self._learns(path)), number, steps,
                             rates)

    def _learns(self, choice: Sequence[int]) -> bool:
        arch, last = self.supernet.space.architecture(choice), self._last
        placed = enumerate(zip(arch.live, arch.path, strict=True))
        return any(live and (number, op) in last for number, (live, op) in placed)

    def additive(self) -> Rows:
        """s of every op of every choice."""
        space, last = self.supernet.space, self._last
        rows: list[FloatArray] = [np.zeros(k) for k in space.sizes]
        for (number, op), norm in last.items():
            choice = space.choice_of[number]
            assert choice is not None
            rows[choice][op] += float(norm.weight.detach().abs().mean())
        return rows

    def _active(self, arch: Architecture) -> list[nn.Module]:
        last = self._last
        ends = (last.get((number, op)) for number, op in enumerate(arch.path))
        return [*super()._active(arch), *(norm for norm in ends if norm is not None)]

    @cached_property
    def _last(self) -> dict[tuple[int, int], _BatchNorm]:
        """The last norm of every candidate of every choice, by position and candidate."""
        found: dict[tuple[int, int], _BatchNorm] = {}
        for number, choice in enumerate(self.supernet.space.choice_of):
            for op in range(len(self.supernet.space.positions[number].ops)) if choice is not None else ():
                module = self.supernet.candidates[number].module_of(op)
                norms = [m for m in module.modules() if isinstance(m, _BatchNorm)] if module is not None else []
                if norms:
                    found[number, op] = norms[-1]
                elif str(op) in (added := self._added(number)):
                    found[number, op] = added[str(op)]
        return found

    def _added(self, number: int) -> dict[str, _BatchNorm]:
        return {name: norm for name, norm in self.supernet.candidates[number].get_submodule("norms").named_children()
                if isinstance(norm, _BatchNorm)}


def batch_norms(setting: EvaluatorSetting) -> BatchNormEvaluator:
    """The evaluator as a search begins with it.

    Raises:
        UsageError: a search over widths or sizes.
    """
    if setting.config.widths or setting.config.sizes:
        raise UsageError("the evaluator bn has one batch norm an op, of one width and one size: leave out widths and "
                         "sizes, or take the evaluator shared")
    torch.manual_seed(setting.seed)
    task, folds = setting.task, setting.folds()
    supernet = Supernet(setting.space, task.data.mean.tolist(), task.data.std.tolist(), entangled=False)
    task.prepare(supernet)
    for position, candidates in zip(setting.space.positions, supernet.candidates, strict=True):
        if position.is_choice:
            _give_norms(candidates)
            continue
        for module in candidates.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
    supernet = task.accelerator.placed(supernet.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    return BatchNormEvaluator(supernet, folds[0], setting.config.train, setting.seed, scope=setting.config.bn_scope)


def _give_norms(candidates: MixedOp) -> None:
    """A batch norm behind every candidate that has none and gives something."""
    kinds = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
    norms = {}
    for number, op in enumerate(candidates.ops):
        module = candidates.module_of(number)
        has = module is not None and any(isinstance(m, _BatchNorm) for m in module.modules())
        if not has and not op.cuts:
            norms[str(number)] = kinds[len(op.size)](op.out_channels)
    candidates.add_module("norms", nn.ModuleDict(norms))

    def normed(module: nn.Module, given: tuple[Any, ...], out: Tensor) -> Tensor:
        _, index = given
        return norms[str(index)](out) if str(index) in norms else out

    candidates.register_forward_hook(normed)

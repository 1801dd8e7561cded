"""Trials of finalists: a few epochs of fine-tuning each, half of them beside this process where that pays.

A score with shared weights favours what trains fast beside others; what counts is what trains well alone. What is tried
beside this process leaves its checkpoint, and is gone on with here: nothing is left to train, and the score is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hwnas.space import Architecture, Variant
from hwnas.train import Teacher, fit

if TYPE_CHECKING:
    from hwnas.nets import Network
    from hwnas.pipeline.context import RunContext

WORK = "trials of finalists"


class Trials:
    """The trials of one choice.

    Args:
        context: the run.
        count: how many there are.
    """

    def __init__(self, context: RunContext, count: int) -> None:
        self._context, self._count = context, count
        self._teachers: dict[tuple[int, int], Teacher] = {}

    def all_of(self, networks: Sequence[Architecture]) -> list[tuple[Network, float]]:
        """Every network as it was trained, and its score in percent on the search's held-out fold.

        Raises:
            HwnasError: what went wrong, here or beside this process.
        """
        context = self._context
        numbered = list(enumerate(networks, 1))
        there = numbered[1::2] if context.side_by_side else []
        with context.threads(shared=True):
            if there:
                context.begin_beside(WORK, trials=[_told(context, arch, number) for number, arch in there],
                                     count=self._count)
            found = {number: self.one(arch, number) for number, arch in numbered if (number, arch) not in there}
            if there and context.beside is not None:
                context.beside.found()
            found |= {number: self.one(arch, number) for number, arch in there}
        return [found[number] for number, _ in numbered]

    def one(self, arch: Architecture, number: int) -> tuple[Network, float]:
        """One of them, trained or read from where it was trained; `number` from 1 on, for people."""
        context = self._context
        net, fold = context.searched.evaluator.network(arch), context.searched.evaluator.fold_of(arch.space)
        name = "-".join([f"w{_variant(context, arch)}", *map(str, arch.choice)])
        training = replace(context.training, epochs=context.config.search.trial_epochs, patience=0)
        history = fit(net, fold.with_recipe(context.recipe), training, seed=context.config.seed,
                      teacher=self._teacher(arch), checkpoint=context.run.path / f"trial-{name}.checkpoint",
                      progress=context.progress, what=f"try finalist {number} of {self._count}",
                      curve=context.curve(f"generate/finalist {number}"))
        return net, history.score

    def _teacher(self, arch: Architecture) -> Teacher:
        """The reference, which remembers what it said: the images of a size are the same for all."""
        context, size = self._context, arch.space.config.size
        if size not in self._teachers:
            self._teachers[size] = Teacher(context.reference_at(arch.space), remember=context.workload.remembers)
        return self._teachers[size]


def done_beside(context: RunContext, trials: Sequence[Mapping[str, Any]], count: int) -> None:
    """Do the trials that another process told of."""
    every = Trials(context, count)
    for told in trials:
        space = context.spaces[Variant.read(told["variant"])]
        every.one(space.architecture(told["choice"]), told["number"])


def _told(context: RunContext, arch: Architecture, number: int) -> dict[str, Any]:
    return {"variant": _variant(context, arch), "choice": list(arch.choice), "number": number}


def _variant(context: RunContext, arch: Architecture) -> str:
    return next(variant.key for variant, space in context.spaces.items() if space.config == arch.space.config)

"""What it takes to fill a table: which models are swept together, in which order; the same for the same arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwnas.profile.blocks import Block
from hwnas.profile.calibration_networks import depth_range, random_network
from hwnas.profile.campaign import Campaign
from hwnas.profile.graph_format import Recipe
from hwnas.profile.node_builder import random_weights
from hwnas.runtime import SweepPlan
from hwnas.space import Architecture, Op, Space

RESIDENT = 290  # sessions at most: with more, memory is slow and libraries were seen to hang when they end
ANCHORS = 12
SELDOM = 4  # a network is visited in every so many-th sweep where blocks are timed: see benchmarks/latency_time.md
CHECK_NETWORKS = 100


@dataclass(frozen=True)
class Job:
    """Campaigns for one space.

    Args:
        space: the space.
        wanted: signatures to be measured.
        known: signatures that the table has, which tie campaigns to it.
        networks: whole networks, timed in every campaign.
        batch: images per call.
        seed: for weights, check networks and the order of visits.
        max_seconds: of timing, over all campaigns.
        isolated: whether every block is timed alone, too.
        calm_kernel_ms: see `Campaign`.
    """

    space: Space
    wanted: tuple[str, ...]
    known: tuple[str, ...]
    networks: tuple[Architecture, ...]
    batch: int
    seed: int
    max_seconds: float
    isolated: bool = False
    calm_kernel_ms: float = 0.0

    @cached_property
    def groups(self) -> list[tuple[str, ...]]:
        """The wanted signatures, as many together as may be resident; one empty group for none."""
        room = RESIDENT - len(self.networks) - 2 * ANCHORS
        size = max(8, room // (3 if self.isolated else 2))
        parts = range(0, len(self.wanted), size)
        return [self.wanted[i : i + size] for i in parts] or [()]

    @property
    def seconds(self) -> float:
        """Of timing, for each campaign."""
        return self.max_seconds / len(self.groups)

    def known_by(self, number: int) -> tuple[str, ...]:
        """What the table has when a group's turn comes."""
        return (*self.known, *(s for group in self.groups[:number] for s in group))

    def campaign(
        self, number: int, known_ms: Mapping[str, float], networks_ms: Mapping[int, float], kernel_ms: float
    ) -> Campaign:
        """One campaign; what is measured depends on nothing that was measured before.

        Args:
            number: of the group.
            known_ms: entries of what the table has by then.
            networks_ms, kernel_ms: see `Campaign`.
        """
        anchors = _spread(self.known_by(number), ANCHORS)
        return Campaign(
            blocks=tuple(map(self._block, self.groups[number])), anchors=tuple(map(self._block, anchors)),
            anchors_ms=known_ms, networks=self.networks, check=self._check, known_ms=known_ms,
            sentinels=(self.space.largest(), self._smallest), networks_ms=networks_ms, kernel_ms=kernel_ms,
            isolated=self.isolated, calm_kernel_ms=self.calm_kernel_ms,
        )

    def part(self, number: int, campaign: Campaign, recipe: Recipe) -> tuple[dict[str, bytes], SweepPlan]:
        """What a device is given for a campaign: the models in their form, and how they are swept."""
        weights = random_weights(self.seed + number)
        models = {
            name: model if name == "empty" else recipe.prepare(model)
            for name, model in campaign.models(self.batch, weights).items()
        }
        plan = SweepPlan(
            ("sentinel large", "sentinel small"), recipe.warmup, recipe.timed, seed=self.seed + number,
            max_seconds=self.seconds, every=dict.fromkeys(self._seldom(number), SELDOM),
        )
        return models, plan

    def _seldom(self, number: int) -> list[str]:
        """Names of the networks, where there are blocks to be timed with them.

        An entry is what every network with that op is predicted by, and a difference of two times; a network is one of
        fifty that four numbers are fitted to. Yet networks take three quarters of a sweep and more. So they take turns.
        """
        return [f"net {i}" for i in range(len(self.networks))] if self.groups[number] else []

    @cached_property
    def _check(self) -> tuple[Architecture, ...]:
        rng = np.random.default_rng(self.seed)
        low, high = depth_range(self.space)
        return tuple(random_network(self.space, int(rng.integers(low, high + 1)), rng) for _ in range(CHECK_NETWORKS))

    @property
    def _smallest(self) -> Block:
        ops = (Op.parse(s) for s in self.space.signatures)
        return self._block(min((op for op in ops if op.flops), key=lambda op: op.flops).signature)

    def _block(self, signature: str) -> Block:
        return Block(Op.parse(signature), first=signature == self.space.positions[0].ops[0].signature)


def _spread(signatures: Sequence[str], n: int) -> list[str]:
    """Up to n of them, evenly over the order of their FLOPs; those without any are too short to tie anything."""
    ordered = sorted((s for s in signatures if Op.parse(s).flops), key=lambda s: (Op.parse(s).flops, s))
    if len(ordered) <= n:
        return ordered
    return [ordered[i] for i in np.linspace(0, len(ordered) - 1, n).round().astype(int)]

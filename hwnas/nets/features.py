"""The body of a network as others use it: maps at several strides instead of an answer, in the words of timm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from hwnas.errors import UsageError
from hwnas.nets.block import Normalize
from hwnas.nets.network import Network, module_name, run_nodes
from hwnas.space import Architecture, Op, Space
from hwnas.space.heads import taps


@dataclass(frozen=True)
class Feature:
    """One map that a body gives.

    Args:
        module: the node that holds it.
        num_chs: its channels.
        reduction: pixels of the image for one of its own.
    """

    module: str
    num_chs: int
    reduction: int


def features_of(space: Space) -> tuple[Feature, ...]:
    """The last map at every stride, finest first."""
    edges = {p.name: edge for p, edge in zip(space.positions, space.edges, strict=True)}
    joined = space.concatenations
    return tuple(Feature(node, joined[node].out_channels if node in joined else p.ops[0].out_channels, stride)
                 for stride, p in taps(space.config, space.positions).items() for node in [edges[p.name].target])


class FeatureNet(nn.Module):
    """A network without its head. (N, C, H, W) pixels in 0..1 -> a list of maps (N, C_i, H / r_i, W / r_i).

    Args:
        net: a network, the modules of which are shared, not copied.
        out_indices: which of its features, counted from the finest, as in timm; None takes all.

    Attributes:
        feature_info: what every map is.

    Raises:
        UsageError: an index that there is not, or a network that is cut in two.
    """

    def __init__(self, net: Network, out_indices: Sequence[int] | None = None) -> None:
        super().__init__()
        found = features_of(net.arch.space)
        indices = range(len(found)) if out_indices is None else out_indices
        if not indices or any(not -len(found) <= i < len(found) for i in indices):
            raise UsageError(f"out_indices must be among 0..{len(found) - 1}, the features of {net.arch.space.name}; "
                             f"got {list(indices)}")
        if not net.arch.connected:
            raise UsageError("no path leads through this network: it has no features")
        self.feature_info = [found[i] for i in indices]
        self.arch: Architecture = net.arch
        self.normalize: Normalize = net.normalize
        names = self._names()
        self.blocks = nn.ModuleDict({name: block for name, block in net.blocks.items() if name in names})

    @property
    def channels(self) -> list[int]:
        """Channels of every map."""
        return [feature.num_chs for feature in self.feature_info]

    @property
    def reductions(self) -> list[int]:
        """Pixels of the image for one of every map."""
        return [feature.reduction for feature in self.feature_info]

    def described(self) -> list[dict[str, Any]]:
        """`feature_info` as JSON values."""
        return [asdict(feature) for feature in self.feature_info]

    def forward(self, x: Tensor) -> list[Tensor]:
        return run_nodes(self.arch, self.normalize(x), self._run, [f.module for f in self.feature_info])

    def _run(self, number: int, op: Op, x: Tensor) -> Tensor:
        out: Tensor = self.blocks[module_name(self.arch.space.positions[number].name)](x) if op.steps else x
        return out

    def _names(self) -> set[str]:
        wanted = {feature.module for feature in self.feature_info}
        edges = self.arch.space.edges
        end = 1 + max(i for i, edge in enumerate(edges) if edge.target in wanted)
        return {module_name(p.name) for p in self.arch.space.positions[:end]}

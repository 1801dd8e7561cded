"""All candidate ops of a space in one module; an architecture runs one path through it.

Weights are shared in three ways: two architectures that take the same op at a choice train the same tensors, ops of a
choice that differ only in kernel and expansion are slices of one block (`hwnas.nets.elastic`), and an architecture of a
scaled space (`hwnas.space.scaled`) takes the first channels of everything (`hwnas.nets.slimmable`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Self

import torch
from torch import Tensor, nn

from hwnas.nets.block import Block, Normalize
from hwnas.nets.elastic import ElasticBlock
from hwnas.nets.mixed_op import MixedOp
from hwnas.nets.mixture import Mixture
from hwnas.nets.network import Network, module_name, run_flow
from hwnas.nets.slimmable import part_block, part_state, run_part
from hwnas.space import Architecture, Op, Space


class Supernet(nn.Module):
    """Every candidate op of every position. (N, C, H, W) pixels in 0..1 -> what `Network` gives.

    Args:
        space: what can be built.
        mean, std: per-channel statistics of the training pixels in 0..1.
        entangled: whether candidates that are slices of one another share weights.
    """

    def __init__(self, space: Space, mean: list[float], std: list[float], entangled: bool = True) -> None:
        super().__init__()
        self.space = space
        self.normalize = Normalize(mean, std, len(space.input_shape) - 1)
        self.candidates = [MixedOp(p.ops, entangled) for p in space.positions]
        named = zip(space.positions, self.candidates, strict=True)
        self.positions = nn.ModuleDict({module_name(p.name): c for p, c in named})
        self._thin: dict[Op, Block] = {}  # no modules of their own: they run with views of the weights above
        self.arch = self._whole = space.largest()

    def select(self, choice: Sequence[int], scaled: Space | None = None) -> None:
        """As in hwnas 0.1, what `forward` runs where it is given no architecture; goes with the next version."""
        warnings.warn("Supernet.select is now supernet(x, arch), or supernet.subnet(arch) as a module of its own",
                      DeprecationWarning, stacklevel=2)
        self.arch = (scaled or self.space).architecture(choice)

    def subnet(self, arch: Architecture | Mixture) -> Subnet:
        """A network of the space, of a scaled one, or a mixture, that runs with the weights of this supernet."""
        return Subnet(self, arch)

    def active(self, arch: Architecture | None = None) -> list[nn.Module]:
        """The modules that a path runs, in network order; of an architecture of the space itself."""
        arch = arch or self.arch
        placed = zip(self.candidates, arch.path, arch.live, strict=True)
        modules = (c.module_of(i) for c, i, live in placed if live)
        return [m for m in modules if m is not None]

    def forward(self, x: Tensor, arch: Architecture | Mixture | None = None) -> Tensor | list[Tensor]:
        """What a network of the space, or of a scaled one, gives; or a mixture over the candidates of every position.

        Args:
            x: pixels in 0..1, (N, C, *size).
            arch: the network or the mixture; None takes the largest network of the space.
        """
        if isinstance(arch, Mixture):
            flow = arch.executions(self.space)
            return run_flow(self._whole, self.normalize(x), partial(self._run_mixture, arch), flow)
        arch = arch or self.arch
        return run_flow(arch, self.normalize(x), partial(self._run, arch.path))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        for block in self._thin.values():  # they are no submodules, and yet go where this one goes
            block._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call, no-any-return]

    def _run_mixture(self, mixture: Mixture, number: int, op: Op, x: Tensor) -> Tensor:
        out = self.candidates[number].mixture(x, mixture.weights[number])
        return x.new_zeros(len(x), *op.out_shape) if out is None else out

    def _run(self, path: Sequence[int], number: int, op: Op, x: Tensor) -> Tensor:
        index = path[number]
        if op == self.candidates[number].ops[index]:
            out: Tensor = self.candidates[number](x, index)
            return out
        wide = self._wide(number, index)
        if wide is None:
            return x
        if op not in self._thin:
            self._thin[op] = part_block(op, x.device)
        return run_part(self._thin[op].train(self.training), wide, x)

    def _wide(self, number: int, index: int) -> nn.Module | None:
        """The block of which a candidate of a scaled space is a part; None for one without steps."""
        module = self.candidates[number].module_of(index)
        return module.block if isinstance(module, ElasticBlock) else module

    def weights_of(self, arch: Architecture) -> dict[str, Tensor]:
        """State dict for `Network(arch)`: copies of this supernet's tensors on the path of `arch`.

        Of an architecture of a scaled space the batch-norm statistics mean nothing: re-estimate them.
        """
        state = {f"normalize.{k}": v.clone() for k, v in self.normalize.state_dict().items()}
        placed = zip(self.space.positions, arch.ops, arch.path, arch.live, strict=True)
        for number, (position, op, index, live) in enumerate(placed):
            own = self._state_of(number, index, op) if live else {}
            state |= {f"blocks.{module_name(position.name)}.{k}": v for k, v in own.items()}
        return state

    def _state_of(self, number: int, index: int, op: Op) -> dict[str, Tensor]:
        if op == self.candidates[number].ops[index]:
            return self.candidates[number].state_of(index)
        wide = self._wide(number, index)
        return {} if wide is None else part_state(op, wide)

    def network(self, arch: Architecture) -> Network:
        """`arch` as a network of its own that starts from this supernet's weights (copied)."""
        mean, std = self.normalize.mean.flatten().tolist(), self.normalize.std.flatten().tolist()
        net = Network(arch, mean, std)
        net.load_state_dict(self.weights_of(arch))
        formats = {4: torch.channels_last, 5: torch.channels_last_3d}  # by the axes of a batch
        fast = formats.get(self.normalize.mean.ndim)
        net = net.to(self.normalize.mean.device)
        return net if fast is None else net.to(memory_format=fast)  # type: ignore[call-overload]


class Subnet(nn.Module):
    """One network of a supernet as a module. (N, C, H, W) pixels in 0..1 -> what `Network` gives.

    Args:
        supernet: holds all weights; nothing here is a copy.
        arch: as `Supernet.forward` takes it.
    """

    def __init__(self, supernet: Supernet, arch: Architecture | Mixture) -> None:
        super().__init__()
        self.supernet, self.arch = supernet, arch

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        return self.supernet(x, self.arch)  # type: ignore[no-any-return]

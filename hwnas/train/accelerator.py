"""Where networks are trained: the device, its number format, and the processes that train together.

torch does the work (`torch.amp`, `torch.distributed`); `torchrun` and `accelerate launch` say by the environment how
many processes there are. On one CPU nothing here costs or changes anything.

Glossary
    rank, world   number of this process, and how many train together; rank 0 leads: it alone writes files
    amp           number format of the multiplications in training: fp32 ('no'), bf16, or fp16 with scaled gradients
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, distributed, nn

from hwnas import launch
from hwnas.errors import UsageError
from hwnas.nets import ranks
from hwnas.train import processes

Module = TypeVar("Module", bound=nn.Module)
Amp = Literal["no", "bf16", "fp16"]
FORMATS: Mapping[str, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}
NAMES = ("auto", "cpu", "cuda", "mps")
_SCALE = "amp_scale"
_HEADER = 128  # numbers that tell the shapes of the outputs of a network


@dataclass(eq=False)
class Accelerator:
    """Places networks and batches, and takes training steps.

    Args:
        device: where networks and batches are.
        amp: number format in training. Weights, batch-norm statistics, losses and evaluation stay float32.
        rank, world: see above.
        compiles: whether networks that are trained alone are compiled by `torch.compile`.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    amp: Amp = "no"
    rank: int = 0
    world: int = 1
    compiles: bool = False
    _scaler: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.amp not in ("no", *FORMATS):
            raise UsageError(f"amp is one of no, {', '.join(FORMATS)}, not {self.amp!r}")
        if self.amp == "fp16" and self.device.type == "cpu":
            raise UsageError("fp16 trains on a GPU; on a CPU take bf16, or no")
        if not 0 <= self.rank < self.world:
            raise UsageError(f"rank {self.rank} is not one of {self.world} processes, numbered from 0")
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=self.amp == "fp16")

    @classmethod
    def find(cls, device: str = "auto", amp: Amp = "no", *, compiles: bool = False) -> Accelerator:
        """The accelerator of this machine; joins the group of processes that `torchrun` started.

        Args:
            device: one of `NAMES`, also 'cuda:1'; 'auto' takes CUDA or MPS where torch finds one.

        Raises:
            UsageError: torch does not find it, or the environment of the group is not complete.
        """
        place, world = _device(device), launch.world()
        if world > 1:
            if place.type == "mps":
                raise UsageError(f"{world} processes cannot share the one GPU of Apple silicon: start the run without "
                                 "torchrun, or take --accelerator cpu")
            if ":" in device and place.type == "cuda":
                raise UsageError(f"{world} processes cannot share {device}: with --accelerator cuda each takes one of "
                                 "its own")
            processes.join()
        return cls(place, amp, launch.rank(), world, compiles)

    @property
    def leads(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    @contextlib.contextmanager
    def apart(self) -> Iterator[None]:
        """Inside the block this process works for itself, as if it were the only one."""
        group = self.rank, self.world
        self.rank, self.world = 0, 1
        try:
            yield
        finally:
            self.rank, self.world = group

    def wait(self) -> None:
        """Until every process is here: what one wrote before, the others can read."""
        if self.world > 1:
            processes.wait()

    def placed(self, net: Module) -> Module:
        """The network on the device, changed in place."""
        return net.to(self.device)

    def alike(self, net: Module) -> Module:
        """The network on the device, changed in place, in every process with the weights of rank 0."""
        net.to(self.device)
        if self.world > 1:
            for tensor in (*net.parameters(), *net.buffers()):
                distributed.broadcast(tensor.data, 0)
        return net

    def compiled(self, net: nn.Module) -> nn.Module:
        """What is called in place of a network in training: the same weights, compiled where that is asked for."""
        if not self.compiles:
            return net
        # What is cached is what ops are made of, which never changes.
        warnings.filterwarnings("ignore", message="Dynamo detected a call to a `functools.lru_cache`")
        return torch.compile(net)  # type: ignore[return-value]

    def pixels(self, images: np.ndarray) -> Tensor:
        """uint8 (N, H, W, C) -> float32 (N, C, H, W) in 0..1 on the device, channels last in memory."""
        return to_pixels(images, self.device)

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Inside the block multiplications are in the number format of `amp`."""
        if self.amp == "no":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, FORMATS[self.amp])

    def floats(self, outputs: Any) -> Any:
        """Outputs of a network, a tensor or a list of them, in float32."""
        if self.amp == "no":
            return outputs
        return [values.float() for values in outputs] if isinstance(outputs, list) else outputs.float()

    @contextlib.contextmanager
    def together(self, images: int) -> Iterator[float]:
        """Inside the block all processes work on one batch, this one on `images` of it; gives its share."""
        if self.world == 1:
            yield 1.0
            return
        share = images / self.total(images)
        with ranks.together(self.world, share):
            yield share

    def total(self, value: float) -> float:
        """The sum of a number over the processes."""
        if self.world == 1:
            return value
        found = torch.tensor([value], dtype=torch.float64 if self.device.type != "mps" else torch.float32,
                             device=self.device)
        distributed.all_reduce(found)
        return float(found)

    def backward(self, loss: Tensor) -> None:
        """Gradients of a loss, added to those that are there."""
        self._scaler.scale(loss).backward()

    def step(self, optimizer: torch.optim.Optimizer, parameters: Iterable[nn.Parameter], clip: float) -> None:
        """Take a step with the gradients of all processes, no longer than `clip`.

        Every process must have gradients for the same parameters: all take the same path through a supernet.
        """
        moved = [p for p in parameters if p.grad is not None]
        self._scaler.unscale_(optimizer)
        if self.world > 1:
            _add_up([p.grad for p in moved if p.grad is not None])
        nn.utils.clip_grad_norm_(moved, clip)
        self._scaler.step(optimizer)
        self._scaler.update()

    def exchanged(self, own: Iterator[list[np.ndarray]], batches: int) -> Iterator[list[np.ndarray]]:
        """Arrays of all batches in order, where this process makes those of numbers rank, rank + world, ...

        Args:
            own: of its batches, in order; float32.
            batches: how many there are in all.
        """
        if self.world == 1:
            yield from own
            return
        for first in range(0, batches, self.world):
            mine = next(own) if first + self.rank < batches else []
            for rank in range(min(self.world, batches - first)):
                yield self._sent(mine, rank)

    def _sent(self, arrays: list[np.ndarray], rank: int) -> list[np.ndarray]:
        """The arrays of one process, in every process."""
        header = torch.zeros(_HEADER, dtype=torch.int64, device=self.device)
        if self.rank == rank:
            told = [len(arrays), *(n for array in arrays for n in (array.ndim, *array.shape))]
            header[: len(told)] = torch.tensor(told)
        distributed.broadcast(header, rank)
        numbers = iter(header.tolist())
        found = []
        for i in range(next(numbers)):
            shape = [next(numbers) for _ in range(next(numbers))]
            tensor = (torch.from_numpy(np.ascontiguousarray(arrays[i])).to(self.device) if self.rank == rank
                      else torch.empty(shape, device=self.device))
            distributed.broadcast(tensor, rank)
            found.append(tensor.cpu().numpy())
        return found

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint needs beside network and optimiser; nothing but with fp16."""
        known = self._scaler.state_dict()
        return {_SCALE: torch.tensor([known["scale"], known["_growth_tracker"]])} if known else {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from `state`."""
        if _SCALE in tensors and self._scaler.is_enabled():
            scale, tracker = tensors[_SCALE].tolist()
            self._scaler.load_state_dict({**self._scaler.state_dict(), "scale": scale, "_growth_tracker": int(tracker)})


CPU = Accelerator()


def to_pixels(images: np.ndarray, device: torch.device | None = None) -> Tensor:
    """uint8 (N, H, W, C) -> float32 (N, C, H, W) in 0..1, channels last in memory, as kernels like it."""
    stored = torch.from_numpy(images)
    moved = stored if device is None else stored.to(device)  # a quarter of the bytes that floats would be
    return moved.permute(0, 3, 1, 2).float().div_(255)


def device_of(net: nn.Module) -> torch.device:
    """Where the weights of a network are; the CPU for one without any."""
    return next((tensor.device for tensor in (*net.parameters(), *net.buffers())), torch.device("cpu"))


def _device(name: str) -> torch.device:
    if name == "auto":
        there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
        name = next(each for each, found in there.items() if found)
    try:
        found = torch.device(name)
    except RuntimeError:
        raise UsageError(f"an accelerator is one of {', '.join(NAMES)}, not {name!r}") from None
    if found.type == "cuda":
        if not torch.cuda.is_available():
            raise UsageError("torch finds no CUDA device: install a CUDA build of torch and the driver "
                             "(`hwnas doctor` says what is there), or take --accelerator cpu")
        found = torch.device("cuda", launch.local() if found.index is None else found.index)
        if found.index is not None and found.index >= torch.cuda.device_count():
            raise UsageError(f"{found} is not there: torch finds {torch.cuda.device_count()} CUDA devices")
        torch.cuda.set_device(found)
    elif found.type == "mps":
        if not torch.backends.mps.is_available():
            raise UsageError("torch finds no MPS device: take --accelerator cpu")
    elif found.type != "cpu":
        raise UsageError(f"an accelerator is one of {', '.join(NAMES)}, not {name!r}")
    return found


def _add_up(gradients: list[Tensor]) -> None:
    """Sum the gradients over the processes, in place, in one exchange."""
    flat = ranks.added_up(torch.cat([g.reshape(-1) for g in gradients]))
    for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))

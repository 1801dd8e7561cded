"""What torch is called for while the interpreter carries a network out: the calls, in order, with their arguments.

So source of a network says what the interpreter does, call by call, and the meaning of operators stands in one place.

symbol  meaning
value   a tensor that a call makes; numbered in their order
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name

from hwnas.surgery.interpreter import OnnxModule
from hwnas.surgery.operators import Node

ALIASES = ("torch.Tensor.detach", "torch.Tensor.contiguous")


@dataclass(frozen=True)
class Value:
    """A tensor that a call makes, or one that is given: `number` counts them."""

    number: int


@dataclass(frozen=True)
class Constant:
    """A tensor that no call makes: a weight or another constant.

    Args:
        number: of the constant.
        tensor: its values.
        trained: whether it is a parameter.
    """

    number: int
    tensor: Tensor = field(compare=False, repr=False)
    trained: bool = False


@dataclass(frozen=True)
class Call:
    """One call of torch.

    Args:
        name: as `torch.overrides.resolve_name` has it, e.g. `torch.relu`.
        arguments, words: with `Value` and `Constant` in place of tensors.
        made: numbers of the values that it makes, in order.
        several: whether it gives a tuple.
        place: what the node that it is for makes, a name in the model.
        rank: axes of the first value.
    """

    name: str
    arguments: Sequence[Any]
    words: Mapping[str, Any]
    made: Sequence[int]
    several: bool
    place: str
    rank: int


@dataclass(frozen=True)
class Trace:
    """What was called.

    Args:
        calls: in order.
        outputs: values or constants that the network gives.
        batch: images that it was given at once.
    """

    calls: Sequence[Call]
    outputs: Sequence[Value | Constant]
    batch: int


class _Recorder(TorchFunctionMode):
    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.place, self.calls = "", list[Call]()
        self._known: dict[int, Value | Constant] = {id(image): Value(0)}
        self._kept: list[Tensor] = [image]  # alive, or another tensor could get the same id
        self._values = self._constants = 0

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (),
                           kwargs: Mapping[str, Any] | None = None) -> Any:
        words = dict(kwargs or {})
        found = func(*args, **words)
        made = [found] if isinstance(found, Tensor) else \
            [v for v in found if isinstance(v, Tensor)] if isinstance(found, tuple | list) else []
        if not made:
            return found
        name = str(resolve_name(func))
        if id(made[0]) in self._known:
            return found
        if name in ALIASES:
            self._keep(made[0], self.told(args[0]))
            return found
        told = self.told(args), self.told(words)
        numbers = []
        for tensor in made:
            self._values += 1
            numbers.append(self._values)
            self._keep(tensor, Value(self._values))
        self.calls.append(Call(name, *told, numbers, not isinstance(found, Tensor), self.place, made[0].dim()))
        return found

    def told(self, value: Any) -> Any:
        """A value or a constant for a tensor, whatever it lies in."""
        if isinstance(value, Tensor):
            if id(value) not in self._known:
                self._constants += 1
                self._keep(value, Constant(self._constants, value.detach(), isinstance(value, nn.Parameter)))
            return self._known[id(value)]
        if isinstance(value, dict):
            return {key: self.told(part) for key, part in value.items()}
        if isinstance(value, tuple | list) and not isinstance(value, torch.Size):
            return type(value)(self.told(part) for part in value)
        return tuple(value) if isinstance(value, torch.Size) else value

    def _keep(self, tensor: Tensor, as_what: Value | Constant) -> None:
        self._known[id(tensor)] = as_what
        self._kept.append(tensor)


class _Recorded(OnnxModule):
    recorder: _Recorder

    def carry_out(self, node: Node, arguments: list[Any]) -> Any:
        self.recorder.place = node.outputs[0]
        return super().carry_out(node, arguments)


def traced(model: onnx.ModelProto, shape: Sequence[int], batch: int) -> Trace:
    """The calls that carry a network out.

    Args:
        model: one that the interpreter has every operator of.
        shape: of one image, with the batch.
        batch: images at once.

    Raises:
        UsageError: an operator that torch has no counterpart for here.
    """
    net = _Recorded(model).eval()
    image = torch.rand(batch, *shape[1:])
    recorder = net.recorder = _Recorder(image)
    with torch.no_grad(), recorder:
        outputs = net(image)
        return Trace(recorder.calls, [recorder.told(output if isinstance(output, Tensor) else torch.as_tensor(output))
                                      for output in outputs], batch)

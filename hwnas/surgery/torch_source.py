"""A network as a plain torch module that people read: model.py with named layers, and the weights that belong to it.

The source is written from the calls that the interpreter makes (`tracing`): a convolution, a product and a norm with
constant weights become layers, named after the unit that they are in; everything else is the call as it was made.
Written source is run and held against the interpreter before anybody gets it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx
import torch
from torch import Tensor

from hwnas.documents import printable
from hwnas.errors import UsageError
from hwnas.surgery.interpreter import OnnxModule
from hwnas.surgery.tracing import Call, Constant, Trace, Value, traced

CLOSE = 1e-4  # of the source to the interpreter, relative above 1
SIGNS = {"torch.Tensor.add": "+", "torch.Tensor.sub": "-", "torch.Tensor.mul": "*", "torch.Tensor.div": "/",
         "torch.Tensor.matmul": "@", "torch.add": "+", "torch.sub": "-", "torch.mul": "*", "torch.matmul": "@"}
SHAPED = ("torch.Tensor.reshape", "torch.Tensor.expand", "torch.Tensor.view")
BATCHES = (2, 1)  # that are tried: a network that is not of one image an axis is written for one image
WIDTH = 110  # of a line that holds a call inside another

_HEAD = '''"""{title}

Written by hwnas {version}; needs torch and safetensors, not hwnas.

    from model import load
    net = load("model.safetensors")     # in eval mode, in float32
    {outputs} = net(x)                  # x: float32 {shape}

{feeding}
"""

import torch
from torch import nn


class Network(nn.Module):
    """{shape} -> {shapes}."""

    def __init__(self):
        super().__init__()
{layers}

    def forward(self, x):
{forward}


def load(path, device="cpu"):
    """The network with its weights, in eval mode."""
    from safetensors.torch import load_file

    net = Network()
    net.load_state_dict(load_file(path, device=str(device)))
    return net.to(device).eval()
'''


@dataclass(frozen=True)
class TorchSource:
    """A network as source.

    Args:
        text: of model.py.
        weights: its state_dict.
        batch: None where it takes any number of images at once; else how many.
    """

    text: str
    weights: Mapping[str, Tensor]
    batch: int | None


def torch_source(model: onnx.ModelProto, *, title: str, feeding: str, version: str = "",
                 place_of: Callable[[str], str] = lambda name: "") -> TorchSource:
    """Write a float32 network as a torch module.

    Args:
        model: shapes fixed, one image.
        title: the first line of the source; `feeding`: how an image becomes the input, for people.
        place_of: what a node makes -> the unit that it is in; empty for none.

    Raises:
        UsageError: an operator that torch has no counterpart for here, or source that computes something else; says
            which.
    """
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    reason = "the source computes something else than the network"
    for batch in BATCHES:
        try:
            trace = traced(model, shape, batch)
            found = _Writer(trace, place_of).written(title, feeding, version, shape)
            if _apart(found, model, shape) <= CLOSE:
                return found
        except UsageError:
            raise
        except Exception as err:  # a network whose nodes fix the batch: torch raises what it likes
            reason = f"{type(err).__name__}: {' '.join(str(err).split())[:200]}"
    raise UsageError(f"no torch source of this network: {reason}")


def module_of(source: TorchSource) -> torch.nn.Module:
    """The module that source makes, with its weights, in eval mode: our own text is run."""
    space: dict[str, Any] = {}
    exec(compile(source.text, "model.py", "exec"), space)
    net: torch.nn.Module = space["Network"]()
    net.load_state_dict(dict(source.weights))
    return net.eval()


@torch.no_grad()
def _apart(source: TorchSource, model: onnx.ModelProto, shape: Sequence[int]) -> float:
    """Largest difference to the interpreter, relative above 1, on images that were not traced."""
    net, interpreter, worst = module_of(source), OnnxModule(model).eval(), 0.0
    generator = torch.Generator().manual_seed(1)
    for count in (1, 3) if source.batch is None else (source.batch,):
        x = torch.randn(count, *shape[1:], generator=generator)
        given, wanted = net(x), interpreter(x)
        for a, b in zip(given if isinstance(given, tuple) else (given,), wanted, strict=True):
            a, b = a.float(), torch.as_tensor(b).float()
            if a.shape != b.shape:
                return float("inf")
            apart = torch.nan_to_num((a - b).abs() / b.abs().clamp_min(1), nan=float("inf")) if a.numel() else a.sum()
            worst = max(worst, float(apart.max()))
    return worst


@dataclass
class _Writer:
    """Source of one trace."""

    trace: Trace
    place_of: Callable[[str], str]
    layers: list[str] = field(default_factory=list)
    weights: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._names: dict[tuple[Any, ...], str] = {}
        self._counts: Counter[str] = Counter()
        self._uses: Counter[int] = Counter()
        for call in self.trace.calls:
            self._uses.update(value.number for value in _values((call.arguments, call.words)))
        self._uses.update(value.number for value in _values(self.trace.outputs))
        self._told: dict[int, str] = {0: "x"}
        self._prefix = ""

    def written(self, title: str, feeding: str, version: str, shape: Sequence[int]) -> TorchSource:
        """The source with its weights."""
        lines = self._forward()
        given = [self._expression(output) for output in self.trace.outputs]
        lines.append(f"return {', '.join(given)}")
        free = self.trace.batch > 1
        sides = ["N" if free else str(shape[0]), *map(str, shape[1:])]
        text = _HEAD.format(
            title=_plain(title), version=_plain(version), feeding=_plain(feeding), shape=f"({', '.join(sides)})",
            outputs=", ".join(f"y{i}" for i in range(len(given))) if len(given) > 1 else "y",
            shapes=f"{len(given)} outputs" if len(given) > 1 else "one output",
            layers="\n".join(f"        {line}" for line in self.layers) or "        pass",
            forward="\n".join(f"        {line}" if line else "" for line in lines))
        return TorchSource(text, {name: tensor.detach().contiguous().clone() for name, tensor in self.weights.items()},
                           None if free else self.trace.batch)

    def _forward(self) -> list[str]:
        lines: list[str] = []
        pending: tuple[int, str] | None = None  # a value that the next call alone reads, as an expression
        skipped: set[int] = set()
        calls, place = list(self.trace.calls), ""
        for i, call in enumerate(calls):
            if i in skipped:
                continue
            unit = self.place_of(call.place)
            self._prefix = f"{unit}_" if unit else ""
            later = [i + k for k in range(1, 3) if i + k < len(calls)]
            expression, merged, number = self._call(call, [calls[k] for k in later])
            skipped |= {later[k] for k in merged}
            read = {value.number for value in _values((call.arguments, call.words))}
            if pending is not None and pending[0] not in read:
                lines.append(f"{self._target(pending[0])} = {pending[1]}")
                expression, merged, number = self._call(call, [calls[k] for k in later])
            pending = None
            if unit != place and unit:
                lines += [*([""] if lines else []), f"# {' '.join(_plain(unit).split())}"]
            place = unit
            if number is None:
                lines.append(f"{', '.join(self._target(n) for n in call.made)}{',' * (len(call.made) == 1)} = "
                             f"{expression}")
                continue
            following = next((calls[k] for k in range(i + 1, len(calls)) if k not in skipped), None)
            alone = self._uses[number] == 1 and following is not None and self.place_of(following.place) == unit
            reads = following is not None and number in {
                v.number for v in _values((following.arguments, following.words))}
            if alone and reads and len(expression) < WIDTH // 2:
                self._told[number] = expression
                pending = number, expression
            else:
                lines.append(f"{self._target(number)} = {expression}")
        return lines

    def _target(self, number: int) -> str:
        self._told[number] = f"x{number}"
        return self._told[number]

    def _call(self, call: Call, later: Sequence[Call]) -> tuple[str, list[int], int | None]:
        """A call as an expression, which of the following ones it holds, and the value; None of several."""
        number = None if call.several else call.made[0]
        if layer := self._layer(call):
            return layer, [], number
        if linear := self._linear(call, later):
            return linear
        arguments = [self._argument(call, i, value) for i, value in enumerate(call.arguments)]
        sign = SIGNS.get(call.name)
        if sign and len(arguments) == 2 and not _given(call.words):
            return f"{_inside(arguments[0])} {sign} {_inside(arguments[1])}", [], number
        words = [f"{key}={self._expression(value)}" for key, value in _given(call.words).items()]
        return self._spelled(call.name, arguments, words), [], number

    def _spelled(self, name: str, arguments: list[str], words: list[str]) -> str:
        method = re.fullmatch(r"torch\.Tensor\.(\w+)(\.__get__)?", name)
        if method is None:
            spelled = name.replace("torch.nn.functional.", "nn.functional.").replace("torch.functional.", "torch.")
            return f"{spelled}({', '.join([*arguments, *words])})"
        if method[2]:
            return f"{_inside(arguments[0])}.{method[1]}"
        if method[1] == "__getitem__":
            return f"{_inside(arguments[0])}[{arguments[1].removeprefix('(').removesuffix(')') or '()'}]"
        return f"{_inside(arguments[0])}.{method[1]}({', '.join([*arguments[1:], *words])})"

    def _argument(self, call: Call, place: int, value: Any) -> str:
        if call.name in SHAPED and place > 0 and self.trace.batch > 1:
            sizes = value if isinstance(value, tuple | list) else None
            first = sizes[0] if sizes else value if place == 1 else None
            if first == self.trace.batch:
                if not sizes:
                    return "len(x)"
                return f"[{', '.join(['len(x)', *map(repr, sizes[1:])])}]"
        return self._expression(value)

    def _layer(self, call: Call) -> str | None:
        """A convolution or a norm with constant weights as a layer."""
        if conv := re.fullmatch(r"torch\.nn\.functional\.(conv|conv_transpose)([123])d", call.name):
            return self._convolution(call, conv[1] == "conv_transpose", int(conv[2]))
        if call.name == "torch.nn.functional.batch_norm" and 3 <= call.rank <= 5:
            words = {**dict(zip(("input", "running_mean", "running_var"), call.arguments, strict=False)), **call.words}
            parts = [words.get(key) for key in ("weight", "bias", "running_mean", "running_var")]
            if all(isinstance(part, Constant) for part in parts):
                tensors = dict(zip(("weight", "bias", "running_mean", "running_var"), (p.tensor for p in parts
                                   if isinstance(p, Constant)), strict=True))
                tensors["num_batches_tracked"] = torch.zeros((), dtype=torch.long)
                made = f"nn.BatchNorm{call.rank - 2}d({len(tensors['weight'])}, eps={words['eps']!r})"
                name = self._named("norm", made, tuple(p.number for p in parts if isinstance(p, Constant)), tensors)
                return f"self.{name}({self._expression(words['input'])})"
        return None

    def _convolution(self, call: Call, turned: bool, rank: int) -> str | None:
        keys = ("input", "weight", "bias", "stride", "padding", *(("output_padding", "groups", "dilation") if turned
                                                                  else ("dilation", "groups")))
        words = {**dict(zip(keys, call.arguments, strict=False)), **call.words}
        weight, bias = words["weight"], words.get("bias")
        if not isinstance(weight, Constant) or not (bias is None or isinstance(bias, Constant)):
            return None
        groups, kernel = int(words.get("groups", 1)), tuple(weight.tensor.shape[2:])
        out, reads = (weight.tensor.shape[1] * groups, weight.tensor.shape[0]) if turned else (
            weight.tensor.shape[0], weight.tensor.shape[1] * groups)
        told = [str(reads), str(out), _side(kernel)]
        for key, usual in (("stride", 1), ("padding", 0), ("output_padding", 0), ("groups", 1), ("dilation", 1)):
            value = words.get(key, usual)
            if key == "groups":
                told += [f"groups={groups}"] * (groups != 1)
            elif value is not None and {*(value if isinstance(value, tuple | list) else [value])} != {usual}:
                told.append(f"{key}={_side(value)}")
        tensors = {"weight": weight.tensor} | ({"bias": bias.tensor} if bias else {})
        made = f"nn.Conv{'Transpose' * turned}{rank}d({', '.join(told + ['bias=False'] * (bias is None))})"
        name = self._named("conv", made, (weight.number, bias.number if bias else 0), tensors)
        return f"self.{name}({self._expression(words['input'])})"

    def _linear(self, call: Call, later: Sequence[Call]) -> tuple[str, list[int], int | None] | None:
        """A product with a constant matrix, and the bias behind it, as a layer."""
        turned = call.name == "torch.Tensor.mT.__get__"
        product = later[0] if turned and later else call
        if not product.name.endswith(".matmul") or len(product.arguments) != 2:
            return None
        x, w = product.arguments
        source = call.arguments[0] if turned else w
        reads_it = not turned or (isinstance(w, Value) and w.number == call.made[0] and self._uses[w.number] == 1)
        if not isinstance(source, Constant) or source.tensor.dim() != 2 or not reads_it or not isinstance(x, Value):
            return None
        weight = source.tensor if turned else source.tensor.T
        merged, number, bias = [0] if turned else [], product.made[0], None
        at = 1 if turned else 0
        if len(later) > at and later[at].name in ("torch.Tensor.add", "torch.add") and self._uses[number] == 1:
            pair = later[at].arguments
            other = next((p for p in pair if isinstance(p, Constant)), None)
            if other is not None and Value(number) in pair and tuple(other.tensor.shape) == (weight.shape[0],):
                merged, bias, number = [*merged, at], other, later[at].made[0]
        tensors = {"weight": weight} | ({"bias": bias.tensor} if bias else {})
        made = f"nn.Linear({weight.shape[1]}, {weight.shape[0]}{'' if bias else ', bias=False'})"
        name = self._named("linear", made, (source.number, turned, bias.number if bias else 0), tensors)
        return f"self.{name}({self._expression(x)})", merged, number

    def _named(self, kind: str, made: str, key: tuple[Any, ...], tensors: Mapping[str, Tensor]) -> str:
        """A layer, made once however often it is called."""
        if (kind, made, key) not in self._names:
            name = self._fresh(kind)
            self._names[kind, made, key] = name
            self.layers.append(f"self.{name} = {made}")
            self.weights.update({f"{name}.{part}": tensor for part, tensor in tensors.items()})
        return self._names[kind, made, key]

    def _fresh(self, kind: str) -> str:
        stem = f"{self._prefix}{kind}"
        stem = re.sub(r"\W", "_", stem)
        self._counts[stem] += 1
        return f"{stem}{self._counts[stem]}"

    def _constant(self, constant: Constant) -> str:
        key = ("constant", "", (constant.number,))
        if key not in self._names:
            name = self._names[key] = self._fresh("constant")
            size = ", ".join(map(str, constant.tensor.shape))
            zeros = f"torch.zeros({size or '()'}{'' if constant.tensor.dtype == torch.float32 else _dtype(constant)})"
            self.layers.append(f"self.{name} = nn.Parameter({zeros})" if constant.trained else
                               f'self.register_buffer("{name}", {zeros})')
            self.weights[name] = constant.tensor
        return f"self.{self._names[key]}"

    def _expression(self, value: Any) -> str:
        if isinstance(value, Value):
            return self._told.get(value.number, f"x{value.number}")
        if isinstance(value, Constant):
            return self._constant(value)
        if isinstance(value, tuple | list):
            inner = ", ".join(map(self._expression, value))
            return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' * (len(value) == 1)})"
        if isinstance(value, slice):
            parts = ["" if part is None else self._expression(part) for part in (value.start, value.stop)]
            return ":".join(parts) + (f":{value.step}" if value.step not in (None, 1) else "")
        if isinstance(value, float) and value in (float("inf"), float("-inf")):
            return "torch.inf" if value > 0 else "-torch.inf"
        return "..." if value is Ellipsis else f'"{value}"' if isinstance(value, torch.device) else repr(value)


def _plain(text: str) -> str:
    """Text from outside that stands inside a docstring and ends there."""
    return printable(text, lines=True).replace("\\", "/").replace('"', "'")


def _values(found: Any) -> list[Value]:
    if isinstance(found, Value):
        return [found]
    parts = found.values() if isinstance(found, dict) else found if isinstance(found, tuple | list) else ()
    return [value for part in parts for value in _values(part)]


def _given(words: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by name without those that say nothing."""
    return {key: value for key, value in words.items()
            if value is not None and not key.startswith("_")
            and (key, value if isinstance(value, str | bool) else None) not in (
                ("inplace", False), ("ceil_mode", False), ("return_indices", False), ("antialias", False),
                ("mode", "constant"))}


def _inside(expression: str) -> str:
    return expression if re.fullmatch(r"[\w.]+(\(.*\))?", expression) and _one(expression) else f"({expression})"


def _one(expression: str) -> bool:
    """Whether the brackets of an expression are one pair around all behind the name."""
    depth = 0
    for i, letter in enumerate(expression):
        depth += (letter == "(") - (letter == ")")
        if letter == ")" and depth == 0 and i < len(expression) - 1:
            return False
    return True


def _side(sizes: Any) -> str:
    sizes = tuple(sizes) if isinstance(sizes, tuple | list) else (sizes,)
    return str(sizes[0]) if len(set(sizes)) == 1 else f"({', '.join(map(str, sizes))})"


def _dtype(constant: Constant) -> str:
    return f", dtype={constant.tensor.dtype}"

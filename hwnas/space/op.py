"""One candidate operation at one position, fully specified.

An `Op` expands once, in `Op.steps`, into primitives; the counts here, the torch module in `hwnas.nets` and the ONNX
graph in `hwnas.profile` all follow from those steps, so they cannot drift apart. FLOPs means multiply-accumulates of
convolutions and linear layers, everywhere. What steps an op has is the matter of its kind (`hwnas.space.kinds`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

from hwnas.documents import brief
from hwnas.errors import InputError
from hwnas.space.fields import OpFields, text_of
from hwnas.space.kinds.kind import Kind
from hwnas.space.kinds.registry import kind_of
from hwnas.space.primitives import Primitive

_SIGNATURE = re.compile(
    r"^(?P<kind>[a-z][a-z0-9_]{0,39}) k(?P<kernels>#(?:x#){0,2}) e(?P<expand>#) s(?P<strides>#(?:x#){0,2}) "
    r"(?P<cin>#)-(?P<cout>#) (?P<size>#(?:x#){0,2}) (?P<act>[a-z0-9]+)"
    r"(?P<se> se)?(?: g(?P<groups>#))?(?: d(?P<dilation>#))?(?: x(?P<scale>#))?"
    r"(?: m(?P<hidden>#(?:-#){0,7}))?(?P<own>(?: [a-z][a-z0-9_]{0,39}=#){0,8})(?: v#)?$".replace("#", "[0-9]{1,6}")
)
LARGEST = 10**18  # inputs, outputs, taps and expansion of an op multiplied: with it, every count fits into 64 bits


@dataclass(frozen=True, init=False)
class Op(OpFields):
    """A candidate operation, fully specified; hashable, comparable, printable.

    Op("conv", 3, 16, 32, 32, kernel=3) convolves a map of 32 x 32, with size=(8, 32, 32) in place of them a volume.

    Args:
        kind: a name of `hwnas.space.kinds.registry`; what it makes of the fields stands in its class.
        in_channels, out_channels: channels; for `head`, out_channels is the number of classes.
        height, width: of the input map; of a volume or a series `size` instead.
        kernel, stride: one number for every axis, or one an axis. Kernels are odd, padding is always k // 2.
        expand, groups, act, se, dilation, scale: as in the signature.
        hidden: widths inside a head.
        own: fields that only this kind has; what is as the kind has it anyway is left out.

    Raises:
        InputError: if the values contradict each other.
    """

    def _check(self) -> None:
        kind = self.definition
        super()._check()
        unequal = kind.same_channels and self.in_channels != self.out_channels
        if unequal or (kind.still and self.stride != 1):
            raise InputError(f"{self.kind} needs stride 1{' and equal channels' if unequal else ''}; got {self}")
        if (self.scale > 1 and not kind.scales) or (self.dilation > 1 and not kind.dilates):
            raise InputError("only an op that enlarges has a scale, only one of dilated kernels a dilation; got "
                             f"{self}")
        if unknown := [name for name, _ in self.own if name not in kind.own]:
            raise InputError(f"{self.kind} has no field {unknown[0]!r}; its own are {', '.join(kind.own) or 'none'}")
        object.__setattr__(self, "own", tuple((k, v) for k, v in self.own if v != kind.own[k]))
        kind.check(self)

    def replaced(self, **fields: Any) -> Op:
        """The op with other values of some fields, by the names of the arguments above.

        Raises:
            InputError: the values contradict each other.
        """
        return replace(self, **fields)

    @property
    def definition(self) -> Kind:
        """What its kind says.

        Raises:
            InputError: no such kind.
        """
        return kind_of(self.kind)

    @property
    def signature(self) -> str:
        """Text form, the key of a latency table; `Op.parse` reads it back."""
        text = (
            f"{self.kind} k{text_of(self.kernels)} e{self.expand} s{text_of(self.strides)} "
            f"{self.in_channels}-{self.out_channels} {'x'.join(map(str, self.size))} {self.act}"
        )
        text += " se" if self.se else ""
        text += f" g{self.groups}" if self.groups > 1 else ""
        text += f" d{self.dilation}" if self.dilation > 1 else ""
        text += f" x{self.scale}" if self.scale > 1 else ""
        text += f" m{'-'.join(map(str, self.hidden))}" if self.hidden else ""
        text += "".join(f" {name}={value}" for name, value in self.own)
        version = self.definition.version
        return text + (f" v{version}" if version > 1 else "")

    @classmethod
    def parse(cls, signature: str) -> Op:
        """Read a signature.

        Raises:
            InputError: if the text is not a signature.
        """
        found = _SIGNATURE.fullmatch(signature)
        if found is None:
            raise InputError(f"not an op signature: {brief(signature)}; expected e.g. "
                             "'mbconv k5 e6 s2 24-40 56x56 relu6 se'")
        kernels, strides = (_axes(found[name], "x") for name in ("kernels", "strides"))
        op = cls(
            kind=found["kind"],
            kernel=kernels if len(kernels) > 1 else kernels[0],
            expand=int(found["expand"]),
            stride=strides if len(strides) > 1 else strides[0],
            in_channels=int(found["cin"]),
            out_channels=int(found["cout"]),
            size=_axes(found["size"], "x"),
            act=found["act"],
            se=found["se"] is not None,
            groups=int(found["groups"] or 1),
            dilation=int(found["dilation"] or 1),
            scale=int(found["scale"] or 1),
            hidden=_axes(found["hidden"], "-"),
            own=[(name, int(value)) for name, _, value in (part.partition("=") for part in found["own"].split())],
        )
        if op._extent > LARGEST:
            raise InputError(f"the op {signature!r} is larger than any that is run: check its sizes")
        return op

    @property
    def _extent(self) -> int:
        """Never less than a hundredth of what its counts come to."""
        inner = max((self.in_channels * self.expand, self.out_channels, *self.hidden))
        places: int = prod(self.size) * self.scale ** len(self.size)
        return places * prod(self.kernels) * inner**2

    @property
    def label(self) -> str:
        """Short name inside a choice, e.g. 'k5 e6'."""
        return self.definition.label(self)

    @property
    def timed(self) -> bool:
        """Whether a latency table has an entry for it: a runtime executes something."""
        return self.definition.timed

    @property
    def out_hw(self) -> tuple[int, int]:
        """Height and width of the output map."""
        height, width = self.out_size[-2:]
        return height, width

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of what it gives for one image: channels and map, or channels alone behind a global average."""
        flat = bool(self.steps) and self.steps[-1].flat
        return (self.out_channels,) if flat else (self.out_channels, *self.out_size)

    @property
    def last(self) -> bool:
        """Whether what it gives leaves the network."""
        return self.definition.last

    @property
    def cuts(self) -> bool:
        """Whether nothing flows through it: an edge that is not there."""
        return self.definition.cuts

    @property
    def passes(self) -> bool:
        """Whether it gives what it takes, for the cost of an addition to what its node holds."""
        return self.definition.passes

    @property
    def sums_apart(self) -> bool:
        """Whether a runtime adds what it gives to a sum in a kernel of its own."""
        return bool(self.steps) and self.steps[-1].sums_apart

    @property
    def elastic(self) -> bool:
        """Whether it shares weights with the ops that differ in kernel and expansion alone."""
        return self.definition.elastic(self)

    @property
    def residual(self) -> bool:
        """Whether the input is added to the output of the last step."""
        return self.definition.residual(self)

    @cached_property
    def steps(self) -> tuple[Primitive, ...]:
        """The primitives in order; none for `skip`, `identity` and `none`."""
        return tuple(self.definition.steps(self))

    @property
    def flops(self) -> int:
        """Multiply-accumulates for one image, exact."""
        return sum(step.flops for step in self.steps)

    @property
    def params(self) -> int:
        """Parameters as deployed (weights, biases, batch norm scale and shift), exact."""
        return sum(step.params for step in self.steps)

    @property
    def trained_params(self) -> int:
        """Parameters of the torch module; more than `params` where branches are fused after training."""
        return sum(step.trained_params for step in self.steps)

    @property
    def peak_elements(self) -> int:
        """Most activation values alive at once while this op runs on one image, its input not needed again."""
        return self.peak(keeps_input=False)

    def peak(self, keeps_input: bool) -> int:
        """Most activation values alive at once while this op runs on one image.

        A step holds its input and its output; batch norm and activations behind a convolution work in place; a
        residual block holds its own input as well until the addition, except in its first step, whose input it is.
        A skip or an identity holds its map, `none` nothing.

        Args:
            keeps_input: whether its input is needed afterwards.
        """
        size = self.in_channels * prod(self.size)
        if not self.steps:
            return 0 if self.cuts else size
        held = size if self.residual or keeps_input else 0
        return max(step.peak_elements + (held if i else 0) for i, step in enumerate(self.steps))


def _axes(text: str | None, between: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(between))) if text else ()

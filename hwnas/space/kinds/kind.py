"""What a kind of op is: its name, what it allows, and the primitives that it is made of.

A kind that is made of known primitives is one class in one file. Counts, torch modules, ONNX graphs, estimated
latencies, exported source, shared weights and quantisation follow from its primitives (`hwnas.space.primitives`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from hwnas.space.fields import OpFields, text_of
from hwnas.space.primitives import Primitive


class Kind(ABC):
    """A kind of op. Its methods take the fields of an op of this kind.

    Attributes:
        name: first word of a signature: a letter, then letters, digits and underscores, all small.
        about: one line for people.
        version: raised when the graph of a kind changes, so that entries of an older one are of another op.
        own: fields besides those that every op has: name -> what it is where an op does not say.
        same_channels: whether it gives as many channels as it takes.
        still: whether its stride is always 1.
        scales, dilates: whether it may have a scale, a dilation.
        timed: whether a runtime executes anything for it.
        last: whether what it gives leaves the network.
        cuts: whether nothing flows through it: an edge that is not there.
        passes: whether it gives what it takes, for the cost of an addition to what its node holds.
        in_row: how many are timed in a row; more than one where an op is small beside its context.
    """

    name: ClassVar[str]
    about: ClassVar[str] = ""
    version: ClassVar[int] = 1
    own: ClassVar[Mapping[str, int]] = MappingProxyType({})
    same_channels: ClassVar[bool] = False
    still: ClassVar[bool] = False
    scales: ClassVar[bool] = False
    dilates: ClassVar[bool] = False
    timed: ClassVar[bool] = True
    last: ClassVar[bool] = False
    cuts: ClassVar[bool] = False
    passes: ClassVar[bool] = False
    in_row: ClassVar[int] = 1

    @abstractmethod
    def steps(self, op: OpFields) -> Sequence[Primitive]:
        """The primitives in order, none for an op that computes nothing."""

    def label(self, op: OpFields) -> str:
        """Short name of an op inside a choice, e.g. 'k5 e6'."""
        kernel = [f"k{text_of(op.kernels)}"] if op.kernel > 1 else []
        expand = [f"e{op.expand}"] if op.expand > 1 else []
        return " ".join([self.name, *kernel, *expand, *(f"{name}={value}" for name, value in op.own)])

    def residual(self, op: OpFields) -> bool:
        """Whether the input is added to the output of the last primitive; the op keeps its shape then."""
        return False

    def elastic(self, op: OpFields) -> bool:
        """Whether ops that differ from this one in kernel and expansion alone share its weights.

        Each is a slice of the largest: the first channels, the centre of the kernel. All of them must have as many
        primitives, of the same types.
        """
        return False

    def check(self, op: OpFields) -> None:  # noqa: B027 - most kinds have no rules of their own
        """Rules beyond those of the attributes.

        Raises:
            InputError: the fields contradict each other.
        """

    def value(self, op: OpFields, name: str) -> int:
        """A field of its own as the op states it, or as it is where the op does not."""
        return dict(op.own).get(name, self.own[name])

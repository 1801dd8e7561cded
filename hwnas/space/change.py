"""A map that goes from one precision to another between two ops: what a runtime quantises, dequantises or casts.

It is executed and costs time like an op, so a latency table has an entry for it, under a text form of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from typing import cast

from hwnas.documents import brief
from hwnas.errors import InputError
from hwnas.target import PRECISIONS, Precision

_NUMBER = "[1-9][0-9]{0,5}"
_SIGNATURE = re.compile(rf"change (?P<before>[a-z0-9]+)>(?P<after>[a-z0-9]+) (?P<shape>{_NUMBER}(?:x{_NUMBER}){{0,3}})")
LARGEST = 10**15  # values of a map: with it, bytes fit into 64 bits


@dataclass(frozen=True)
class Change:
    """One map in another precision; hashable, comparable.

    Change("fp32", "int8", (16, 8, 8)) quantises a map of 16 channels of 8 x 8.

    Args:
        before, after: its precisions, two different ones.
        shape: of the map without the batch, channels first; channels alone behind a global average.

    Raises:
        InputError: the values contradict each other.
    """

    before: Precision
    after: Precision
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        for precision in (self.before, self.after):
            if precision not in PRECISIONS:
                raise InputError(f"a change is between two of {', '.join(PRECISIONS)}; got {brief(precision)}")
        if self.before == self.after:
            raise InputError(f"a change needs two different precisions; got {self.before} twice: leave it out")
        if not 1 <= len(self.shape) <= 4 or min(self.shape) < 1 or prod(self.shape) > LARGEST:
            raise InputError(f"a change is of a map of 1 to 4 axes and at most {LARGEST:g} values; "
                             f"got {brief(self.shape)}")

    @property
    def values(self) -> int:
        """How many are changed."""
        return prod(self.shape)

    @property
    def signature(self) -> str:
        """Text form, the key of a latency table: `change fp32>int8 16x8x8`; `Change.parse` reads it back."""
        return f"change {self.before}>{self.after} {'x'.join(map(str, self.shape))}"

    @classmethod
    def parse(cls, signature: str) -> Change:
        """Read a signature.

        Raises:
            InputError: if the text is not the signature of a change.
        """
        found = _SIGNATURE.fullmatch(signature)
        if found is None:
            raise InputError(f"not a change of precision: {brief(signature)}; expected e.g. 'change fp32>int8 16x8x8'")
        before, after = (cast(Precision, found[name]) for name in ("before", "after"))
        return cls(before, after, tuple(int(axis) for axis in found["shape"].split("x")))


def is_change(signature: str) -> bool:
    """Whether a table's key is meant as a change of precision, not as an op; `Change.parse` says whether it is one."""
    return signature.startswith("change ") and ">" in signature

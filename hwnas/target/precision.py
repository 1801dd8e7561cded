"""Number formats of weights and activations: their names, and the bytes of a value in each.

Everything that counts bytes by precision asks here: weights of a latency model, activations alive at once, the size of
a model, the traffic of an estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

Precision = Literal["fp32", "fp16", "bf16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
NetworkPrecision = Literal[Precision, "mixed"]
"""What a whole network is in: one format, or several, each node in the one that the graph gives it."""
MIXED: Literal["mixed"] = "mixed"
VALUE_BYTES: Mapping[str, int] = MappingProxyType({"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1})

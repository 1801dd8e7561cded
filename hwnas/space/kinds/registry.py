"""Kinds of ops by name: our own from a static table, other people's from the entry-point group `hwnas.ops`.

Behind a name is a class, a subclass of `hwnas.space.kinds.kind.Kind`.
"""

from __future__ import annotations

import inspect
import re
from functools import cache

from hwnas.documents import brief
from hwnas.errors import InputError, UnknownName, UsageError
from hwnas.plugins import Plugins
from hwnas.space.kinds.kind import Kind

GROUP = "hwnas.ops"

TABLE: dict[str, str] = {
    "atrous": "hwnas.space.kinds.separable:Atrous",
    "avgpool": "hwnas.space.kinds.pooling:Averaging",
    "bilinear": "hwnas.space.kinds.enlarging:Bilinear",
    "classify": "hwnas.space.kinds.convolution:Classify",
    "concat": "hwnas.space.kinds.concatenation:Concatenation",
    "conv": "hwnas.space.kinds.convolution:Convolution",
    "dilconv": "hwnas.space.kinds.separable:DilatedConvolution",
    "fbconv": "hwnas.space.kinds.inverted_residual:FbConv",
    "gate": "hwnas.space.kinds.gate:GateKind",
    "head": "hwnas.space.kinds.head:Head",
    "identity": "hwnas.space.kinds.weightless:Identity",
    "max_pool": "hwnas.space.kinds.pooling:Largest",
    "mbbranch": "hwnas.space.kinds.inverted_residual:MbBranch",
    "mbconv": "hwnas.space.kinds.inverted_residual:MbConv",
    "mbsplit": "hwnas.space.kinds.inverted_residual:MbSplit",
    "nearest": "hwnas.space.kinds.enlarging:Nearest",
    "none": "hwnas.space.kinds.weightless:Nothing",
    "preconv": "hwnas.space.kinds.convolution:PreConvolution",
    "predict": "hwnas.space.kinds.separable:Predict",
    "resize": "hwnas.space.kinds.enlarging:Resize",
    "sepconv": "hwnas.space.kinds.separable:SeparableConvolution",
    "shortcut": "hwnas.space.kinds.pooling:Shortcut",
    "skip": "hwnas.space.kinds.weightless:Skip",
}
_PLUGINS = Plugins("kind of op", GROUP, TABLE)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def names() -> list[str]:
    """All known kinds, sorted; nothing is imported."""
    return _PLUGINS.names()


@cache
def kind_of(name: str) -> Kind:
    """The kind behind a name; our own names cannot be taken over by an entry point.

    Raises:
        InputError: no such kind.
        UsageError: the entry point does not import, or is no Kind of that name.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"the name of a kind of op is of small letters, digits and underscores; got {brief(name)}")
    try:
        found = _PLUGINS.find(name)
    except UnknownName as err:
        raise InputError(f"op kind must be one of {', '.join(err.known)}; got {name!r}: install the package that "
                         f'gives it by the entry point "{GROUP}"') from err
    if not (inspect.isclass(found) and issubclass(found, Kind)) or getattr(found, "name", None) != name:
        raise UsageError(f"kind of op {name!r} ({found!r}) must be a subclass of hwnas.space.kinds.kind.Kind with this "
                         "name")
    return found()

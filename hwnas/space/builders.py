"""The names of spaces and where their builders are: nothing is imported before it is asked for.

Other packages add theirs with the entry point `hwnas.spaces`: a `Description`, or a function as `Builder` has it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from hwnas.errors import UnknownName
from hwnas.plugins import Plugins
from hwnas.space.config import SpaceConfig

Builder = Callable[[SpaceConfig], Any]
"""Called as builder(config); gives the `hwnas.space.Space` of these parameters."""
OTHERS = Plugins("space", "hwnas.spaces", {})
IMGSZ = 32  # of a builder that says none


@dataclass(frozen=True)
class Description:
    """One line about a space for `hwnas spaces`, its builder, and its default input.

    Args:
        builder: the function, or where it is, as 'module:function'.
        about: for people.
        imgsz: height and width in pixels where nothing says them.
    """

    builder: Builder | str
    about: str
    imgsz: int

    @property
    def packaged(self) -> bool:
        """Whether every installation of hwnas has the builder: then its parameters are enough to rebuild a space."""
        return isinstance(self.builder, str)

    def make(self, config: SpaceConfig) -> Any:
        """What the builder gives."""
        if isinstance(self.builder, str):
            module, function = self.builder.split(":")
            return getattr(import_module(module), function)(config)
        return self.builder(config)


SPACES: dict[str, Description] = {
    name: Description(f"hwnas.space.builtin:{name}", about, imgsz) for name, about, imgsz in (
        ("mobile", "MBConv chain sized to small images, 16 to 128 px", 32),
        ("proxyless", "ProxylessNAS macro, 21 choices of 7 MBConv ops", 224),
        ("google", "MobileNetV2 macro, 21 choices of 7 MBConv ops", 224),
        ("ofa", "MobileNetV3 macro with SE and hard swish, 20 choices of 7 ops", 224),
        ("fbnet", "FBNet, 22 choices of 9 ops with grouped convolutions and skip", 224),
        ("fbnetv2", "FBNetV2 macro, 25 choices of 24 ops with split attention, and skip", 224),
        ("darts", "DARTS, a normal and a reduction cell of 14 edges of 8 ops", 32),
        ("nse", "NSE, layers of any of 27 branches, sized to small images, 16 to 128 px", 32),
        ("nasbench201", "NAS-Bench-201, one cell of 6 edges of 5 ops, repeated in 3 stages", 32),
    )
}


def describe(name: str) -> Description:
    """The entry of a space: built in, added to `SPACES` by this process, or of another package.

    Raises:
        UnknownName: no such space.
        UsageError: the entry point does not import.
    """
    if name in SPACES:
        return SPACES[name]
    if name not in OTHERS.names():
        raise UnknownName("space", name, [*SPACES, *OTHERS.names()],
                          "See `hwnas spaces`; a file ends in .json, a function is 'package.module:function'.")
    found = OTHERS.find(name)
    if isinstance(found, Description):
        return found
    about = (getattr(found, "__doc__", None) or "").strip().partition("\n")[0]
    return Description(found, about, IMGSZ)


def names() -> list[str]:
    """Every space that has a name here, those of the package first."""
    return [*SPACES, *(name for name in OTHERS.names() if name not in SPACES)]

"""The names of transforms. Other packages add theirs with the entry point `hwnas.transforms`, `package.module:name`
names one that is not installed as a plug-in. Each is called with its options and gives what `sample.Transform` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from hwnas.data.transforms.sample import Transform
from hwnas.errors import UsageError
from hwnas.plugins import Plugins, of_module

TRANSFORMS = Plugins("transform", "hwnas.transforms", {
    "colour_jitter": "hwnas.data.transforms.photometry:ColourJitter",
    "erase": "hwnas.data.transforms.geometry:Erase",
    "mirror": "hwnas.data.transforms.geometry:Mirror",
    "rand_augment": "hwnas.data.transforms.photometry:RandAugment",
    "random_resized_crop": "hwnas.data.transforms.geometry:RandomResizedCrop",
    "trivial_augment": "hwnas.data.transforms.photometry:TrivialAugment",
})
RULE = "name one that is called with its options and gives a function of a hwnas.data.transforms.Sample and its rng"


def transforms_of(asked: Sequence[Mapping[str, Mapping[str, Any]]]) -> tuple[Transform, ...]:
    """Transforms by name.

    Args:
        asked: one mapping of one name to its options each.

    Raises:
        UnknownName: no such transform; suggests the nearest.
        UsageError: it does not import, or does not take these options.
    """
    return tuple(_made(name, options) for each in asked for name, options in each.items())


def _made(name: str, options: Mapping[str, Any]) -> Transform:
    maker = of_module(name, "transform", RULE) if ":" in name else TRANSFORMS.find(name)
    try:
        return cast(Transform, maker(**{key: tuple(v) if isinstance(v, list) else v for key, v in options.items()}))
    except TypeError as err:
        raise UsageError(f"transform {name!r} does not take {dict(options)}: {err}") from err

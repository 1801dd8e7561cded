"""The reference that travels in a bundle, and how long it takes at the speed that the promise was made at."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hwnas.deploy.runner.promised import in_turns
from hwnas.errors import InputError, UsageError
from hwnas.export.interface import Interface
from hwnas.export.metadata import is_own_network
from hwnas.pipeline.exported.inference import in_form
from hwnas.profile.graph import network_model
from hwnas.runtime import Fingerprint, Runtime
from hwnas.runtime.pinning import pinned
from hwnas.space import Space, SpaceConfig, build, resized
from hwnas.target import Target

WANTED_BYTES = 512 << 10
SMALLER: tuple[tuple[float, int | None], ...] = ((1.0, None), (1.0, 1), (0.5, 1), (0.25, 1))
"""Share of the width of the model's space, and its depth, until the reference is as small as wanted; in the built-in
spaces the last has at most 1.8 MiB, where a model has 10 and more."""
STAND_IN, MULTIPLE, LARGEST = "mobile", 32, 256  # space of a user's own network's reference; px of its input
CLASSES = 10  # of a classifier, whose last layer may hold more weights than all others


@dataclass(frozen=True)
class Reference:
    """A model that is timed beside the bundle's own.

    Args:
        model: ONNX bytes in the form that the target takes.
        median_ms: its median latency at the speed of the promise.
    """

    model: bytes
    median_ms: float


def reference_model(metadata: Mapping[str, Any], target: Target) -> bytes:
    """The smallest network of a model's space, with random weights: maps as large as the model's, few weights."""
    config = space_of(metadata)
    for space in _smaller(config, config.classes if config.head else min(config.classes, CLASSES)):
        model = network_model(space.smallest(), batch=target.batch)
        if len(model) <= WANTED_BYTES:
            break
    return in_form(model, target)


def space_of(metadata: Mapping[str, Any]) -> SpaceConfig:
    """Of a model; of a user's own network one whose networks read images as large."""
    if not is_own_network(metadata):
        return SpaceConfig.from_json(metadata["architecture"]["space"])
    face = Interface.of(metadata)
    side = min(max(MULTIPLE, -(-max(face.size) // MULTIPLE) * MULTIPLE), LARGEST)
    return SpaceConfig(STAND_IN, side, face.channels, CLASSES, 0.25, 1)


def _smaller(config: SpaceConfig, classes: int) -> Iterator[Space]:
    """The space itself, then with fewer channels and layers; what is data keeps its layers."""
    if config.graph is None:
        for times, depth in SMALLER:
            yield build(replace(config, classes=classes, width_mult=times * config.width_mult,
                                depth=depth or config.depth))
        return
    yield build(config)
    for width in dict.fromkeys(times for times, _ in SMALLER):
        with contextlib.suppress(UsageError):  # some widths round to other choices
            yield resized(build(config), width=width, classes=classes)


def beside(model: bytes, metadata: Mapping[str, Any], target: Target, runtime: Runtime | None,
           measured: Mapping[str, Any] | None, device: Mapping[str, Any] | None) -> Reference | None:
    """The reference of a promise; None where the device that was measured is not this one.

    Model and reference are timed in turns now. What the model took when it was measured tells how fast the device was
    then, and so what the reference would have taken.

    Args:
        model: in the target's form.
        runtime: the target's, if it is here.
        measured: latency of the model when the promise was made.
        device: fingerprint of the device that it was measured on.
    """
    if runtime is None or not measured or not device or Fingerprint.of(runtime).same_device(
            Fingerprint.from_json(device)):
        return None
    try:
        content = reference_model(metadata, target)
        sessions = {"model": runtime.load(model), "reference": runtime.load(content)}
    except InputError:  # a space that this version builds in another way
        return None
    with pinned(target.cores):
        found = in_turns(sessions, target.batch, {"model": float(measured["median_ms"])})
    speed = float(measured["median_ms"]) / found["model"].median_ms
    return Reference(content, round(speed * found["reference"].median_ms, 6))

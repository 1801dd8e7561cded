"""Trackers by name: `csv`, `mlflow:http://host:5000`, one of a package (entry point `hwnas.trackers`), or of a module
(`package.module:Class`)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hwnas.errors import MissingDependency, UsageError
from hwnas.plugins import Plugins, of_module
from hwnas.tracking.tracker import Tracker

TABLE = {
    "csv": "hwnas.tracking.csv_file:CsvFile",
    "mlflow": "hwnas.tracking.mlflow_client:Mlflow",
    "tensorboard": "hwnas.tracking.event_file:TensorBoard",
    "wandb": "hwnas.tracking.wandb_run:WeightsAndBiases",
}
TRACKERS = Plugins("tracker", "hwnas.trackers", TABLE)
LIBRARIES = {"mlflow": "mlflow", "tensorboard": "tensorboard", "wandb": "wandb"}
"""Tracker -> the module that it needs."""


def names() -> list[str]:
    """Of hwnas and of packages that are installed."""
    return TRACKERS.names()


def lacking(name: str) -> str | None:
    """How to install what a tracker of hwnas needs; None where it is there. Nothing is imported."""
    library = LIBRARIES.get(name)
    return None if library is None or importlib.util.find_spec(library) else f'pip install "hwnas[{name}]"'


def check(given: Iterable[str]) -> None:
    """Whether there is a tracker behind each of some names, before a run does anything.

    Raises:
        UnknownName: no such name; suggests the nearest.
        UsageError: the same tracker twice, or a class of a module that cannot be called.
        MissingDependency: a library that is not installed.
    """
    seen: set[str] = set()
    for text in given:
        name, _ = divided(text)
        if text in seen:
            raise UsageError(f"--track {text} is there twice: leave one out")
        seen.add(text)
        if ":" in name:
            _of_module(name)
            continue
        TRACKERS.check_name(name)
        if (way := lacking(name)) is not None:
            raise MissingDependency(LIBRARIES[name], f"--track {name}", way)


def makers(given: Iterable[str]) -> dict[str, Callable[[], Tracker]]:
    """Name as it was given -> what makes the tracker."""
    return {text: lambda text=text: _made(text) for text in given}  # type: ignore[misc]


def divided(text: str) -> tuple[str, str]:
    """'mlflow:http://host' -> 'mlflow' and 'http://host'; 'package.module:Class:address' -> the class and the rest."""
    name, _, address = text.partition(":")
    if not address or name in names():
        return name, address
    attribute, _, rest = address.partition(":")
    return f"{name}:{attribute}", rest


def _made(text: str) -> Tracker:
    name, address = divided(text)
    make: Callable[[str], Any] = _of_module(name) if ":" in name else TRACKERS.find(name)
    made = make(address)
    if not isinstance(made, Tracker):
        raise UsageError(f"tracker {text!r} gave {made!r}; it must give a hwnas.tracking.Tracker")
    return made


def _of_module(name: str) -> Callable[..., Any]:
    return of_module(name, "tracker", "name a subclass of hwnas.tracking.Tracker")


def missing() -> Mapping[str, str | None]:
    """Tracker of hwnas -> how to install what it lacks; None where it can be used."""
    return {name: lacking(name) for name in TABLE}

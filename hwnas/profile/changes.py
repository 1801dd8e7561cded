"""What a change of precision costs between two ops: measured in context, from four networks that differ in it alone.

A network of two convolutions can have each in either of two precisions p and q. What its convolutions and its ends cost
is in the networks of one precision once, and in those of two precisions once: so

    t(p, q) + t(q, p) - t(p, p) - t(q, q) = change(p > q) + change(q > p)

holds whatever a convolution costs, with the layouts that the runtime has in such a network. The two directions are
taken to cost the same: a network that leaves a precision comes back to it, so that only the sum counts. Where the sum
is below 0, a change costs nothing that could be measured.

Glossary
    t   median time of a network, ms
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import product

from hwnas.latency.entry import LEAST_MS, Entry, now
from hwnas.profile.blocks import ContextBlock
from hwnas.profile.node_builder import random_weights
from hwnas.profile.sweeps import times_of
from hwnas.progress import Progress, silent
from hwnas.runtime import Device, Sweep, SweepPlan
from hwnas.space import Change

SWEEPS, MAX_SECONDS = 30, 20.0
LEAST_SWEEPS = 6
Pair = tuple[tuple[int, ...], str, str]
Lower = Callable[[bytes, dict[str, str]], bytes]
"""Called as lower(model, position -> precision): the model as the device's runtime takes it."""


def measure_changes(changes: Sequence[Change], device: Device, lower: Lower, *, batch: int = 1, seed: int = 0,
                    max_seconds: float = MAX_SECONDS, progress: Progress = silent) -> list[Entry]:
    """One entry for each of some changes; none for none.

    Args:
        device: opened for networks of several precisions.
        lower: gives the two convolutions of a network, positions `0` and `1`, their precisions.
        max_seconds: of timing.

    Raises:
        InputError: the device cannot be reached or cannot execute the models.
    """
    if not changes:
        return []
    pairs = dict.fromkeys(map(_pair, changes))
    models = _models(pairs, lower, batch)
    largest, smallest = (f(models, key=lambda name: len(models[name])) for f in (max, min))
    models |= {"sentinel large": models[largest], "sentinel small": models[smallest]}
    plan = SweepPlan(("sentinel large", "sentinel small"), seed=seed, max_seconds=max_seconds, max_sweeps=SWEEPS)
    with device.sweeps(models, plan) as stream:
        times = times_of(_taken(stream, max_seconds, progress))
    medians = times.medians()
    runs = times.runs
    found = {pair: _cost_ms(pair, medians) for pair in pairs}
    costs = ((change, found[_pair(change)]) for change in changes)
    return [Entry(change.signature, ms, ms, ms, runs, now()) for change, ms in costs]


def _pair(change: Change) -> Pair:
    """Shape of the map and both precisions; channels behind a global average are a map of one value each."""
    shape = change.shape if len(change.shape) > 1 else (*change.shape, 1, 1)
    first, second = sorted((change.before, change.after))
    return shape, first, second


def _models(pairs: Iterable[Pair], lower: Lower, batch: int) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for shape, *both in pairs:
        floats = ContextBlock(shape[0], shape[1:]).model(batch, random_weights())
        for first, second in product(both, both):
            found.setdefault(_name(shape, first, second), lower(floats, {"0": first, "1": second}))
    return found


def _name(shape: tuple[int, ...], first: str, second: str) -> str:
    return f"{'x'.join(map(str, shape))} {first} {second}"


def _cost_ms(pair: Pair, medians: dict[str, float]) -> float:
    """Of one direction, ms."""
    shape, p, q = pair
    several = medians[_name(shape, p, q)] + medians[_name(shape, q, p)]
    ms = (several - medians[_name(shape, p, p)] - medians[_name(shape, q, q)]) / 2
    return ms if ms >= LEAST_MS else 0.0


def _taken(stream: Iterable[Sweep], max_seconds: float, progress: Progress) -> list[Sweep]:
    begin, found = time.perf_counter(), list[Sweep]()
    for sweep in stream:
        found.append(sweep)
        progress("timing changes of precision", min(len(found), SWEEPS), SWEEPS)
        if len(found) >= SWEEPS or (len(found) >= LEAST_SWEEPS and time.perf_counter() - begin > max_seconds):
            break
    progress("timing changes of precision", SWEEPS, SWEEPS)
    return found

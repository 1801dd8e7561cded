"""Whether a bundle keeps its promise on this device: its model timed in turns with the reference that travels with it.

The reference is a small network of the model's own space, whose maps are as large as the model's: what slows the model
down, a clock or a neighbour who fills the caches, slows it as well. How long it took when the promise was made is in
model.json. On another device than that, and of a promise that was never measured, milliseconds say less: there only a
budget in ms, which the user gave, can be missed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.runtime.promise import ESTIMATED, MEASURED, OPEN, PREDICTED, Judgement, Promise, judge
from hwnas.runtime.timing import Measurement, compare

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hwnas.runtime.runtime import Session

VISITS, TIMED, MIN_SECONDS, MAX_SECONDS = 20, 5, 1.0, 20.0
BUDGET = "budget"
NO_REFERENCE = "no reference model travels with this bundle, so a busy device may fail it"


def in_turns(sessions: Mapping[str, Session], batch: int = 1, usual_ms: Mapping[str, float] | None = None
             ) -> dict[str, Measurement]:
    """Latencies of models that are visited in turns, so that a slow moment falls on all alike.

    Args:
        usual_ms: name -> what a model took on this device when a promise was made.
    """
    return compare(sessions, sweeps=VISITS, timed=TIMED, batch=batch, min_seconds=MIN_SECONDS, max_seconds=MAX_SECONDS,
                   usual_ms=usual_ms)


def judged(told: Mapping[str, Any], elsewhere: Sequence[str], latency: Measurement,
           reference: Measurement | None) -> Judgement | None:
    """What a measurement says of a promise; None where nothing was promised.

    Args:
        told: `latency` of model.json.
        elsewhere: how this device differs from the one that was measured.
        latency: of the model, here.
        reference: of the reference, in turns with it.
    """
    limit = told.get("promise_ms")
    if limit is None:
        return None
    basis, share = told.get("basis") or MEASURED, told.get("share")
    if elsewhere and basis == MEASURED:
        return _elsewhere(told, elsewhere, latency.median_ms)
    if basis != MEASURED:
        return _unmeasured(told, basis, share, latency.median_ms)
    then = told.get("reference_ms")
    found = judge(Promise(float(limit), reference_ms=then), latency.median_ms,
                  reference.median_ms if reference and then else None)
    return found if then or not found.failed else _with(found, NO_REFERENCE)


def _elsewhere(told: Mapping[str, Any], elsewhere: Sequence[str], measured_ms: float) -> Judgement:
    """Measured on another device: a limit in ms that the user gave holds on every device, another one on that alone."""
    limit, other = float(told["promise_ms"]), f"another device ({'; '.join(elsewhere)})"
    if told.get("promise") == BUDGET and told.get("share") is None:
        found = judge(Promise(limit), measured_ms)
        return _with(found, f"but on {other} than the one that was measured") if found.failed else found
    return Judgement(OPEN, f"{measured_ms:.3f} ms measured; {limit:.3f} ms were promised of {other}: nothing here can "
                           "keep or break that")


def _unmeasured(told: Mapping[str, Any], basis: str, share: float | None, measured_ms: float) -> Judgement:
    """Predicted by a table, or estimated: what was asked for in ms may be missed, a share of an estimate may not."""
    interval = _interval(told)
    promise = Promise(float(told["promise_ms"]), basis if basis in (PREDICTED, ESTIMATED) else ESTIMATED,
                      reference_ms=told.get("of_ms"), share=share, interval=interval)
    found = judge(promise, measured_ms)
    if interval is None or not promise.soft:
        return found
    side = "within" if interval[0] <= measured_ms <= interval[1] else "outside"
    return _with(found, f"the measurement is {side} the {interval[0]:.3f} to {interval[1]:.3f} ms that were {basis}")


def _interval(told: Mapping[str, Any]) -> tuple[float, float] | None:
    low, high = told.get("predicted_low_ms"), told.get("predicted_high_ms")
    return None if low is None or high is None else (float(low), float(high))


def _with(found: Judgement, more: str) -> Judgement:
    return Judgement(found.verdict, f"{found.sentence}, {more}", found.corrected_ms, found.speed)

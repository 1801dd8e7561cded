"""Whether a promised latency is kept: what was promised, how fast the device was then, and how fast it is now.

A device changes its speed by more than most budgets leave room for. So a model is never held against milliseconds
alone where there is a reference model that was timed when the promise was made and can be timed beside it now: what
counts then is what the model would take at that speed. And a limit that is a share of an estimate is an estimate: no
measurement in milliseconds can break it, only a measured share can. `hwnas compress`, `hwnas verify` and the runner of
a bundle judge by this file, so that they cannot disagree; it runs under Python 3.8.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hwnas.documents import brief
from hwnas.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

MEASURED, PREDICTED, ESTIMATED = "measured", "predicted", "estimated"
GOOD, SLOW, OPEN = "good", "slow", "open"
NOISE = 0.05  # by which two measurements may differ: a promise that one of them kept is not broken by the other


@dataclass(frozen=True)
class Promise:
    """A largest median latency, and what it is known from.

    Args:
        latency_ms: the limit.
        basis: 'measured' on the device, 'predicted' by a table of it, or 'estimated' from public figures.
        reference_ms: what the reference model took, or was said to take, at the speed that `latency_ms` is meant at;
            None where there is none.
        share: the limit as a share of `reference_ms`, where that is what was asked for; None of a limit in ms.
        interval: 90 % interval of the model's own latency, ms, where that was not measured.
        noise: share of the limit by which a measurement may be over it: what two measurements of one model differ by
            where one has kept the promise already; 0 where none has.
    """

    latency_ms: float
    basis: str = MEASURED
    reference_ms: float | None = None
    share: float | None = None
    interval: tuple[float, float] | None = None
    noise: float = NOISE

    @property
    def soft(self) -> bool:
        """Whether the limit itself is only predicted or estimated: a share of what was never measured."""
        return self.basis != MEASURED and self.share is not None

    @property
    def usual_ms(self) -> dict[str, float]:
        """What the reference takes on a calm device, under its name; empty where that was not measured."""
        return {"reference": self.reference_ms} if self.basis == MEASURED and self.reference_ms else {}

    def text(self) -> str:
        """'50 % of 0.252 ms measured = 0.126 ms', or '8.000 ms'."""
        limit = f"{self.latency_ms:.3f} ms"
        if self.share is None or self.reference_ms is None:
            return limit
        return f"{100 * self.share:g} % of {self.reference_ms:.3f} ms {self.basis} = {limit}"

    def to_json(self) -> dict[str, Any]:
        """The fields; the interval as a list."""
        return {**asdict(self), "interval": list(self.interval) if self.interval else None}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Promise:
        """Read `to_json` back.

        Raises:
            InputError: a field is missing or unknown.
        """
        try:
            interval = data.get("interval")
            return cls(**{**data, "interval": (float(interval[0]), float(interval[1])) if interval else None})
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as err:
            raise InputError(f"not a promised latency: {brief(data)}") from err


@dataclass(frozen=True)
class Judgement:
    """What a measurement says of a promise.

    Args:
        verdict: 'good', 'slow', or 'open' where an estimate was all there was and nothing tells.
        sentence: why, with every number that decided.
        corrected_ms: the measurement at the speed of the promise; None where that speed is not known.
        speed: times that the device takes now for what took it 1 then; None where that is not known.
    """

    verdict: str
    sentence: str
    corrected_ms: float | None = None
    speed: float | None = None

    @property
    def failed(self) -> bool:
        """Whether the promise is broken."""
        return self.verdict == SLOW

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return asdict(self)


def judge(promise: Promise, measured_ms: float, reference_now_ms: float | None = None) -> Judgement:
    """Hold a median against a promise.

    Args:
        measured_ms: of the model, now.
        reference_now_ms: of the promise's reference model, timed in turns with it; None where it was not.
    """
    if promise.soft:
        return _of_estimate(promise, measured_ms, reference_now_ms)
    then = promise.reference_ms
    if promise.basis != MEASURED or not then or not reference_now_ms:
        return _of_milliseconds(promise, measured_ms)
    return _at_its_speed(promise, measured_ms, then, reference_now_ms)


def _of_estimate(promise: Promise, measured_ms: float, now_ms: float | None) -> Judgement:
    """The limit is a share of what was never measured: only a measured share can break it."""
    share, origin = promise.share or 0.0, f"{promise.text()}, which is {_noun(promise.basis)} and was never measured"
    if not now_ms:
        return Judgement(OPEN, f"{measured_ms:.3f} ms measured; promised was {origin}: nothing here can keep or break "
                               "it")
    ratio = measured_ms / now_ms
    told = (f"{measured_ms:.3f} ms measured, {100 * ratio:.1f} % of the reference's {now_ms:.3f} ms beside it; asked "
            f"was {origin}")
    return Judgement(GOOD if ratio <= share * (1 + promise.noise) else SLOW, told)


def _of_milliseconds(promise: Promise, measured_ms: float) -> Judgement:
    limit = promise.latency_ms
    verdict = GOOD if measured_ms <= limit * (1 + promise.noise) else SLOW
    known = "" if promise.basis == MEASURED else f", which the model was only {promise.basis} to keep{_band(promise)}"
    held = _held(measured_ms, limit, promise.noise)
    return Judgement(verdict, f"{measured_ms:.3f} ms measured, {held} {promise.text()}{known}")


def _at_its_speed(promise: Promise, measured_ms: float, then_ms: float, now_ms: float) -> Judgement:
    speed, limit = now_ms / then_ms, promise.latency_ms
    corrected = measured_ms / speed
    kept = min(measured_ms, corrected) <= limit * (1 + promise.noise)
    share = f" ({100 * measured_ms / now_ms:.1f} % of the reference beside it)" if promise.share is not None else ""
    told = f"{measured_ms:.3f} ms measured{share}"
    if abs(speed - 1) <= NOISE:
        told += f", {_held(min(measured_ms, corrected), limit, promise.noise)} {promise.text()}"
    else:
        told += (f" while the device runs {slower(speed)} than at the time of the promise (the reference takes "
                 f"{now_ms:.3f} ms, then {then_ms:.3f} ms): {corrected:.3f} ms at that speed, "
                 f"{_held(min(measured_ms, corrected), limit, promise.noise)} {promise.text()}")
    return Judgement(GOOD if kept else SLOW, told, corrected, speed)


def slower(times: float) -> str:
    """'1.80 times slower' or '1.25 times faster': how a device that takes `times` as long is called."""
    return f"{times:.2f} times slower" if times >= 1 else f"{1 / times:.2f} times faster"


def _held(value_ms: float, limit_ms: float, noise: float) -> str:
    if value_ms <= limit_ms:
        return "within"
    if limit_ms <= 0:
        return "over"
    over = 100 * (value_ms / limit_ms - 1)
    return f"{over:.1f} % over, as two measurements may differ," if over <= 100 * noise else f"{over:.1f} % over"


def _band(promise: Promise) -> str:
    return f" ({promise.interval[0]:.3f}-{promise.interval[1]:.3f} ms)" if promise.interval else ""


def _noun(basis: str) -> str:
    return "an estimate" if basis == ESTIMATED else "a prediction"

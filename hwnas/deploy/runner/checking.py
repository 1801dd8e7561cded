"""Is a bundle right and fast enough on this device? Its files, its outputs against the stored ones, its latency.

In fp32 the stored outputs are torch's and must come out again to 1e-4. In a lower precision runtimes and processors
round differently; there they are those of the machine that made the bundle, and what counts is the root of the mean
squared difference over that of the outputs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.deploy.runner.bundle import SAMPLES, Bundle
from hwnas.deploy.runner.loading import Loaded, load
from hwnas.deploy.runner.predicting import Model
from hwnas.errors import InputError
from hwnas.runtime.fingerprint import Fingerprint
from hwnas.runtime.pinning import pinned
from hwnas.runtime.timing import Measurement, measure_latency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hwnas.deploy.runner.bundle import Array

LARGEST, RMS = "largest", "rms"
MAX_SECONDS = 20.0


@dataclass(frozen=True)
class Finding:
    """What the check found.

    Args:
        difference: from the stored outputs; `limit` is the most that is allowed.
        rule: 'largest' or 'rms', see the head of this file.
        agreement: images, or pixels of a segmenter, whose class is the stored one, percent; None of a detector.
        images: how many were compared.
        latency: here; None where it would say nothing: on another runtime than the bundle's.
        promise_ms: largest median latency; None where nothing was promised.
        promise: what it comes from: 'budget' or 'measured'.
        elsewhere: how this device differs from the one that was measured.
        runtime: name and version.
        cache: see `Loaded`.
    """

    difference: float
    limit: float
    rule: str
    agreement: float | None
    images: int
    latency: Measurement | None
    promise_ms: float | None
    promise: str | None
    elsewhere: Sequence[str]
    runtime: str
    cache: str

    def failures(self) -> list[str]:
        """What is wrong, one clause each; empty if all is well."""
        found = []
        if not self.difference <= self.limit:
            found.append(f"outputs differ from the stored ones by {self.difference:.1e}, more than {self.limit:.0e}")
        if self.latency is not None and self.promise_ms is not None and self.latency.median_ms > self.promise_ms:
            where = f", but on another device ({'; '.join(self.elsewhere)})" if self.elsewhere else ""
            found.append(f"median latency is {self.latency.median_ms:.3f} ms, over the promised "
                         f"{self.promise_ms:.3f} ms{where}")
        return found

    def verdict(self) -> str:
        """One line."""
        if failures := self.failures():
            return f"failed: {'; '.join(failures)} ({self.runtime})"
        promise = f"promised at most {self.promise_ms:.3f}" if self.promise_ms is not None else "nothing promised"
        timed = f"{self.latency.median_ms:.3f} ms ({promise})" if self.latency else "latency not measured"
        return (f"good: outputs within {self.difference:.1e} of the stored ones on {self.images} images, {timed}, "
                f"{self.runtime}")

    def to_json(self) -> dict[str, Any]:
        """The fields, the failures and whether there are none."""
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        told.update(latency=self.latency.to_json() if self.latency else None, elsewhere=list(self.elsewhere),
                      failures=self.failures(), good=not self.failures())
        return told


def verify(bundle: Bundle, runtime: str | None = None, *, timing: bool = True, keep: bool = True) -> Finding:
    """Check a bundle whose files are whole (`Bundle` has compared their hashes).

    Args:
        runtime: another than the bundle's; then nothing is timed.
        timing: whether to measure the latency.
        keep: whether what is compiled is kept on disk.

    Raises:
        InputError: the model cannot be run, or gives outputs of other shapes than the stored ones.
        MissingDependency: the runtime is not installed here.
    """
    loaded = load(bundle, runtime, keep=keep)
    stored = bundle.arrays(SAMPLES)
    theirs = [stored[f"output_{i}"] for i in range(len(stored) - 1)]
    ours = _answers(Model(bundle, loaded), stored["images"], int(bundle.facts["target"]["batch"]))
    if [a.shape for a in ours] != [b.shape for b in theirs]:
        raise InputError(f"{bundle.folder}: the model gives outputs {[a.shape for a in ours]}, the samples hold "
                         f"{[b.shape for b in theirs]}: make the bundle again")
    parity, promise = bundle.facts["parity"], bundle.facts["latency"]
    measured = promise.get("device")
    device = Fingerprint.of(loaded.runtime)
    return Finding(
        difference=_difference(ours, theirs, parity["rule"], bundle.task), limit=float(parity["limit"]),
        rule=parity["rule"], agreement=_agreement(ours, theirs, bundle.task), images=len(stored["images"]),
        latency=_timed(bundle, loaded) if timing and loaded.own else None, promise_ms=promise["promise_ms"],
        promise=promise["promise"],
        elsewhere=device.same_device(Fingerprint.from_json(measured)) if measured else [],
        runtime=f"{loaded.runtime.name} {loaded.runtime.version}", cache=loaded.cache,
    )


def _answers(model: Model, images: Array, batch: int) -> list[Array]:
    """All outputs, `batch` images at a time: that is what the model is compiled for."""
    parts = []
    for i in range(0, len(images), batch):
        piece = images[i : i + batch]
        full = np.concatenate([piece, *[piece[-1:]] * (batch - len(piece))])
        parts.append([output[: len(piece)] for output in model.run(full)])
    return [np.concatenate(outputs) for outputs in zip(*parts)]  # noqa: B905 - Python 3.8


def _difference(ours: Sequence[Array], theirs: Sequence[Array], rule: str, task: str) -> float:
    """The worst of all outputs: absolute of logits, of maps relative above 1; NaN stays NaN and fails."""
    found = []
    for a, b in zip(ours, theirs):  # noqa: B905 - Python 3.8
        if rule == RMS:
            found.append(np.sqrt(np.mean((a - b) ** 2) / max(float(np.mean(b**2)), 1e-12)))
        else:
            found.append((np.abs(a - b) / (np.maximum(1, np.abs(b)) if task != "classify" else 1)).max())
    return float(np.max(found))


def _agreement(ours: Sequence[Array], theirs: Sequence[Array], task: str) -> float | None:
    if task == "detect":
        return None
    return float(100 * np.mean(ours[0].argmax(1) == theirs[0].argmax(1)))


def _timed(bundle: Bundle, loaded: Loaded) -> Measurement:
    target = bundle.facts["target"]
    with pinned(target.get("cores")):
        return measure_latency(loaded.session, batch=int(target["batch"]), max_seconds=MAX_SECONDS)

"""Is a bundle right and fast enough on this device? Its files, its outputs against the stored ones, its latency.

In fp32 the stored outputs are torch's and must come out again to 1e-4. In a lower precision runtimes and processors
round differently; there they are those of the machine that made the bundle, and what counts is the root of the mean
squared difference over that of the outputs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.deploy.runner.bundle import Bundle
from hwnas.deploy.runner.loading import Loaded, load
from hwnas.deploy.runner.predicting import Model
from hwnas.deploy.runner.promised import in_turns, judged
from hwnas.deploy.runner.schema import kind_of
from hwnas.deploy.runner.spending import spent
from hwnas.errors import InputError
from hwnas.runtime.fingerprint import Fingerprint
from hwnas.runtime.parity import difference
from hwnas.runtime.pinning import pinned
from hwnas.runtime.promise import OPEN, Judgement
from hwnas.runtime.timing import Measurement
from hwnas.tasks.readout import CLASSES, MASK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hwnas.deploy.runner.schema import Array
    from hwnas.runtime.spending import Kept


@dataclass(frozen=True)
class Finding:
    """What the check found.

    Args:
        difference: from the stored outputs; `limit` is the most that is allowed.
        rule: 'largest' or 'rms', see the head of this file.
        agreement: images, or pixels of a segmenter, whose class is the stored one, percent; None of boxes and numbers.
        images: how many were compared.
        latency: here; None where it would say nothing: on another runtime than the bundle's.
        reference: of the reference, in turns with it; None where none travels with the bundle.
        promise_ms: largest median latency; None where nothing was promised.
        promise: what it comes from: 'budget' or 'measured'.
        elsewhere: how this device differs from the one that was measured.
        runtime: name and version.
        cache: see `Loaded`.
        judgement: what the measurement says of the promise; None where one of them is not there.
        kept: of the budgets on what the model takes besides its median time, whether they are kept.
    """

    difference: float
    limit: float
    rule: str
    agreement: float | None
    images: int
    latency: Measurement | None
    reference: Measurement | None
    promise_ms: float | None
    promise: str | None
    elsewhere: Sequence[str]
    runtime: str
    cache: str
    judgement: Judgement | None = None
    kept: Sequence[Kept] = ()

    def failures(self) -> list[str]:
        """What is wrong, one clause each; empty if all is well."""
        found = []
        if not self.difference <= self.limit:
            found.append(f"outputs differ from the stored ones by {self.difference:.1e}, more than {self.limit:.0e}")
        if self.judgement is not None and self.judgement.failed:
            found.append(f"median latency: {self.judgement.sentence}")
        return [*found, *(one.sentence for one in self.kept if one.failed)]

    def verdict(self) -> str:
        """One line."""
        if failures := self.failures():
            return f"failed: {'; '.join(failures)} ({self.runtime})"
        return (f"good: outputs within {self.difference:.1e} of the stored ones on {self.images} images; "
                f"{'; '.join([self._timed(), *map(_told, self.kept)])}; {self.runtime}")

    def _timed(self) -> str:
        """The latency in words."""
        if self.judgement is not None:
            return f"latency: {'open: ' if self.judgement.verdict == OPEN else ''}{self.judgement.sentence}"
        return f"{self.latency.median_ms:.3f} ms, nothing promised" if self.latency else "latency not measured"

    def to_json(self) -> dict[str, Any]:
        """The fields, the failures and whether there are none."""
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("latency", "reference", "judgement"):
            value = getattr(self, name)
            told[name] = value.to_json() if value is not None else None
        told["kept"] = [one.to_json() for one in self.kept]
        told.update(elsewhere=list(self.elsewhere), failures=self.failures(), good=not self.failures())
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
    loaded = load(bundle, runtime, keep=keep, reference=timing)
    images, theirs = bundle.samples()
    ours = _answers(Model(bundle, loaded), images, int(bundle.facts["target"]["batch"]))
    ours = [np.asarray(output, np.float32) for output in ours]  # whole numbers are stored so, too
    if [a.shape for a in ours] != [b.shape for b in theirs]:
        raise InputError(f"{bundle.folder}: the model gives outputs {[a.shape for a in ours]}, the samples hold "
                         f"{[b.shape for b in theirs]}: make the bundle again")
    promise, kind = bundle.facts["latency"], kind_of(bundle.facts)
    parity = {"relative": kind != CLASSES, **bundle.facts["parity"]}  # bundles of 0.1 do not say how they compare
    elsewhere = _elsewhere(promise.get("device"), loaded)
    latency, reference = _timed(bundle, loaded, elsewhere) if timing and loaded.own else (None, None)
    return Finding(
        difference=difference(ours, theirs, parity["rule"], bool(parity["relative"])), limit=float(parity["limit"]),
        rule=parity["rule"], agreement=_agreement(ours, theirs, kind), images=len(images),
        latency=latency, reference=reference, promise_ms=promise["promise_ms"], promise=promise["promise"],
        elsewhere=elsewhere, runtime=f"{loaded.runtime.name} {loaded.runtime.version}", cache=loaded.cache,
        judgement=judged(promise, elsewhere, latency, reference) if latency else None,
        kept=spent(bundle, loaded, elsewhere) if latency else (),
    )


def _told(one: Kept) -> str:
    return f"{'open: ' if one.verdict == OPEN else ''}{one.sentence}"


def _elsewhere(measured: Any, loaded: Loaded) -> list[str]:
    """How this device differs from the one that was measured; empty if it does not, or none was."""
    return Fingerprint.of(loaded.runtime).same_device(Fingerprint.from_json(measured)) if measured else []


def _answers(model: Model, images: Array, batch: int) -> list[Array]:
    """All outputs, `batch` images at a time: that is what the model is compiled for."""
    parts = []
    for i in range(0, len(images), batch):
        piece = images[i : i + batch]
        full = np.concatenate([piece, *[piece[-1:]] * (batch - len(piece))])
        parts.append([output[: len(piece)] for output in model.run(full)])
    return [np.concatenate(outputs) for outputs in zip(*parts)]  # noqa: B905 - Python 3.8


def _agreement(ours: Sequence[Array], theirs: Sequence[Array], kind: str) -> float | None:
    if kind not in (CLASSES, MASK):
        return None
    return float(100 * np.mean(ours[0].argmax(1) == theirs[0].argmax(1)))


def _timed(bundle: Bundle, loaded: Loaded, elsewhere: Sequence[str]) -> tuple[Measurement, Measurement | None]:
    """Latencies of the model and of the reference, in turns."""
    then = None if elsewhere else bundle.facts["latency"].get("reference_ms")
    target = bundle.facts["target"]
    sessions = {"model": loaded.session}
    if loaded.reference is not None:
        sessions["reference"] = loaded.reference
    with pinned(target.get("cores")):
        found = in_turns(sessions, int(target["batch"]), {"reference": float(then)} if then else None)
    return found["model"], found.get("reference")

"""verify for what became of a user's own network: is it still right and fast enough on this device? No torch.

Its outputs are held against those that it gave when it was made, its score against the user's network on the same
images, and its latency, timed in turns with the user's network, against the budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.documents import read_bytes
from hwnas.errors import InputError, UsageError, VerificationFailed
from hwnas.export.interface import Interface
from hwnas.export.own_samples import OwnSamples, stacked
from hwnas.pipeline.config.budget import Budget
from hwnas.pipeline.exported.inference import TimedModel, answering, time_models
from hwnas.pipeline.latencies.latency_sources import cannot_be_here
from hwnas.progress import Progress, silent
from hwnas.quantize.graph import parse
from hwnas.runtime import Measurement
from hwnas.runtime.onnx_file import LARGEST_MODEL
from hwnas.runtime.parity import RMS, difference, rule_of
from hwnas.runtime.promise import MEASURED, Judgement, Promise, judge
from hwnas.surgery.dataflow import static_shape
from hwnas.surgery.examples import examples_of
from hwnas.surgery.judging import Judge, Outputs, Run
from hwnas.target import Target

GIVEN = "network.onnx"  # the user's network in the one form, beside the result
SWEEPS = 40  # as many as stage ship compares with


@dataclass(frozen=True)
class OwnCheck:
    """What the check of one model found.

    Args:
        model: the file.
        network: the user's.
        target: where it ran.
        difference: of the outputs from the stored ones; `rule` and `limit` say how that is counted and the most
            allowed. None where none could be stored.
        images: that were compared.
        scores: against the user's network: loss, agreement and accuracy with their standard errors; empty where
            outputs are not compared.
        judged: how many images these are of, and whether they are the samples or of `--data`.
        latency: of the model, here; `beside`: of the user's network in turns with it. None where not timed.
        promise, judgement: what the latency was held against, and what came of it.
        elsewhere: why this machine cannot be the target; None where it can.
    """

    model: Path
    network: str
    target: Target
    difference: float | None
    rule: str
    limit: float
    images: int
    scores: Mapping[str, float]
    judged: int
    latency: Measurement | None
    beside: Measurement | None
    promise: Promise | None
    judgement: Judgement | None
    elsewhere: str | None

    @property
    def how(self) -> str:
        """What the difference is."""
        return "root mean square of the differences over that of the outputs" if self.rule == RMS else \
            "largest difference, relative above 1"

    def failures(self) -> list[str]:
        """What is wrong, one sentence each; empty if all is well."""
        found = []
        if self.difference is not None and not self.difference <= self.limit:
            found.append(f"outputs differ from those that were stored by {self.difference:.1e}, more than "
                         f"{self.limit:.0e} ({self.how})")
        if self.judgement is not None and self.judgement.failed:
            found.append(f"median latency: {self.judgement.sentence}")
        return found

    def check(self) -> None:
        """Raise VerificationFailed with every failure, if there is one."""
        if failures := self.failures():
            raise VerificationFailed("the exported model failed its check: " + "; ".join(failures))

    def to_json(self) -> dict[str, Any]:
        """The fields, and the failures."""
        return {
            "model": str(self.model), "network": self.network, "target": self.target.model_dump(),
            "difference": self.difference, "rule": self.rule, "limit": self.limit, "images": self.images,
            "scores": dict(self.scores), "judged": self.judged,
            "latency": self.latency.to_json() if self.latency else None,
            "reference_latency": self.beside.to_json() if self.beside else None,
            "promise": self.promise.to_json() if self.promise else None,
            "budget_ms": self.promise.latency_ms if self.promise else None,
            "judgement": self.judgement.to_json() if self.judgement else None,
            "elsewhere": self.elsewhere, "failures": self.failures(),
        }


def check_own(model: Path, content: bytes, metadata: Mapping[str, Any], where: Target, budget: Budget | None,
              samples: Path | None = None, data: str | None = None, progress: Progress = silent) -> OwnCheck:
    """Check a model of a user's own network.

    Args:
        model: its file, with samples and the user's network beside it; `content`: its bytes.
        metadata: what it says of itself, checked.
        where: where it is to run, in its own precision.
        budget: None takes what it was made for.
        samples: None takes samples.safetensors beside it.
        data: images that it is judged on anew; None judges on the samples.

    Raises:
        RunError: the samples are missing or damaged.
        UsageError: a share of a network that is not there, or a batch.
        InputError: the model does not give what the samples hold.
    """
    if where.batch != 1 and static_shape(parse(content).graph.input[0]) is not None:
        raise UsageError(f"{model} takes one image a call: leave out --batch, or compress the network with it")
    face, stored = Interface.of(metadata), None
    if samples is not None or metadata.get("samples", 1):
        stored = OwnSamples.load(samples or model.parent / "samples.safetensors")
    session = answering(content, where)

    def run(x: np.ndarray) -> Outputs:
        return [np.asarray(output) for output in session.run({session.input_name: x})]

    rule, limit = rule_of(metadata["precision"])
    apart = _difference(model, run, face, stored, rule) if stored else None
    judging, images = (_judge_on_samples(stored, face), len(stored.images)) if stored else (None, 0)
    if data is not None:
        judging, images = _judge_on_data(data, model, metadata, face, where)
    elsewhere = cannot_be_here(where)
    promise = _promise(metadata, budget, model)
    times = {} if elsewhere else _time(model, content, where, promise, progress)
    now = times["model"].median_ms if times else None
    beside = times.get("reference")
    return OwnCheck(
        model, str(metadata["network"]), where, apart, rule, limit, len(stored.images) if stored else 0,
        judging.score(run).to_json() if judging else {}, images, times.get("model"), beside, promise,
        judge(promise, now, beside.median_ms if beside else None) if promise and now is not None else None, elsewhere)


def _difference(model: Path, run: Run, face: Interface, stored: OwnSamples, rule: str) -> float:
    ours = stacked([run(face.contract.apply(image[None])) for image in stored.images])
    if ours is None or [a.shape for a in ours] != [b.shape for b in stored.outputs]:
        raise InputError(f"{model} gives outputs of other shapes than the samples hold: they are not of one run")
    return difference(ours, stored.outputs, rule, stored.relative)


def _judge_on_samples(stored: OwnSamples, face: Interface) -> Judge:
    rows = iter([[output[i:i + 1] for output in stored.given] for i in range(len(stored.images))])
    return Judge(lambda: (face.contract.apply(image[None]) for image in stored.images), lambda x: next(rows),
                 stored.labels)


def _judge_on_data(data: str, model: Path, metadata: Mapping[str, Any], face: Interface, where: Target
                   ) -> tuple[Judge, int]:
    """On the images of a data set that judge, split with the seed of the run so that none is among them that fitted."""
    _, examples, _ = examples_of(data, face.contract, face.size, int(metadata.get("seed", 0)))
    return Judge(lambda: examples.batches(1), _given(model, where), examples.labels), len(examples)


def _given(model: Path, where: Target) -> Run:
    """The user's network, which lies beside the model.

    Raises:
        UsageError: it does not.
    """
    path = model.parent / GIVEN
    if not path.is_file():
        raise UsageError(f"--data holds the model against your network, {GIVEN}, which is not beside {model}: copy it "
                         "there, or leave out --data")
    session = answering(read_bytes(path, LARGEST_MODEL), where)
    return lambda x: session.run({session.input_name: x})


def _time(model: Path, content: bytes, where: Target, promise: Promise | None, progress: Progress
          ) -> dict[str, Measurement]:
    """The model, in turns with the user's network where that lies beside it."""
    models = {"model": TimedModel(content, where, in_form=True)}
    path = model.parent / GIVEN
    if path.is_file():
        models = {"reference": TimedModel(read_bytes(path, LARGEST_MODEL), where, in_form=True), **models}
    return time_models(models, sweeps=SWEEPS, usual_ms=promise.usual_ms if promise else None, progress=progress)


def _promise(metadata: Mapping[str, Any], budget: Budget | None, model: Path) -> Promise | None:
    """What the model was made to keep; another budget in its place, of the same network at the same speed."""
    told = metadata["latency"]
    given, limit, share = told.get("given_ms"), told.get("limit_ms"), told.get("share")
    if budget is not None:
        if budget.relative and not given:
            raise UsageError(f"--latency {budget.text} is a share of the network that was given, and {model} does not "
                             "say what that took: give a budget in ms")
        limit, share = (budget.absolute(float(given or 0) * 1e6) / 1e6, budget.value if budget.relative else None)
    if limit is None:
        return None
    return Promise(float(limit), MEASURED, float(given) if given else None, share)

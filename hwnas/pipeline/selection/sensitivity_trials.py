"""Lowers a network place by place and looks how far its answers move: what `sensitivity` is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.export import Loss, answers, onnx_bytes
from hwnas.export.onnx_export import INPUT
from hwnas.files import append_line
from hwnas.imaging.fitting import to_input
from hwnas.latency.places import places_of
from hwnas.pipeline.exported.inference import answering, calibration_inputs
from hwnas.pipeline.selection.sensitivity import EVERYWHERE, FILE, SCHEMA, LineSchema, Sensitivity, known_lines
from hwnas.quantize import in_precisions, variant_for
from hwnas.space import Architecture, Space
from hwnas.surgery.judging import Judge, Run
from hwnas.target import Precision

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas.nets import Network
    from hwnas.pipeline.context import RunContext
    from hwnas.train import Workload

IMAGES, BATCH = 256, 32


def measured_sensitivity(context: RunContext, precisions: Sequence[Precision]) -> Sensitivity:
    """Measure what the run folder lacks, line by line, so that a killed run measures nothing twice.

    Args:
        precisions: besides fp32.
    """
    path, space = context.run.path / FILE, context.space
    lines = known_lines(path)
    names = [place.name for place in places_of(space)]
    wanted = [(name, p) for p in precisions for name in (*names, EVERYWHERE) if (name, p) not in lines]
    if wanted:
        trial = _Trial.of(context, space.reference)
        for number, (name, precision) in enumerate(wanted):
            context.progress("try precisions place by place", number, len(wanted))
            lines[name, precision] = trial.line(name, precision)
            append_line(path, lines[name, precision].model_dump(exclude_none=True))
        context.progress("try precisions place by place", len(wanted), len(wanted))
    return Sensitivity.of(lines)


@dataclass(frozen=True)
class _Trial:
    """One network, and what it gives in fp32."""

    context: RunContext
    fold: Workload
    model: bytes
    judge: Judge
    samples: list[dict[str, np.ndarray]]
    positions: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, context: RunContext, arch: Architecture) -> _Trial:
        net, fold = _network(context, arch), context.searched.evaluator.fold
        model = onnx_bytes(net.eval(), {})
        samples = calibration_inputs(fold.train_images, INPUT, context.config.seed)
        images = fold.val_images[:IMAGES]

        def inputs() -> Iterator[NDArray[np.float32]]:
            for i in range(0, len(images), BATCH):
                yield to_input(np.asarray(images[i:i + BATCH]))

        judge = Judge(inputs, _running(context, model))
        return cls(context, fold, model, judge, samples, positions_of(arch.space))

    def line(self, place: str, precision: str) -> LineSchema:
        names = self.positions[place] if place != EVERYWHERE else [n for one in self.positions.values() for n in one]
        model = in_precisions(self.model, dict.fromkeys(names, precision), samples=self.samples,
                              variant=variant_for(self.context.target.runtime))
        score = self.judge.score(_running(self.context, model))
        found: dict[str, Any] = {"hwnas_sensitivity": SCHEMA, "place": place, "precision": precision,
                                 "loss": score.mean, "loss_se": min(score.error, 1e12)}
        if place == EVERYWHERE:
            images, target = self.fold.val_images, self.context.mixed_target
            both = (answers(answering(m, target), images) for m in (self.model, model))
            loss = Loss.between(self.fold.metric, *both)
            found |= {"drop": loss.drop, "drop_se": loss.error}
        return LineSchema.model_validate(found)


def positions_of(space: Space) -> dict[str, tuple[str, ...]]:
    """Name of a place -> names of its positions."""
    return {place.name: tuple(space.positions[i].name for i in place.positions) for place in places_of(space)}


def _network(context: RunContext, arch: Architecture) -> Network:
    """With shared weights where the search has them; else as it was trained alone."""
    if context.config.search.evaluator == "shared":
        return context.searched.evaluator.network(arch)
    return context.reference


def _running(context: RunContext, model: bytes) -> Run:
    session = answering(model, context.mixed_target)
    return lambda x: session.run({INPUT: x})

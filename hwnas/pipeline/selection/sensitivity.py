"""What it costs the answers of a network that a place of it is computed in a lower precision: measured for each.

The network is the space's reference, with the weights that the search shares where it has such. Every place is lowered
alone, calibrated as it would ship, and held against the same network in fp32 on the images that the search scores
architectures with: they neither train those weights nor judge the result.

What divergence is in points of the score, the network in one precision tells: it loses so many points, with a standard
error, and its places diverge so much together. One standard error is added to both, as an optimiser picks what was
judged too kindly.

Glossary
    l_i, e_i    loss of place i lowered alone, as `hwnas.surgery.judging` has it, and its standard error
    d, s        points that all places lowered cost, and the standard error
    points of place i:  (max(d, 0) + s) (l_i + e_i) / sum_j l_j
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from hwnas.errors import RunError
from hwnas.export import Loss, answers, onnx_bytes
from hwnas.export.onnx_export import INPUT
from hwnas.files import append_line, read_lines
from hwnas.imaging.fitting import to_input
from hwnas.latency.places import Place, places_of
from hwnas.pipeline.exported.inference import answering, calibration_inputs
from hwnas.quantize import in_precisions, variant_for
from hwnas.space import Architecture, Space
from hwnas.surgery.judging import Judge, Run
from hwnas.target import Precision
from hwnas.validation import Schema, checked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas.nets import Network
    from hwnas.pipeline.context import RunContext
    from hwnas.train import Workload

FILE = "sensitivity.jsonl"
SCHEMA = 1
IMAGES, BATCH = 256, 32
EVERYWHERE = ""
"""The place of lines that are of all places at once."""
Number = Annotated[float, Field(ge=-1e12, le=1e12)]


class LineSchema(Schema):
    """One line: what a precision costs at a place; of all places also in points of the score."""

    hwnas_sensitivity: Annotated[int, Field(ge=SCHEMA, le=SCHEMA)]
    place: Annotated[str, Field(max_length=200)]
    precision: Precision
    loss: Number
    loss_se: Number
    drop: Number | None = None
    drop_se: Number | None = None


@dataclass(frozen=True)
class Sensitivity:
    """What was measured.

    Args:
        points: (place, precision) -> points of the score that are expected to be lost.
    """

    points: Mapping[tuple[str, str], float]

    @classmethod
    def read(cls, path: Path) -> Sensitivity:
        """Of a run folder.

        Raises:
            RunError: it has not been measured there.
            InputError: the file is broken.
        """
        lines = _known(path / FILE)
        if not lines:
            raise RunError(f"{path} has not measured yet what precisions cost at every place: stage generate of a run "
                           "with --precision mixed or auto does")
        return cls.of(lines)

    @classmethod
    def of(cls, lines: Mapping[tuple[str, str], LineSchema]) -> Sensitivity:
        """Of all lines of a file."""
        points = dict[tuple[str, str], float]()
        for (place, precision), line in lines.items():
            whole = lines.get((EVERYWHERE, precision))
            if place == EVERYWHERE or whole is None:
                continue
            total = sum(other.loss for (name, p), other in lines.items() if p == precision and name != EVERYWHERE)
            cost = max(whole.drop or 0.0, 0.0) + (whole.drop_se or 0.0)
            points[place, precision] = cost * (line.loss + line.loss_se) / total if total > 0 else 0.0
        return cls(points)

    def rows(self, places: Sequence[Place], precisions: Sequence[str]) -> list[NDArray[np.float64]]:
        """What `hwnas.generate.solve_precisions` takes off, (precisions,) per place; unknown places cost the mean."""
        mean = {p: float(np.mean([v for (_, q), v in self.points.items() if q == p] or [0.0])) for p in precisions}
        return [np.array([self.points.get((place.name, p), mean[p]) for p in precisions]) for place in places]


def measured_sensitivity(context: RunContext, precisions: Sequence[Precision]) -> Sensitivity:
    """Measure what the run folder lacks, line by line, so that a killed run measures nothing twice.

    Args:
        precisions: besides fp32.
    """
    path, space = context.run.path / FILE, context.space
    lines = _known(path)
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


def _known(path: Path) -> dict[tuple[str, str], LineSchema]:
    if not path.is_file():
        return {}
    lines = [checked(LineSchema, line, f"{path}") for line in read_lines(path)]
    return {(line.place, line.precision): line for line in lines}

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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hwnas.errors import RunError
from hwnas.files import read_lines
from hwnas.latency.places import Place
from hwnas.target import Precision
from hwnas.validation import Schema, checked

FILE = "sensitivity.jsonl"
SCHEMA = 1
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
        lines = known_lines(path / FILE)
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


def known_lines(path: Path) -> dict[tuple[str, str], LineSchema]:
    """(place, precision) -> line of a file; none where there is no file.

    Raises:
        InputError: it is broken.
    """
    if not path.is_file():
        return {}
    lines = [checked(LineSchema, line, f"{path}") for line in read_lines(path)]
    return {(line.place, line.precision): line for line in lines}

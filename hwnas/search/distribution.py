"""A distribution over architectures: what a search hands to the generator.

    symbol          meaning                                                     shape
    d               choices of the space                                        scalar
    K_i             ops of choice i                                             scalar
    probabilities   p_ik, a product law over the choices                        d rows of K_i
    live            False where the search discarded the op                     d rows of K_i
    effects         b_ik, gain in score of op k over the mean live op of i      d rows of K_i
    stderr          standard error of b_ik                                      d rows of K_i
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from hwnas.errors import InputError
from hwnas.generate.utilities import utilities_of
from hwnas.validation import MOST_OPS, Schema, checked

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Rows = list[FloatArray]

SCHEMA = "hwnas_distribution"


Score = Annotated[float, Field(ge=-1e6, le=1e6)]  # effects are percent points


class DistributionSchema(Schema):
    """The keys of a distribution's JSON, a row a choice; `Distribution` says what must hold of them together."""

    probabilities: Annotated[list[list[Annotated[float, Field(ge=0, le=1)]]], Field(max_length=MOST_OPS)]
    live: Annotated[list[list[bool]], Field(max_length=MOST_OPS)]
    effects: Annotated[list[list[Score]], Field(max_length=MOST_OPS)]
    stderr: Annotated[list[list[Annotated[float, Field(ge=0, le=1e6)]]], Field(max_length=MOST_OPS)]


@dataclass(frozen=True, eq=False)
class Distribution:
    """An immutable product distribution with additive effects; rows may differ in length.

    Attributes:
        probabilities: float64 row per choice, sums to 1, exactly 0 on dead ops.
        live: boolean row per choice, at least one True.
        effects: float64 row per choice in score units, centred over the live ops: their mean is 0. Dead ops keep
            the estimate made from the time they were evaluated, on the same zero.
        stderr: float64 row per choice in score units, the error of the centred effect; 0 where nothing was measured.

    Raises:
        InputError: rows of different shapes, not finite, not on the simplex, or mass on a dead op.
    """

    probabilities: Sequence[FloatArray]
    live: Sequence[BoolArray]
    effects: Sequence[FloatArray]
    stderr: Sequence[FloatArray]

    def __post_init__(self) -> None:
        for name in ("probabilities", "effects", "stderr"):
            object.__setattr__(self, name, [_frozen(row, np.float64) for row in getattr(self, name)])
        object.__setattr__(self, "live", [_frozen(row, np.bool_) for row in self.live])
        if not self.live or len({len(self.probabilities), len(self.live), len(self.effects), len(self.stderr)}) != 1:
            raise InputError("a distribution needs the same number of rows, at least one, in each of its four fields")
        for i in range(len(self.live)):
            _check_row(i, self.probabilities[i], self.live[i], self.effects[i], self.stderr[i])

    @property
    def choices(self) -> tuple[int, ...]:
        """Number of ops of each choice."""
        return tuple(len(row) for row in self.live)

    def mode(self) -> tuple[int, ...]:
        """The most probable architecture; equal probabilities go to the higher effect, then to the lower index."""
        return tuple(
            max(np.flatnonzero(live).tolist(), key=lambda k, p=p, b=b: (p[k], b[k], -k))  # type: ignore[misc]
            for p, live, b in zip(self.probabilities, self.live, self.effects, strict=True)
        )

    def entropy(self) -> float:
        """Entropy of the whole product law, in nats: 0 when one architecture is left."""
        return float(sum(-(p[p > 0] @ np.log(p[p > 0])) for p in self.probabilities)) + 0.0

    def sample(self, rng: np.random.Generator) -> tuple[int, ...]:
        """Draw one architecture; a dead op is never drawn."""
        return tuple(int(rng.choice(len(p), p=p)) for p in self.probabilities)

    def utilities(self, kind: str, z: float = 1.0) -> Rows:
        """Additive utilities for the generator, float64 row per choice, -inf on dead ops.

        Args:
            kind: `logprob` ln p (the optimum is the most probable architecture), `prob` p (as the paper's reference
                sums it), `effect` (score units) or `effect_lcb` effect - z * stderr.
            z: standard errors subtracted by `effect_lcb`; the other kinds have no use for it.

        Raises:
            UnknownName: no such kind.
            UsageError: z is negative or not finite.
        """
        return utilities_of(kind, probabilities=self.probabilities, effects=self.effects, stderr=self.stderr,
                            live=self.live, z=z)

    def to_json(self) -> dict[str, Any]:
        """A JSON value (dict of lists); floats survive the round trip exactly."""
        fields = ("probabilities", "live", "effects", "stderr")
        return {SCHEMA: 1} | {name: [row.tolist() for row in getattr(self, name)] for name in fields}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Distribution:
        """Read what `to_json` wrote.

        Raises:
            InputError: not a distribution, another schema version, or values that break the invariants.
        """
        if not isinstance(value, Mapping) or value.get(SCHEMA) != 1:
            raise InputError(f'not a distribution: the key "{SCHEMA}" must be 1; write it with Distribution.to_json')
        found = checked(DistributionSchema, value, "broken distribution", way_out="run the search again")
        return cls([np.array(row) for row in found.probabilities], [np.array(row) for row in found.live],
                   [np.array(row) for row in found.effects], [np.array(row) for row in found.stderr])


def everything_live(choices: Sequence[int]) -> Distribution:
    """Before anything is learnt: every op live, equally probable, of effect 0."""
    rows = [np.zeros(k) for k in choices]
    return Distribution([row + 1 / len(row) for row in rows], [row == 0 for row in rows], rows, rows)


def _frozen(row: Any, dtype: Any) -> Any:
    copy = np.array(row, dtype=dtype)
    copy.flags.writeable = False
    return copy


def _check_row(i: int, p: FloatArray, live: BoolArray, effects: FloatArray, stderr: FloatArray) -> None:
    if live.ndim != 1 or not live.size or not p.shape == live.shape == effects.shape == stderr.shape:
        raise InputError(f"choice {i}: probabilities, live, effects and stderr must be flat and of one length")
    if not (np.isfinite(p).all() and np.isfinite(effects).all() and np.isfinite(stderr).all()):
        raise InputError(f"choice {i}: every number of a distribution must be finite")
    if not live.any() or p[~live].any():
        raise InputError(f"choice {i}: at least one op must be live and dead ops must have probability 0")
    if p.min() < 0 or abs(p.sum() - 1) > 1e-9 or stderr.min() < 0:
        raise InputError(f"choice {i}: probabilities must be >= 0 and sum to 1 (sum {p.sum():.9g}), stderr >= 0")

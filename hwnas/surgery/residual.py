"""What the truth about whole plans says of the losses of options: a belief that is updated as that about times is.

Losses of replacements add up only roughly, mostly to less than they are together, and what an optimiser picks was
judged too kindly. The sum over options and pairs is a linear model; the belief about its terms begins with what each of
them lost alone. All may be off by one factor, each by a share of its own, and the small ones by what is usual for an
option, so that a term that was said to cost nothing can be found out. Truths update it exactly.

This stands where DONNA (Moons et al., ICCV 2021) regresses accuracies on block losses, from a few dozen trained
networks; MIGO, shown the same truths, chooses worse among the plans of a next round (ADR 0056). On three runs
(ResNet-20 twice, EfficientNet-Lite0) it predicts the plans of the next round to 4 to 13 % where one factor for all was
off by 5 to 18 %; the shares below were chosen on these.

symbol  meaning                                                      shape
m, V    mean and variance of the belief about every term             (p,), (p, p)
F       which terms are in each plan                                 (n, p)
y       losses of the plans, measured                                (n,)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.surgery.belief import updated
from hwnas.surgery.plan import Plan
from hwnas.surgery.planning import Losses

OWN = 0.3  # standard deviation of a term, relative to it
USUAL = 1.0  # ... and in median losses of an option
SCATTER = 0.05  # of a truth around the sum, relative
TINY = 1e-12


def corrected(losses: Losses, plans: Sequence[Plan], truth: Sequence[float]) -> Losses:
    """Losses after the truth about some plans.

    Args:
        truth: the loss of each, measured.

    Returns:
        With other means and pairs; an option never gains, two of them may.
    """
    options, pairs = list(losses.mean), list(losses.pairs)
    if not options or not plans:
        return losses
    alone = np.array([losses.mean[key] for key in options])
    m = np.concatenate([alone, [losses.pairs[key] for key in pairs]])
    f, y = np.stack([_terms(plan, options, pairs) for plan in plans]), np.asarray(truth, np.float64)
    v = np.outer(m, m) + np.diag(np.square(OWN * np.abs(m) + USUAL * float(np.median(np.abs(alone)))))
    noise = np.square(SCATTER * np.maximum(y, y.mean())) + TINY
    found, _ = updated(m, v, f, y, noise)
    return Losses({key: max(0.0, float(value)) for key, value in zip(options, found, strict=False)}, losses.error,
                  {key: float(value) for key, value in zip(pairs, found[len(options):], strict=True)})


def _terms(plan: Plan, options: Sequence[tuple[str, str]], pairs: Sequence[tuple[str, str, str, str]]
           ) -> NDArray[np.float64]:
    known = {place: option.key for place, option in plan.items()}
    return np.array([float(known.get(place) == key) for place, key in options]
                    + [float(known.get(a) == x and known.get(b) == y) for a, x, b, y in pairs])

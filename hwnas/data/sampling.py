"""Which images an epoch shows, and in which order: all once, or rare classes more often.

`balanced` is the repeat-factor sampling of LVIS (Gupta, Dollár, Girshick, CVPR 2019, section 4): a class in a share f
of the images gets the factor max(1, sqrt(t / f)), an image the largest factor of its classes, and images are drawn in
proportion to it. There t is 0.001, for a thousand rare classes; here it is the mean share over the classes, so that
classes under the mean are shown more often, whatever their number.

Other packages add samplers with the entry point `hwnas.samplers`; `package.module:name` names one of a user's own.

symbol  meaning                       shape
N       images of a part
truth   classes of every image        N of (n_i,)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from hwnas.documents import brief
from hwnas.errors import UsageError
from hwnas.plugins import Plugins, of_module

Classes = npt.NDArray[np.int64]


class Sampler(Protocol):
    """Says what an epoch shows."""

    def __call__(self, truth: Sequence[Classes], rng: np.random.Generator) -> Classes:
        """Numbers of the images in the order of the epoch, N of them: int64 (N,), some more than once, some never.

        Args:
            truth: the classes in every image; one number where it has one class.
            rng: nothing else is random.
        """


SAMPLERS = Plugins("sampler", "hwnas.samplers", {"balanced": "hwnas.data.sampling:balanced"})
RULE = "name one that is called with the classes of every image and an rng and gives the numbers of an epoch"


def sampler_of(name: str) -> Sampler:
    """A sampler by name.

    Raises:
        UnknownName, UsageError: there is none, or it does not import.
    """
    return cast(Sampler, of_module(name, "sampler", RULE) if ":" in name else SAMPLERS.find(name))


def order_of(sampler: Sampler, truth: Sequence[Classes], rng: np.random.Generator) -> Classes:
    """What a sampler says, held to its rules.

    Raises:
        UsageError: it does not keep to them.
    """
    order = np.asarray(sampler(truth, rng))
    if order.shape != (len(truth),) or order.dtype.kind not in "iu" or order.min() < 0 or order.max() >= len(truth):
        raise UsageError(f"the sampler must give {len(truth)} whole numbers from 0 to {len(truth) - 1}, not "
                         f"{brief(order.tolist())}")
    return order.astype(np.int64)


def balanced(truth: Sequence[Classes], rng: np.random.Generator) -> Classes:
    """Repeat-factor sampling, see above; images without a class count as those of a common one."""
    found = [np.unique(classes) for classes in truth]
    counts = np.bincount(np.concatenate([*found, np.zeros(0, np.int64)]))
    shares = counts / len(truth)
    wanted = shares[counts > 0].mean() if counts.any() else 1.0
    factor = np.sqrt(np.maximum(1, wanted / np.maximum(shares, 1 / len(truth))))
    weights = np.array([factor[classes].max() if len(classes) else 1.0 for classes in found])
    # At even steps along the sum of the weights: every image is shown as often as its weight says, to within one.
    steps = (np.arange(len(truth)) + rng.random()) * weights.sum() / len(truth)
    shuffled = rng.permutation(len(truth))
    chosen = np.searchsorted(np.cumsum(weights[shuffled]), steps, side="right").clip(max=len(truth) - 1)
    return rng.permutation(shuffled[chosen])

"""An ensemble of small networks that predict scores from op shares, trained together in plain NumPy.

    symbol   meaning                                                     shape
    N, P     samples; ops of all choices                                 scalar
    M, H     members of the ensemble; hidden units                       scalar
    x        shares of the ops: one-hot, or 1/K_i where not decided      (N, P)
    y        standardised scores                                         (N,)
    k        1/n_j on the samples of member j, 0 on those held back      (M, N)
    h        relu(x W + a)                                               (M, N, H)
    f        predictions h u + c                                         (M, N)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwnas.search.distribution import FloatArray
from hwnas.search.distribution_learning.adam import Adam

MEMBERS, HIDDEN, STEPS, RATE = 5, 32, 150, 0.01


@dataclass(frozen=True)
class Weights:
    """Parameters of all members: W (M, P, H), a (M, 1, H), u (M, H, 1), c (M, 1, 1), views into one flat vector."""

    into: FloatArray
    hidden_bias: FloatArray
    out: FloatArray
    bias: FloatArray

    @classmethod
    def of(cls, flat: FloatArray, inputs: int) -> Weights:
        """Split a vector of `Weights.size(inputs)` numbers; writing to it changes the weights."""
        shapes = [(MEMBERS, inputs, HIDDEN), (MEMBERS, 1, HIDDEN), (MEMBERS, HIDDEN, 1), (MEMBERS, 1, 1)]
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
        return cls(*(part.reshape(shape) for part, shape in zip(np.split(flat, ends), shapes, strict=True)))

    @staticmethod
    def size(inputs: int) -> int:
        return MEMBERS * (inputs * HIDDEN + 2 * HIDDEN + 1)

    def activations(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """h (M, N, H) and f (M, N) for x (N, P)."""
        h = np.maximum(x @ self.into + self.hidden_bias, 0.0)
        return h, (h @ self.out + self.bias)[..., 0]


@dataclass(frozen=True)
class MlpEnsemble:
    """Predicts the mean of its members, in units of the scores it was fitted to."""

    weights: Weights
    mean: float
    scale: float

    def predict(self, x: FloatArray) -> FloatArray:
        """Scores (N,) for op shares (N, P)."""
        predicted: FloatArray = self.mean + self.scale * self.weights.activations(x)[1].mean(axis=0)
        return predicted


def fit_ensemble(x: FloatArray, scores: FloatArray, rng: np.random.Generator) -> MlpEnsemble:
    """Train every member on its own four fifths of the samples, by absolute error and Adam on all of them at once.

    Args:
        x: op shares, (N, P) with N >= 1.
        scores: (N,), finite; standardised inside.
        rng: draws the initial weights and the fifths held back.
    """
    mean = float(scores.mean())
    scale = float(scores.std()) if np.ptp(scores) else 1.0
    y, kept = (scores - mean) / scale, _kept(len(scores), rng)
    flat = _initial(x.shape[1], rng)
    weights, adam = Weights.of(flat, x.shape[1]), Adam(len(flat), RATE)
    for _ in range(STEPS):
        flat += adam.step(-loss_gradient(weights, x, y, kept))
    return MlpEnsemble(weights, mean, scale)


def loss(weights: Weights, x: FloatArray, y: FloatArray, kept: FloatArray) -> float:
    """sum_j sum_n k_jn |f_jn - y_n|: the members' mean absolute errors, added up."""
    return float((kept * np.abs(weights.activations(x)[1] - y)).sum())


def loss_gradient(weights: Weights, x: FloatArray, y: FloatArray, kept: FloatArray) -> FloatArray:
    """Gradient of `loss`, flat in the order of `Weights.of`."""
    h, f = weights.activations(x)
    df = (kept * np.sign(f - y))[..., None]
    dh = df * weights.out.transpose(0, 2, 1) * (h > 0)
    parts = (x.T @ dh, dh.sum(axis=1), h.transpose(0, 2, 1) @ df, df.sum(axis=1))
    return np.concatenate([part.ravel() for part in parts])


def _kept(n: int, rng: np.random.Generator) -> FloatArray:
    fold = rng.permutation(n) % MEMBERS
    kept = (fold != np.arange(MEMBERS)[:, None]) if n >= MEMBERS else np.ones((MEMBERS, n))
    shares: FloatArray = kept / kept.sum(axis=1, keepdims=True)
    return shares


def _initial(inputs: int, rng: np.random.Generator) -> FloatArray:
    flat = np.zeros(Weights.size(inputs))
    weights = Weights.of(flat, inputs)
    weights.into[:] = rng.normal(size=weights.into.shape) / 2
    weights.out[:] = rng.normal(size=weights.out.shape) / np.sqrt(HIDDEN)
    return flat

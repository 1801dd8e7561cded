"""What else predicts the latency of a network from the same measurements; for benchmarks/latency.py.

The forest is nn-Meter's regressor (Zhang et al., "nn-Meter", MobiSys 2021, section 5; its released code fits
scikit-learn's RandomForestRegressor, one per kind of kernel, on the kernel's configuration, FLOPs and parameters) with
our blocks in the place of its kernels: one forest per kind of op, predictions of a network's ops added up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.latency import live_ops
from hwnas.space import Architecture, Op

Floats = NDArray[np.float64]


def linear_on_flops(
    fitted: Sequence[Architecture], fitted_ms: Floats, networks: Sequence[Architecture]
) -> Floats:
    """Least squares of relative errors on a constant and the FLOPs of what is executed, ms, shape (n,)."""
    design, wanted = (np.array([[1.0, _flops(a)] for a in archs]) for archs in (fitted, networks))
    weights = 1 / fitted_ms
    found = np.linalg.lstsq(design * weights[:, None], fitted_ms * weights, rcond=None)[0]
    return np.asarray(np.maximum(wanted @ found, 1e-6))


def forest(times_ms: Mapping[str, float], networks: Sequence[Architecture], seed: int = 0) -> Floats:
    """Sums of what a random forest per kind of op predicts, ms, shape (n,).

    Args:
        times_ms: signature -> time; what the forests are trained on.
    """
    from sklearn.ensemble import RandomForestRegressor

    by_kind: dict[str, list[Op]] = {}
    for signature in times_ms:
        op = Op.parse(signature)
        by_kind.setdefault(op.kind, []).append(op)
    predicted: dict[str, float] = {}
    for ops in by_kind.values():
        features = np.array([_features(op) for op in ops])
        regressor = RandomForestRegressor(n_estimators=370, max_depth=50, random_state=seed)
        regressor.fit(features, [times_ms[op.signature] for op in ops])
        made = regressor.predict(features)
        predicted |= {op.signature: float(ms) for op, ms in zip(ops, made, strict=True)}
    return np.array([sum(predicted[op.signature] for op in live_ops(a)) for a in networks])


def _flops(arch: Architecture) -> float:
    return sum(op.flops for op in live_ops(arch)) / 1e6


def _features(op: Op) -> list[float]:
    acts = [float(op.act == act) for act in ("relu", "relu6", "hswish")]
    return [op.height, op.width, op.in_channels, op.out_channels, op.kernel, op.stride, op.expand, op.groups,
            float(op.se), *acts, op.flops, op.params]

"""Latency before anything is measured, and after a handful of networks were.

`analytic` makes a model of a target's public figures, `design` says which networks to measure, `adapt` fits the model
to their latencies.
"""

from hwnas.latency.estimate.adapt import adapt, adapt_runs
from hwnas.latency.estimate.analytic import estimate
from hwnas.latency.estimate.design import choose, choose_runs
from hwnas.latency.estimate.model import EstimatedModel, Run, run_of

__all__ = ["EstimatedModel", "Run", "adapt", "adapt_runs", "choose", "choose_runs", "estimate", "run_of"]

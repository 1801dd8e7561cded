"""Fills latency tables: block graphs, sweeps, calibration. No torch."""

from hwnas.profile.graph import GraphBuilder, Weights, network_model, random_weights
from hwnas.profile.measure import ProfileResult, measure, measure_network, measure_networks, planned

__all__ = [
    "GraphBuilder", "ProfileResult", "Weights", "measure", "measure_network", "measure_networks", "network_model",
    "planned", "random_weights",
]

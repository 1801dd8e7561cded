"""Fills latency tables: block graphs, sweeps, calibration. No torch."""

from hwnas.profile.graph import GraphBuilder, network_model
from hwnas.profile.measure import ProfileResult, measure, measure_network, measure_networks, planned
from hwnas.profile.node_builder import Weights, random_weights

__all__ = [
    "GraphBuilder", "ProfileResult", "Weights", "measure", "measure_network", "measure_networks", "network_model",
    "planned", "random_weights",
]

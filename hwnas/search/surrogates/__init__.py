"""Strategies that predict scores before they ask: progressive widening and Bayesian optimisation.

Modules: pnas with mlp; gp with gaussian_process; interaction_gp (effects of one, two and three choices) with
proposals; paths (the path encoding of NAS-Bench-201 cells).
"""

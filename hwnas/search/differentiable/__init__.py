"""Searchers that learn the probabilities of the ops by gradients, through mixtures of the candidates."""

"""Strategies that learn a product law over the choices from the scores of what they drew from it."""

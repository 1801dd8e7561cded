"""Strategies that learn a product law over the choices from the scores of what they drew from it.

The field calls them estimation-of-distribution algorithms, or distribution learning; learner.py has what they share.
"""

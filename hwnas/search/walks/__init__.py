"""Strategies that walk: each architecture is a change of one seen before, or a draw from a law that scores move.

Modules: edits (one-op changes, unseen draws), rea (regularised evolution), local (local search), reinforce.
"""

"""Strategies by mutation: each architecture is a change of one seen before.

Modules: mutation (one-op changes, unseen draws), rea (regularised evolution), local (local search).
"""

"""Kinds of ops, one file a kind or family; found by name in `hwnas.space.kinds.registry`."""

"""Kinds of ops that hwnas does not have."""

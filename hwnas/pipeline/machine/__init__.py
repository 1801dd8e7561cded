"""This machine: whether it is ready, fit to measure on, and what lies on it."""

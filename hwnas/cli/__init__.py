"""The command line: one file per command; parse, call, print."""

from hwnas.cli.entry import main

__all__ = ["main"]

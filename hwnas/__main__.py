"""`python -m hwnas` is the command line."""

from hwnas.cli import main

main()

"""`python -m extractft`: the command line."""

from extractft.cli import main

main()

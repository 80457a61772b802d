"""`python -m lmos.cli` is `lmos`."""

from lmos.cli import main

main(prog_name="lmos")

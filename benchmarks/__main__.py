"""`python -m benchmarks NAME`: run one benchmark."""

from __future__ import annotations

import click

from benchmarks.facts import facts


@click.group()
def main() -> None:
    """Measure a model on data that it has never seen, controls in the same table."""


main.add_command(facts)

if __name__ == "__main__":
    main()

"""`lmos compact`: gives room back to the disk."""

from __future__ import annotations

from pathlib import Path

import click

from lmos.cli.keys import KeyChoice, key_option
from lmos.cli.options import json_option, store_argument, wait_option
from lmos.cli.show.helping import HelpfulCommand
from lmos.cli.show.output import print_json, size, waiting
from lmos.cli.stores import patience, require_store


@click.command(cls=HelpfulCommand, short_help="Give unused room back.")
@store_argument
@key_option
@wait_option
@json_option
def compact(store: Path, key: KeyChoice, wait: float, as_json: bool) -> None:
    r"""Write STORE anew without the room that forgotten and replaced text left.

    \b
    Example:
      lmos compact life.lmos

    What is forgotten is overwritten at once, with or without this. Needs about as much room again
    until it is done, and changes nothing else.
    """
    require_store(store)

    from lmos.store.sqlite import SQLiteStore

    opened = SQLiteStore.open(store, patience=patience(wait), key=key.key_of(store))
    with opened, waiting("compacting"):
        before, after = opened.compact()
    if as_json:
        print_json({"bytes_before": before, "bytes_after": after})
    else:
        click.echo(f"{size(before)} before, {size(after)} now")

"""`lmos quota`: how large a store may grow."""

from __future__ import annotations

from pathlib import Path

import click

from lmos.cli import parameters
from lmos.cli.keys import KeyChoice, key_option
from lmos.cli.options import json_option, store_argument, wait_option
from lmos.cli.show.helping import HelpfulCommand
from lmos.cli.show.output import print_json, size
from lmos.cli.stores import patience, require_store


@click.command(cls=HelpfulCommand, short_help="Limit the size of a store.")
@store_argument
@click.argument("limit", type=parameters.byte_limit, metavar="SIZE")
@key_option
@wait_option
@json_option
def quota(store: Path, limit: int, key: KeyChoice, wait: float, as_json: bool) -> None:
    r"""Keep STORE from growing beyond SIZE: bytes, 500MB, 2GB, or none for no limit.

    \b
    Example:
      lmos quota life.lmos 2GB
      lmos quota life.lmos none

    What would make the file larger is then refused whole. A limit below what STORE has already
    lets it shrink but not grow. `lmos status` shows it.
    """
    require_store(store)

    from lmos.store.sqlite import SQLiteStore

    max_bytes = None if limit == parameters.NO_LIMIT else limit
    with SQLiteStore.open(store, patience=patience(wait), key=key.key_of(store)) as opened:
        opened.set_quota(max_bytes)
    if as_json:
        print_json({"max_bytes": max_bytes})
    else:
        click.echo("no limit" if max_bytes is None else f"at most {size(max_bytes)}")

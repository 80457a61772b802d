"""`lmos verify`: is every byte of a store what was written?"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lmos.cli.failures import FAILED
from lmos.cli.options import json_option, store_argument
from lmos.cli.output import count, print_json, printable, waiting
from lmos.cli.stores import require_store


@click.command(short_help="Check every byte.")
@store_argument
@json_option
def verify(store: Path, as_json: bool) -> None:
    r"""Check all of STORE: checksums, spans, parents. Prints what is wrong, one fault a line.

    \b
    Example:
      lmos verify life.lmos && cp life.lmos /backup/

    Exit status: 0 when all is well, 1 when anything is wrong. Nothing is changed.
    """
    require_store(store)

    from lmos.store.sqlite import SQLiteStore

    with SQLiteStore.open(store, read_only=True) as opened, waiting("checking"):
        faults = opened.verify()
    if as_json:
        print_json({"ok": not faults, "faults": faults})
    for fault in [] if as_json else faults:
        click.echo(printable(fault))
    if faults:
        click.echo(f"error: {count(len(faults), 'fault')}; restore {store} from a copy", err=True)
        sys.exit(FAILED)
    if not as_json:
        click.echo("all is well")

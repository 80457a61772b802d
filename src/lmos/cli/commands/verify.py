"""`lmos verify`: is every byte of a store what was written?"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lmos.cli.failures import FAILED
from lmos.cli.keys import KeyChoice, key_option
from lmos.cli.options import ModelChoice, json_option, model_options, store_argument
from lmos.cli.show.helping import HelpfulCommand
from lmos.cli.show.output import count, print_json, printable, waiting
from lmos.cli.stores import require_store

if TYPE_CHECKING:
    from lmos.store.keys import Key


@click.command(cls=HelpfulCommand, short_help="Check every byte.")
@store_argument
@click.option("--deep", is_flag=True, help="Also compress a sample of windows again and compare.")
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    metavar="N",
    help="With --deep, compress the windows above N places of the text again.",
)
@key_option
@model_options
@json_option
def verify(
    store: Path, deep: bool, sample: int, key: KeyChoice, model: ModelChoice, as_json: bool
) -> None:
    r"""Check all of STORE: checksums, spans, parents. Prints what is wrong, one fault a line.

    \b
    Example:
      lmos verify life.lmos && cp life.lmos /backup/
      lmos verify life.lmos --deep --sample 100

    With --deep the model is loaded too, and what it makes of the windows above some places of the
    text must be what the store holds, up to 2 % of a vector's length.

    Exit status: 0 when all is well, 1 when anything is wrong. Nothing is changed.
    """
    require_store(store)
    secret = key.key_of(store)
    find = partial(_find_deep_faults, model=model, sample=sample) if deep else _find_faults
    faults = find(store, secret)
    if as_json:
        print_json({"ok": not faults, "faults": faults})
    for fault in [] if as_json else faults:
        click.echo(printable(fault))
    if faults:
        found = count(len(faults), "fault")
        click.echo(
            f"error: {found}; restore {store} from a copy, or: lmos repair {store}", err=True
        )
        sys.exit(FAILED)
    if not as_json:
        click.echo("all is well")


def _find_faults(store: Path, key: Key | None) -> list[str]:
    from lmos.store.sqlite import SQLiteStore

    opened = SQLiteStore.open(store, read_only=True, key=key)
    with opened, waiting("checking"):
        return opened.verify()


def _find_deep_faults(store: Path, key: Key | None, model: ModelChoice, sample: int) -> list[str]:
    from lmos.cli.opening import open_session

    opened = open_session(store, model, key, read_only=True)
    with opened as session, waiting("checking"):
        return session.verify(deep=sample)

"""`lmos keys`: who may do what with the stores that are served."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from lmos.cli.options import json_option
from lmos.cli.show.helping import HelpfulCommand, HelpfulGroup
from lmos.cli.show.output import note, print_json, results
from lmos.reading.telling import clock_time
from lmos.server.keys import ANY_STORE, ApiKey, add_key, read_keys, remove_key
from lmos.server.names import require_store_name

_file = click.argument("file", type=click.Path(path_type=Path))


@click.group(cls=HelpfulGroup, short_help="API keys for lmos serve.")
def keys() -> None:
    r"""Make, list and remove API keys, kept in a file as salted hashes.

    \b
    Example:
      lmos keys add keys.json --store life --write
      lmos keys list keys.json
      lmos keys remove keys.json 3f9c01ab

    A running server that was started with the file takes every change at once.
    """


@keys.command("add", cls=HelpfulCommand, short_help="Make a key.")
@_file
@click.option(
    "--store",
    metavar="NAME",
    help="Let it open this store alone: NAME.lmos in the folder that is served.",
)
@click.option("--all", "is_for_all", is_flag=True, help="Let it open every store.")
@click.option(
    "--write", is_flag=True, help="Let it add, forget, make and delete too, not only read."
)
@json_option
def add(file: Path, store: str | None, is_for_all: bool, write: bool, as_json: bool) -> None:
    r"""Make a key, put its hash into FILE, and print the key. It cannot be shown again.

    \b
    Example:
      lmos keys add keys.json --store life
      lmos keys add keys.json --all --write
    """
    if (store is not None) == is_for_all:
        raise click.UsageError("expected --store NAME or --all, one of them")
    if store is not None:
        require_store_name(store)
    key, kept = add_key(file, store or ANY_STORE, can_write=write)
    if as_json:
        print_json({"key": key, **_about(kept)})
        return
    click.echo(key)
    note(f"key {kept.key_id} {_may(kept)}; keep it, it is not shown again")


@keys.command("list", cls=HelpfulCommand, short_help="Show what keys there are.")
@_file
@json_option
def list_keys(file: Path, as_json: bool) -> None:
    r"""Show the ids of the keys of FILE and what each may do; the keys themselves are not kept.

    \b
    Example:
      lmos keys list keys.json
    """
    kept = list(read_keys(file).values())
    if as_json:
        print_json([_about(each) for each in kept])
        return
    table = Table.grid(padding=(0, 2))
    for each in kept:
        table.add_row(each.key_id, _may(each), clock_time(each.created))
    results().print(table)


@keys.command("remove", cls=HelpfulCommand, short_help="Take a key back.")
@_file
@click.argument("key_id", metavar="ID")
def remove(file: Path, key_id: str) -> None:
    r"""Take the key ID out of FILE; who has it is refused from now on.

    \b
    Example:
      lmos keys remove keys.json 3f9c01ab
    """
    note(f"removed {remove_key(file, key_id).key_id}")


def _about(key: ApiKey) -> dict[str, str | bool | float]:
    return {
        "id": key.key_id,
        "store": key.store,
        "can_write": key.can_write,
        "created": key.created,
    }


def _may(key: ApiKey) -> str:
    what = "reads and writes" if key.can_write else "reads"
    return f"{what} {'every store' if key.store == ANY_STORE else key.store}"

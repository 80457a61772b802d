"""`lmos rekey`: another key for a store, its first one, or none."""

from __future__ import annotations

from pathlib import Path

import click

from lmos.cli.keys import KeyChoice, ask_new_key, key_option
from lmos.cli.options import json_option, store_argument, wait_option
from lmos.cli.show.helping import HelpfulCommand
from lmos.cli.show.output import print_json, waiting
from lmos.cli.stores import patience, require_store
from lmos.errors import ConfigError


@click.command(cls=HelpfulCommand, short_help="Change or remove the key of a store.")
@store_argument
@click.option(
    "--new-key-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Encrypt STORE with what is in FILE, 32 random bytes or more.",
)
@click.option("--decrypt", is_flag=True, help="Encrypt STORE no longer.")
@key_option
@wait_option
@json_option
def rekey(
    store: Path,
    new_key_file: Path | None,
    decrypt: bool,
    key: KeyChoice,
    wait: float,
    as_json: bool,
) -> None:
    r"""Encrypt STORE with another key, for the first time, or no longer.

    \b
    Example:
      lmos rekey life.lmos
      lmos rekey life.lmos --new-key-file /media/stick/life.key
      lmos rekey life.lmos --decrypt

    Asks for the new passphrase twice, unless there is a new key file. The new file grows beside the
    old one, as STORE-rekey, and takes its place at once when it is complete; until then STORE is as
    it was. Copies that were made before keep the key that they had, and a disk may keep traces of a
    file that was not encrypted.
    """
    require_store(store)
    if decrypt and new_key_file is not None:
        raise click.UsageError("expected --decrypt or --new-key-file, got both")

    from lmos.store.keys import Key
    from lmos.store.sqlite import SQLiteStore
    from lmos.upkeep.rekeying import rekey as change_key

    old_key = key.key_of(store)
    # Before a new passphrase is asked for.
    SQLiteStore.open(store, read_only=True, key=old_key).close()
    if decrypt and old_key is None:
        raise ConfigError(f"{click.format_filename(store)} is not encrypted; nothing was changed")
    if decrypt:
        new_key = None
    else:
        new_key = ask_new_key(store) if new_key_file is None else Key.from_file(new_key_file)
    with waiting("rekeying"):
        change_key(store, old_key, new_key, patience(wait))
    if as_json:
        print_json({"encrypted": new_key is not None})
    else:
        state = "no longer encrypted" if new_key is None else "encrypted with the new key"
        click.echo(f"{click.format_filename(store)} is {state}")

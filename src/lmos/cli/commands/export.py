"""`lmos export`: a store as one portable archive."""

from __future__ import annotations

from pathlib import Path

import click

from lmos.cli.keys import KeyChoice, key_option
from lmos.cli.options import json_option, store_argument
from lmos.cli.show.helping import HelpfulCommand
from lmos.cli.show.output import count, print_json, size, waiting
from lmos.cli.stores import require_store
from lmos.errors import ConfigError


@click.command(cls=HelpfulCommand, short_help="Write a store to a portable archive.")
@store_argument
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--plain", is_flag=True, help="Write FILE although STORE is encrypted.")
@key_option
@json_option
def export(store: Path, file: Path, plain: bool, key: KeyChoice, as_json: bool) -> None:
    r"""Write all of STORE to FILE, a ZIP of texts, JSON and safetensors.

    \b
    Example:
      lmos export life.lmos life.zip
      unzip -l life.zip

    Embeddings are included, so `lmos import` needs no model. STORE is not changed. FILE is never
    encrypted; if STORE is, --plain says that you want that. The store file itself is a copy that
    stays encrypted: cp life.lmos /backup/ while nothing writes.
    """
    require_store(store)

    from lmos.store.archive import write_archive
    from lmos.store.keys import is_encrypted
    from lmos.store.sqlite import SQLiteStore

    if not plain and is_encrypted(store):
        raise ConfigError(
            f"{click.format_filename(store)} is encrypted, and an archive is not: say --plain if "
            "that is what you want; nothing was written"
        )
    opened = SQLiteStore.open(store, read_only=True, key=key.key_of(store))
    with opened, waiting("exporting"):
        num_sources = write_archive(opened, file)
    num_bytes = file.stat().st_size
    if as_json:
        print_json({"file": str(file), "sources": num_sources, "bytes": num_bytes})
    else:
        name = click.format_filename(file)
        click.echo(f"wrote {count(num_sources, 'source')} to {name} ({size(num_bytes)})")

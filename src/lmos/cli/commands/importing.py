"""`lmos import`: a new store from an archive."""

from __future__ import annotations

from pathlib import Path

import click

from lmos.cli.keys import NewKeyChoice, new_key_options
from lmos.cli.options import json_option
from lmos.cli.show.helping import HelpfulCommand
from lmos.cli.show.output import count, print_json, waiting
from lmos.errors import DataError


@click.command("import", cls=HelpfulCommand, short_help="Make a store from an archive.")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("store", type=click.Path(path_type=Path))
@new_key_options
@json_option
def import_archive(file: Path, store: Path, key: NewKeyChoice, as_json: bool) -> None:
    r"""Make the new STORE from FILE, which `lmos export` wrote.

    \b
    Example:
      lmos import life.zip life.lmos
      lmos import life.zip life.lmos --encrypt

    STORE is bound to the model that wrote the exported one. It is made whole or not at all, and
    not encrypted unless you say so, whatever the exported store was.
    """
    if not file.is_file():
        raise DataError(f"there is no archive at {click.format_filename(file)}")

    from lmos.store.archive import read_archive, read_manifest
    from lmos.store.drafts import new_store
    from lmos.store.files import require_free

    require_free(store)
    manifest = read_manifest(file)
    with new_store(store, manifest, key.new_key(store)) as made, waiting("importing"):
        num_sources = read_archive(file, made)
    if as_json:
        print_json({"store": str(store), "sources": num_sources})
    else:
        click.echo(f"made {click.format_filename(store)} with {count(num_sources, 'source')}")

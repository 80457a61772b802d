"""`lmos export`: a store as one portable archive."""

from __future__ import annotations

from pathlib import Path

import click

from lmos.cli.options import json_option, store_argument
from lmos.cli.show.helping import HelpfulCommand
from lmos.cli.show.output import count, print_json, size, waiting
from lmos.cli.stores import require_store


@click.command(cls=HelpfulCommand, short_help="Write a store to a portable archive.")
@store_argument
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def export(store: Path, file: Path, as_json: bool) -> None:
    r"""Write all of STORE to FILE, a ZIP of texts, JSON and safetensors.

    \b
    Example:
      lmos export life.lmos life.zip
      unzip -l life.zip

    Embeddings are included, so `lmos import` needs no model. STORE is not changed.
    """
    require_store(store)

    from lmos.store.archive import write_archive
    from lmos.store.sqlite import SQLiteStore

    with SQLiteStore.open(store, read_only=True) as opened, waiting("exporting"):
        num_sources = write_archive(opened, file)
    num_bytes = file.stat().st_size
    if as_json:
        print_json({"file": str(file), "sources": num_sources, "bytes": num_bytes})
    else:
        name = click.format_filename(file)
        click.echo(f"wrote {count(num_sources, 'source')} to {name} ({size(num_bytes)})")

"""`lmos sources`: the list of what was added."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from lmos.cli.keys import KeyChoice, key_option
from lmos.cli.options import json_option, store_argument
from lmos.cli.show.helping import HelpfulCommand
from lmos.cli.show.output import note, print_json, printable, results, size
from lmos.cli.stores import require_store
from lmos.reading.telling import clock_time


@click.command(cls=HelpfulCommand, short_help="List what was added.")
@store_argument
@key_option
@json_option
def sources(store: Path, key: KeyChoice, as_json: bool) -> None:
    r"""List the sources of STORE, in the order in which they were first added.

    \b
    Example:
      lmos sources life.lmos
      lmos sources life.lmos --json | jq -r '.[].name'
    """
    require_store(store)

    from lmos.store.sqlite import SQLiteStore

    with SQLiteStore.open(store, read_only=True, key=key.key_of(store)) as opened:
        found = opened.sources()
    if as_json:
        print_json(
            [
                {
                    "name": source.name,
                    "time": source.time,
                    "labels": dict(source.metadata),
                    "tokens": source.num_tokens,
                    "bytes": source.num_bytes,
                    "nodes": source.level_counts,
                }
                for source in found
            ]
        )
        return
    if not found:
        note("no sources yet; add some: lmos add STORE PATH")
        return
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("source", overflow="fold")
    table.add_column("time", no_wrap=True)
    table.add_column("tokens", justify="right", no_wrap=True)
    table.add_column("text", justify="right", no_wrap=True)
    if any(source.metadata for source in found):
        table.add_column("labels", overflow="fold")
    for source in found:
        labels = ", ".join(f"{key}={value}" for key, value in source.metadata.items())
        table.add_row(
            printable(source.name),
            clock_time(source.time),
            f"{source.num_tokens:,}",
            size(source.num_bytes),
            *([printable(labels)] if len(table.columns) > 4 else []),
        )
    results().print(table)

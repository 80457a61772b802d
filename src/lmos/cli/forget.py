"""`lmos forget`: one source less."""

from __future__ import annotations

from pathlib import Path

import click

from lmos.cli.helping import HelpfulCommand
from lmos.cli.options import json_option, store_argument, wait_option
from lmos.cli.output import count, is_interactive, note, print_json, printable
from lmos.cli.stores import patience, require_store


@click.command(cls=HelpfulCommand, short_help="Remove a source for good.")
@store_argument
@click.argument("source")
@click.option("--yes", is_flag=True, help="Do not ask.")
@wait_option
@json_option
def forget(store: Path, source: str, yes: bool, wait: float, as_json: bool) -> None:
    r"""Remove SOURCE from STORE: its text and everything that was made of it, for good.

    \b
    Example:
      lmos forget life.lmos diary
      lmos forget life.lmos notes/old.md --yes

    Asks before it does so on a terminal; elsewhere --yes is needed.
    """
    require_store(store)

    from lmos.store.drafts import draft_path
    from lmos.store.sqlite import SQLiteStore

    with SQLiteStore.open(store, patience=patience(wait)) as opened:
        found = opened.source(source)
        name, tokens = printable(found.name), count(found.num_tokens, "token")
        if not yes:
            if not is_interactive():
                raise click.UsageError("expected --yes, since there is no terminal to ask on")
            click.confirm(f"Forget {name} ({tokens}) for good?", abort=True, err=True)
        opened.delete_source(source)
    if as_json:
        print_json({"forgot": found.name, "tokens": found.num_tokens, "bytes": found.num_bytes})
    else:
        click.echo(f"forgot {name} ({tokens})")
    log = store.with_name(store.name + "-wal")
    if log.exists() and log.stat().st_size:
        note(f"another process reads {store}: {log} may hold it until that closes the store")
    if (draft := draft_path(store)).exists():
        note(f"{draft}, an unfinished reencode, may hold it still: finish that or remove the file")

"""`lmos forget`: some sources less."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lmos.cli.keys import KeyChoice, key_option
from lmos.cli.options import json_option, store_argument, wait_option
from lmos.cli.show.helping import HelpfulCommand
from lmos.cli.show.output import count, is_interactive, note, print_json, printable
from lmos.cli.stores import patience, require_store
from lmos.errors import SourceNotFound
from lmos.nodes import Source
from lmos.upkeep.folders import names_like

if TYPE_CHECKING:
    from lmos.store.sqlite import SQLiteStore

_SHOWN = 20


@click.command(cls=HelpfulCommand, short_help="Remove sources for good.")
@store_argument
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--dry-run", is_flag=True, help="Show what would go, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@key_option
@wait_option
@json_option
def forget(
    store: Path,
    names: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    key: KeyChoice,
    wait: float,
    as_json: bool,
) -> None:
    r"""Remove sources from STORE: their text and all that was made of it, for good.

    \b
    Example:
      lmos forget life.lmos diary
      lmos forget life.lmos notes/old.md letter.txt --yes
      lmos forget life.lmos 'notes/2023-*' --dry-run

    A NAME may be a pattern, best in quotes: * stands for any characters, ? for one, [ab] for a or
    b. If one of them names nothing, nothing is removed. Asks before it does so on a terminal;
    elsewhere --yes is needed. lmos sources lists the names.
    """
    require_store(store)

    from lmos.store.drafts import draft_path
    from lmos.store.sqlite import SQLiteStore

    with SQLiteStore.open_shared(store, patience(wait), key.key_of(store)) as opened:
        found = _find(opened, names)
        if not dry_run and not yes:
            # Others may write while the user thinks.
            _ask(found)
        with opened.writing():
            for source in () if dry_run else found:
                opened.delete_source(source.name)
    _tell(found, dry_run=dry_run, as_json=as_json)
    if dry_run:
        return
    log = store.with_name(store.name + "-wal")
    if log.exists() and log.stat().st_size:
        note(f"another process reads {store}: {log} may hold it until that closes the store")
    if (draft := draft_path(store)).exists():
        note(f"{draft}, an unfinished reencode, may hold it still: finish that or remove the file")


def _find(store: SQLiteStore, names: Sequence[str]) -> list[Source]:
    """The sources that are meant, each once.

    Raises:
        SourceNotFound: A name or pattern stands for none.
    """
    known = {source.name: source for source in store.sources()}
    found: dict[str, Source] = {}
    for name in names:
        like = names_like(name, known)
        if not like and any(character in name for character in "*?["):
            raise SourceNotFound(
                f"the store has no source with a name like {name!r}; nothing was forgotten"
            )
        # Where there is none of that name, the store says so and names similar ones.
        found |= {each: known[each] for each in like or [store.source(name).name]}
    return list(found.values())


def _ask(found: Sequence[Source]) -> None:
    if not is_interactive():
        raise click.UsageError("expected --yes, since there is no terminal to ask on")
    if len(found) == 1:
        what = f"{printable(found[0].name)} ({_tokens(found)})"
    else:
        for source in found[:_SHOWN]:
            click.echo(f"  {printable(source.name)}", err=True)
        if len(found) > _SHOWN:
            click.echo(f"  and {len(found) - _SHOWN:,} more", err=True)
        what = f"{len(found):,} sources ({_tokens(found)})"
    click.confirm(f"Forget {what} for good?", abort=True, err=True)


def _tell(found: Sequence[Source], *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "forgot": [] if dry_run else [source.name for source in found],
                "would_forget": [source.name for source in found] if dry_run else [],
                "tokens": sum(source.num_tokens for source in found),
                "bytes": sum(source.num_bytes for source in found),
            }
        )
        return
    verb = "would forget" if dry_run else "forgot"
    for source in found:
        click.echo(f"{verb} {printable(source.name)} ({_tokens([source])})")
    if dry_run:
        note(f"nothing was changed; {count(len(found), 'source')} would go")


def _tokens(sources: Sequence[Source]) -> str:
    return count(sum(source.num_tokens for source in sources), "token")

"""`lmos repair`: a damaged store becomes whole again."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lmos.cli.failures import FAILED
from lmos.cli.keys import KeyChoice, key_option
from lmos.cli.options import ModelChoice, json_option, model_options, store_argument, wait_option
from lmos.cli.show.helping import HelpfulCommand
from lmos.cli.show.output import print_json, printable, waiting
from lmos.cli.stores import patience, require_store


@click.command(cls=HelpfulCommand, short_help="Make a damaged store whole.")
@store_argument
@click.option("--forget-lost", is_flag=True, help="Forget the sources whose text is damaged.")
@key_option
@wait_option
@model_options
@json_option
def repair(
    store: Path,
    forget_lost: bool,
    key: KeyChoice,
    wait: float,
    model: ModelChoice,
    as_json: bool,
) -> None:
    r"""Find what is damaged in STORE and make it again from the text that STORE holds.

    \b
    Example:
      lmos repair life.lmos

    A repaired store grows beside the damaged one, as STORE-repair, and takes its place at once
    when it is complete and without a fault; until then STORE is as it was. Sources whose text is
    damaged cannot be made again: they are named and nothing is changed, unless --forget-lost is
    given.

    Exit status: 0 when STORE is whole, 1 when it is not.
    """
    require_store(store)

    from lmos.cli.opening import load_model
    from lmos.store.sqlite import SQLiteStore
    from lmos.upkeep.repairing import repair as make_whole

    secret = key.key_of(store)
    with SQLiteStore.open(store, read_only=True, key=secret) as opened:
        manifest = opened.manifest
    adapter = manifest.adapter if model.name is None else None
    base_model = load_model(model, manifest.base_model, adapter)
    with waiting("repairing"):
        done = make_whole(
            store, base_model, forget_lost=forget_lost, patience=patience(wait), key=secret
        )
    is_whole = forget_lost or not done.lost
    if as_json:
        lists = {"faults": done.faults, "rebuilt": done.rebuilt, "lost": done.lost}
        print_json({"ok": is_whole, **lists, "unplaced": done.unplaced})
    elif is_whole:
        for name in done.rebuilt:
            click.echo(f"rebuilt {printable(name)}")
        for name in done.unplaced:
            click.echo(f"rebuilt {printable(name)} without its pages; add its file again for them")
        for name in done.lost:
            click.echo(f"forgot {printable(name)}")
        click.echo("all is well")
    if not is_whole:
        names = ", ".join(map(printable, done.lost))
        click.echo(
            f"error: the text of {names} is damaged; nothing was changed. Restore {store} from a "
            f"copy, or go on without: lmos repair {store} --forget-lost",
            err=True,
        )
        sys.exit(FAILED)

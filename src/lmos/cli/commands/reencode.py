"""`lmos reencode`: a store for another model, from its own text."""

from __future__ import annotations

from pathlib import Path

import click

from lmos.cli.keys import KeyChoice, key_option
from lmos.cli.options import ModelChoice, json_option, model_options, store_argument, wait_option
from lmos.cli.show.helping import HelpfulCommand
from lmos.cli.show.output import count, note, print_json, printable, progress_bar
from lmos.cli.stores import patience, require_store


@click.command(cls=HelpfulCommand, short_help="Rebuild a store with another model.")
@store_argument
@key_option
@wait_option
@model_options
@json_option
def reencode(store: Path, key: KeyChoice, wait: float, model: ModelChoice, as_json: bool) -> None:
    r"""Rebuild STORE with another model, from the text that it holds.

    \b
    Example:
      lmos reencode life.lmos --model runs/mine/model

    The new store grows beside the old one, as STORE-draft, and takes its place at once when it is
    complete; until then STORE is as it was. Run the same command again to go on after an
    interruption. Names, times, labels, ratios and modes stay; close other programs that read
    STORE.
    """
    require_store(store)

    from lmos.cli.opening import load_model
    from lmos.store.sqlite import SQLiteStore
    from lmos.upkeep.reencoding import reencode as rebuild

    secret = key.key_of(store)
    with SQLiteStore.open(store, read_only=True, key=secret) as opened:
        manifest = opened.manifest
        num_bytes = sum(source.num_bytes for source in opened.sources())
    adapter = manifest.adapter if model.name is None else None
    base_model = load_model(model, manifest.base_model, adapter)
    with progress_bar("reencoding", num_bytes) as advance:
        sources = rebuild(store, base_model, advance, patience(wait), secret)
    if as_json:
        tokens = sum(source.num_tokens for source in sources)
        print_json({"model": base_model.name, "sources": len(sources), "tokens": tokens})
    else:
        note(f"{count(len(sources), 'source')} now of {printable(base_model.name)}")

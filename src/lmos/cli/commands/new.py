"""`lmos new`: an empty store, bound to a model."""

from __future__ import annotations

from pathlib import Path

import click

from lmos.cli import parameters
from lmos.cli.keys import NewKeyChoice, new_key_options
from lmos.cli.options import ModelChoice, model_options, store_argument
from lmos.cli.show.helping import HelpfulCommand, option
from lmos.cli.show.output import note
from lmos.model.released import DEFAULT_MODEL
from lmos.settings import (
    DEFAULT_RATIOS,
    DEFAULT_WINDOW,
    SEGMENTERS,
)


@click.command(cls=HelpfulCommand, short_help="Make an empty store.")
@store_argument
@click.option(
    "--ratio",
    "ratios",
    type=parameters.ratio_list,
    default=",".join(map(str, DEFAULT_RATIOS)),
    show_default=True,
    metavar="K1,K2,...",
    help="An embedding of level 1 stands for K1 tokens, one of level 2 for K2 of level 1, and "
    "so on.",
)
@option(
    "--window",
    is_rare=True,
    type=int,
    default=DEFAULT_WINDOW,
    show_default=True,
    metavar="N",
    help="The model reads N tokens at once.",
)
@option(
    "--segmenter",
    is_rare=True,
    type=click.Choice(SEGMENTERS),
    default=SEGMENTERS[0],
    show_default=True,
    help="unit begins spans at sentences, items, rows and turns if they fit, sentence at what ends "
    "like a sentence, fixed every K1 tokens, surprise at the tokens that the model expects least, "
    "attention after those that it looks back at most. The last two read the text twice.",
)
@new_key_options
@model_options
def new(
    store: Path,
    ratios: tuple[int, ...],
    window: int,
    segmenter: str,
    key: NewKeyChoice,
    model: ModelChoice,
) -> None:
    r"""Make an empty context store, the file STORE.

    \b
    Example:
      lmos new life.lmos
      lmos new work.lmos --model ./my-model --ratio 32,8
      lmos new diary.lmos --encrypt

    The store is bound to the model, here the shipped one by default, and to these settings for
    good: what it holds can only be read by the model that wrote it. It remembers where model and
    adapter are, so that no other command needs to be told. With --ratio 32,4,4 an
    embedding of level 1, 2, 3 stands for about 32, 128, 512 tokens. An encrypted store cannot be
    read by anybody without its passphrase or key file, you included.
    """
    from lmos.cli.opening import load_model
    from lmos.session import make_manifest
    from lmos.store.files import require_free
    from lmos.store.sqlite import SQLiteStore

    require_free(store)
    secret = key.new_key(store)
    base_model = load_model(model, default=DEFAULT_MODEL)
    manifest = make_manifest(
        base_model,
        ratios,
        window=window,
        segmenter=segmenter,
    )
    SQLiteStore.create(store, manifest, secret).close()
    encrypted = "" if secret is None else ", encrypted"
    note(f"made {click.format_filename(store)} for {manifest.base_model}{encrypted}")

"""Opens stores and models for the commands, and turns warnings into lines on standard error.

Knows which model belongs to a store. Does not know what the commands do with it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from lmos import session
from lmos.cli.options import ModelChoice
from lmos.cli.output import waiting
from lmos.errors import ModelError
from lmos.model import BaseModel
from lmos.session import Session
from lmos.store.sqlite import SQLiteStore


def load_model(choice: ModelChoice, default: str) -> BaseModel:
    """Load the model that was named, or `default`; say on standard error if it is untrained.

    Raises:
        ModelError: It cannot be loaded or used.
    """
    name = choice.name or default
    with warnings.catch_warnings(record=True) as caught, waiting(f"loading {name}"):
        warnings.simplefilter("always", session.UntrainedWarning)
        model = session.load_model(name, choice.adapter, trust_remote_code=choice.trust_remote_code)
    for warning in caught:
        click.echo(f"warning: {warning.message}", err=True)
    return model


@contextmanager
def open_session(path: Path, choice: ModelChoice, *, read_only: bool) -> Iterator[Session]:
    """A store with its model, until the end of the block.

    Raises:
        StoreError: Or a kind of it: the store cannot be opened, or is not of this model.
        ModelError: The model cannot be loaded.
    """
    with SQLiteStore.open(path, read_only=read_only) as store:
        try:
            model = load_model(choice, default=store.manifest.base_model)
        except ModelError as error:
            if choice.name is not None:
                raise
            raise ModelError(
                f"{error}\nThe store was made with this model; if it is elsewhere now, name its "
                "folder with --model"
            ) from error
        yield Session(model, store)

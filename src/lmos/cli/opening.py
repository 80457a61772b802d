"""Opens stores and models for the commands, and turns warnings into lines on standard error.

Knows which model belongs to a store. Does not know what the commands do with it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

# Before anything of lmos.model.
from lmos.cli.quickstart import without_collection, without_compiler

# isort: split
from lmos import session
from lmos.cli.options import ModelChoice
from lmos.cli.show.output import waiting
from lmos.cli.stores import patience
from lmos.errors import ModelError
from lmos.model.base import BaseModel
from lmos.model.released import RETIRED_MODELS
from lmos.session import Session
from lmos.store import AbstractStore, Manifest
from lmos.store.keys import Key
from lmos.store.sqlite import SQLiteStore


def load_model(choice: ModelChoice, default: str, default_adapter: str | None = None) -> BaseModel:
    """Load the model that was named, or the default; say on standard error if it is untrained.

    Args:
        choice: What the user named.
        default: In place of a model.
        default_adapter: In place of an adapter; `None` for the one in the model's folder.

    Raises:
        ModelError: It cannot be loaded or used.
    """
    name = choice.name or default
    with _warnings_as_lines(), waiting(f"loading {name}"), without_collection(), without_compiler():
        return session.load_model(name, choice.adapter or default_adapter, **choice.loading)


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Show warnings on standard error when the block has ended."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", session.UntrainedWarning)
        yield
    for warning in caught:
        click.echo(f"warning: {warning.message}", err=True)


def warn_without_words(session: Session, strategy: str) -> None:
    """Say on standard error that words are not looked for, if they were to be and cannot."""
    if strategy == "hybrid" and not session.store.has_words:
        click.echo(
            "warning: the store has no index of words yet, so hybrid searches like tree; "
            "the next command that changes the store makes it",
            err=True,
        )


@contextmanager
def open_session(
    path: Path, choice: ModelChoice, key: Key | None, *, read_only: bool, wait: float = 0
) -> Iterator[Session]:
    """A store with its model, until the end of the block.

    Args:
        path: Of the store.
        choice: The model that the user named.
        key: What it is encrypted with.
        read_only: Never change it.
        wait: Seconds to wait while another process writes.

    Raises:
        StoreError: Or a kind of it: the store cannot be opened, or is not of this model.
        ModelError: The model cannot be loaded.
    """
    opened = SQLiteStore.open(path, read_only=read_only, patience=patience(wait), key=key)
    with opened as store:
        yield session_of(store, choice)


@contextmanager
def open_shared_session(
    path: Path, choice: ModelChoice, key: Key | None, wait: float
) -> Iterator[Session]:
    """A store with its model, which keeps others from writing only while it writes itself.

    Args:
        path: Of the store.
        choice: The model that the user named.
        key: What it is encrypted with.
        wait: Seconds for which each change waits while another process writes.

    Raises:
        StoreError: Or a kind of it: the store cannot be opened, or is not of this model.
        ModelError: The model cannot be loaded.
    """
    with SQLiteStore.open_shared(path, patience(wait), key) as store:
        yield session_of(store, choice)


@contextmanager
def open_sessions(
    named: Mapping[str, Path],
    choice: ModelChoice,
    keys: Mapping[str, Key | None],
    *,
    read_only: bool,
    wait: float,
) -> Iterator[dict[str, Session]]:
    """Several stores by name, each as `open_shared_session` does; those of one model share it.

    Args:
        named: Their paths.
        choice: The model that the user named.
        keys: What each is encrypted with.
        read_only: Never change them.
        wait: Seconds for which each change waits while another process writes.

    Raises:
        StoreError: Or a kind of it: a store cannot be opened, or is not of this model.
        ModelError: A model cannot be loaded.
    """
    models: dict[tuple[str, str | None], BaseModel] = {}
    sessions: dict[str, Session] = {}
    with ExitStack() as end:
        for name, path in named.items():
            if read_only:
                store = SQLiteStore.open(path, read_only=True, key=keys[name])
            else:
                store = SQLiteStore.open_shared(path, patience(wait), keys[name])
            end.enter_context(store)
            needed = (store.manifest.base_model, store.manifest.adapter)
            if needed not in models:
                models[needed] = _model_of(store, choice)
            sessions[name] = _bound(models[needed], store)
        yield sessions


def session_of(store: AbstractStore, choice: ModelChoice) -> Session:
    """A session of an open store, with the model that was named, or the store's own.

    Raises:
        StoreMismatch: The store is not of this model.
        ModelError: The model cannot be loaded.
    """
    return _bound(_model_of(store, choice), store)


def _model_of(store: AbstractStore, choice: ModelChoice) -> BaseModel:
    try:
        return load_model(choice, store.manifest.base_model, store.manifest.adapter)
    except ModelError as error:
        if _is_named(choice, store.manifest) or store.manifest.base_model in RETIRED_MODELS:
            raise
        raise ModelError(f"{error}\n{_where_it_was(store.manifest)}") from error


def _bound(model: BaseModel, store: AbstractStore) -> Session:
    with _warnings_as_lines():
        return Session(model, store)


def _is_named(choice: ModelChoice, manifest: Manifest) -> bool:
    """Whether the user named all that the store would be opened with."""
    return choice.name is not None and (choice.adapter is not None or manifest.adapter is None)


def _where_it_was(manifest: Manifest) -> str:
    if manifest.adapter is None:
        return (
            f"The store was made with {manifest.base_model}; if it is elsewhere now, name its "
            "folder with --model"
        )
    return (
        f"The store was made with {manifest.base_model} and the adapter {manifest.adapter}; if "
        "one is elsewhere now, name its folder with --model or --adapter"
    )

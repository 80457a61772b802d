"""Repair: a damaged store becomes whole again, from what it still holds.

A repaired store grows beside the damaged one, which stays as it is until the new one is complete
and without a fault. What is whole is copied bit by bit; a source of which embeddings, keys, spans
or windows are damaged is compressed again from its text. Knows builder and stores; knows no
commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from lmos.errors import SourceNotFound, StoreCorrupt, StoreError, StoreFull
from lmos.model.base import BaseModel
from lmos.nodes import PlaceMark, Source
from lmos.session import Session
from lmos.store import AbstractStore
from lmos.store.files import remove_files
from lmos.store.keys import Key
from lmos.store.sqlite import SQLiteStore
from lmos.store.whole import copy_source
from lmos.store.writer import Patience
from lmos.tree.builder import SourceText, TreeBuilder


@dataclass(frozen=True)
class Repair:
    """What a repair found and did.

    Attributes:
        faults: Of the store as it was; empty when there was nothing to do.
        rebuilt: Names of the sources that were compressed again from their text.
        lost: Sources of which nothing can be made any more: names, or numbers where the name is
            damaged too. They are gone if they were to be forgotten; else nothing was changed.
        unplaced: Names of the sources whose places in their originals were damaged; they have none
            now, until their files are added again.
    """

    faults: tuple[str, ...] = ()
    rebuilt: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    unplaced: tuple[str, ...] = ()


def repair(
    path: Path,
    model: BaseModel,
    *,
    forget_lost: bool = False,
    patience: Patience | None = None,
    key: Key | None = None,
) -> Repair:
    """Make a store whole again. One without a fault is not touched.

    The sources are numbered anew. Needs about as much room again as the store takes.

    Args:
        path: Of the store.
        model: Base model and adapter that wrote it.
        forget_lost: Go on without the sources whose text is damaged.
        patience: How long to wait while another process writes.
        key: What the store is encrypted with, and the repaired one too.

    Raises:
        StoreCorrupt: The file is damaged where it says what it is; the store is as it was.
        StoreLocked: Another process has the store open; it is as it was.
        StoreFull: No room for the repaired store; the store is as it was.
        StoreMismatch: The model is not the one that wrote the store.
    """
    draft = path.with_name(path.name + "-repair")
    with SQLiteStore.open(path, patience=patience, key=key) as old:
        # A session refuses any model but the store's own.
        builder = TreeBuilder(Session(model, old).model, old.manifest)
        faults = tuple(old.verify())
        if not faults:
            return Repair()
        try:
            remove_files(draft)
            with old.reindexed():
                sources, lost = _sort_sources(old)
                if lost and not forget_lost:
                    return Repair(faults, lost=lost)
                rebuilt, unplaced = _write_draft(draft, builder, old, sources)
            old.give_way(draft)
        finally:
            remove_files(draft)
    return Repair(faults, rebuilt, lost, unplaced)


def _sort_sources(store: SQLiteStore) -> tuple[list[Source], tuple[str, ...]]:
    """The sources whose text can be read, and what the others are called."""
    sources, lost = [], []
    for source_id in store.source_ids():
        name = f"number {source_id}"
        try:
            source = store.source_by_id(source_id)
            name = source.name
            store.text(source_id)
            sources.append(source)
        except (StoreCorrupt, SourceNotFound):
            lost.append(name)
    return sources, tuple(lost)


def _write_draft(
    draft: Path,
    builder: TreeBuilder,
    old: SQLiteStore,
    sources: Sequence[Source],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Make a store of these sources; the names of those that were rebuilt, or lost their places."""
    rebuilt, unplaced = [], []
    with SQLiteStore.create(draft, replace(old.manifest, max_bytes=None), old.key) as new:
        for source in sources:
            try:
                places = old.places(source.source_id)
            except StoreCorrupt:
                places = ()
                unplaced.append(source.name)
            try:
                copy_source(old, source, new, places)
            except StoreFull:
                raise
            except StoreError:
                _rebuild(builder, old, source, new, places)
                rebuilt.append(source.name)
        new.set_quota(old.manifest.max_bytes)
        if faults := new.verify():
            raise StoreCorrupt(f"{draft} was to be the repaired store, but {faults[0]}")
    return tuple(rebuilt), tuple(unplaced)


@torch.no_grad()
def _rebuild(
    builder: TreeBuilder,
    old: AbstractStore,
    source: Source,
    new: AbstractStore,
    places: Sequence[PlaceMark],
) -> None:
    """Give the new store a source of the old one, made again from its text."""
    (patch,) = builder.build(new, [SourceText(source.name, old.text(source.source_id))])
    new.put_source(source.name, patch, time=source.time, metadata=source.metadata, places=places)

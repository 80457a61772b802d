"""Reencoding: a store that one model wrote becomes one of another model, from its own text.

The new store grows beside the old one, which stays as it is until the new one is complete. Knows
sessions' manifests, builder and stores; knows no commands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from lmos.errors import StoreMismatch
from lmos.model.base import BaseModel
from lmos.nodes import Source
from lmos.session import make_manifest
from lmos.settings import Compression
from lmos.store import AbstractStore, Manifest
from lmos.store.drafts import draft_path
from lmos.store.keys import Key
from lmos.store.sqlite import SQLiteStore
from lmos.store.writer import Patience
from lmos.tree.builder import SourceText, TreeBuilder

PIECE_BYTES = 1 << 20


def reencoded_manifest(model: BaseModel, manifest: Manifest) -> Manifest:
    """The manifest that a store has once `model` has written it, with the same settings.

    Raises:
        ConfigError: The model cannot work with these settings.
    """
    made = make_manifest(
        model,
        manifest.ratios,
        window=manifest.windows[0],
        compression=Compression(manifest.mask_mode, manifest.output_mode),
        segmenter=manifest.segmenter,
    )
    return replace(made, max_bytes=manifest.max_bytes)


def reencode(
    path: Path,
    model: BaseModel,
    advance: Callable[[int], None] = lambda _: None,
    patience: Patience | None = None,
    key: Key | None = None,
) -> list[Source]:
    """Rebuild the store at a path with another model.

    What was done is kept when this is interrupted, and the next call with the same model goes on
    from there. The sources are numbered anew; a process that reads the old store must close it
    before the new one can take its place.

    Args:
        path: Of the store.
        model: Base model and adapter.
        advance: Told the number of bytes of text as they are done.
        patience: How long to wait while another process writes.
        key: What the store is encrypted with, and the new one too.

    Returns:
        The sources, as they are now.

    Raises:
        StoreLocked: Another process has the store open; what was done is kept.
        StoreMismatch: Another model has begun to do this.
        ConfigError: The model cannot work with the store's settings.
    """
    draft = draft_path(path)
    old = SQLiteStore.open(path, patience=patience, key=key)
    try:
        with _opened_draft(draft, reencoded_manifest(model, old.manifest), key) as new:
            builder = TreeBuilder(model, new.manifest)
            num_kept = _drop_stale(old, new)
            advance(sum(source.num_bytes for source in new.sources()))
            for source in old.sources()[max(num_kept - 1, 0) :]:
                _rebuild(builder, old, source, new, advance)
            sources = new.sources()
        old.give_way(draft)
    finally:
        old.close()
    return sources


@contextmanager
def _opened_draft(draft: Path, manifest: Manifest, key: Key | None) -> Iterator[SQLiteStore]:
    if draft.exists():
        store = SQLiteStore.open(draft, key=key)
    else:
        store = SQLiteStore.create(draft, manifest, key)
    with store:
        try:
            store.manifest.require_same(manifest)
        except StoreMismatch as error:
            raise StoreMismatch(
                f"{draft} was begun with {store.manifest.base_model!r}, with other weights or "
                "settings; go on with that, or remove the file and begin anew"
            ) from error
        if store.manifest.max_bytes != manifest.max_bytes:
            store.set_quota(manifest.max_bytes)
        yield store


def _drop_stale(old: AbstractStore, new: AbstractStore) -> int:
    """Drop what is not the beginning of the old store; returns how many sources are left.

    The last that is left may have a part of its text only.
    """
    done, wanted = new.sources(), old.sources()
    num_kept = 0
    for mine, source in zip(done, wanted, strict=False):
        text, whole = new.text(mine.source_id), old.text(source.source_id)
        is_last = mine is done[-1]
        theirs = (source.name, source.time, source.metadata)
        is_same = (mine.name, mine.time, mine.metadata) == theirs
        if not is_same or not (whole == text or (is_last and whole.startswith(text))):
            break
        num_kept += 1
    for mine in done[num_kept:]:
        new.delete_source(mine.name)
    return num_kept


@torch.no_grad()
def _rebuild(
    builder: TreeBuilder,
    old: AbstractStore,
    source: Source,
    new: AbstractStore,
    advance: Callable[[int], None],
) -> None:
    """Give a new source what it lacks of an old one, piece by piece; each is durable."""
    text, places = old.text(source.source_id), old.places(source.source_id)
    for piece in _iter_pieces(text, _num_done(new, source.name)):
        found = new.find_source(source.name)
        if found is None:
            (patch,) = builder.build(new, [SourceText(source.name, piece)])
        else:
            patch = builder.extend(new, found, piece)
        num_bytes = len(piece) + (0 if found is None else found.num_bytes)
        new.put_source(
            source.name,
            patch,
            time=source.time,
            metadata=source.metadata,
            places=[mark for mark in places if mark.start_byte < num_bytes],
        )
        advance(len(piece))


def _num_done(store: AbstractStore, name: str) -> int:
    found = store.find_source(name)
    return 0 if found is None else found.num_bytes


def _iter_pieces(text: bytes, start: int) -> Iterator[bytes]:
    """Cut UTF-8 from a byte on into pieces of whole characters; one empty piece if all is empty."""
    if not text:
        yield text
    while start < len(text):
        stop = min(start + PIECE_BYTES, len(text))
        while stop < len(text) and text[stop] & 0xC0 == 0x80:
            stop += 1
        yield text[start:stop]
        start = stop

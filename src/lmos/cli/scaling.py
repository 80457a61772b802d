"""Adds files with a pool of Ray actors, one transaction each, in the order of the files.

Knows the pool and what files were found. Does not know the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lmos.cli.adding import Outcome, Settings, is_same, labels_of, text_of, time_of
from lmos.cli.options import ModelChoice
from lmos.cli.stores import patience
from lmos.errors import DataError
from lmos.store import AbstractStore
from lmos.store.keys import Key
from lmos.store.sqlite import SQLiteStore
from lmos.text.files import TextFile
from lmos.tree.builder import SourceText
from lmos.upkeep.scaleout import CompressorPool


def iter_scaled_outcomes(
    path: Path,
    address: str,
    model: ModelChoice,
    key: Key | None,
    wait: float,
    files: Sequence[TextFile],
    settings: Settings,
    skip: Callable[[DataError], None],
    advance: Callable[[float], None],
) -> Iterator[Outcome]:
    """Add files; each is durable when its outcome is yielded. Those that did not change come first.

    Args:
        path: Of the store; this process is its one writer.
        address: Of a Ray cluster, or `local`.
        model: The store's own unless named.
        key: What the store is encrypted with.
        wait: Seconds to wait while another process writes.
        files: Checked before.
        settings: For all of them.
        skip: Told of a file that has changed since it was checked, and cannot be added any more.
        advance: Told how many bytes were added.

    Raises:
        ConfigError: Ray is not installed, or there is no cluster at the address.
    """
    with SQLiteStore.open(path, patience=patience(wait), key=key) as store:
        changed = []
        for file in files:
            source = store.find_source(file.name)
            try:
                text = text_of(file, settings)
            except DataError as error:
                skip(error)
                continue
            if source is None or not is_same(store, source, file, text, settings):
                changed.append(file)
                continue
            advance(file.num_bytes)
            yield Outcome(file.name, "unchanged", source.num_tokens, source.num_bytes)
        if changed:
            manifest = store.manifest
            name, adapter = model.name or manifest.base_model, model.adapter or manifest.adapter
            with CompressorPool(address, manifest, name, adapter, **model.loading) as pool:
                yield from _iter_added(store, pool, changed, settings, advance)


def _iter_added(
    store: AbstractStore,
    pool: CompressorPool,
    files: Sequence[TextFile],
    settings: Settings,
    advance: Callable[[float], None],
) -> Iterator[Outcome]:
    texts = (SourceText(file.name, text_of(file, settings).encode()) for file in files)
    for file, (text, patch) in zip(files, pool.patches(texts), strict=True):
        before = store.find_source(text.name)
        time = time_of(file, before, settings)
        source = store.put_source(
            text.name,
            patch,
            time=time,
            metadata=labels_of(file, before, settings),
            places=file.places,
        )
        advance(file.num_bytes)
        action = "added" if before is None else "updated"
        yield Outcome(text.name, action, source.num_tokens, source.num_bytes)

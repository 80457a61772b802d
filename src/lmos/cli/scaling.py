"""Adds files with a pool of Ray actors, one transaction each, in the order of the files.

Knows the pool and what files were found. Does not know the command line.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lmos.builder import SourceText
from lmos.cli.adding import Outcome, Settings, is_same
from lmos.cli.inputs import InputFile, read_text
from lmos.cli.options import ModelChoice
from lmos.cli.stores import patience
from lmos.scaleout import CompressorPool
from lmos.store import AbstractStore
from lmos.store.sqlite import SQLiteStore


def iter_scaled_outcomes(
    path: Path,
    address: str,
    model: ModelChoice,
    wait: float,
    files: Sequence[InputFile],
    settings: Settings,
    advance: Callable[[float], None],
) -> Iterator[Outcome]:
    """Add files; each is durable when its outcome is yielded. Those that did not change come first.

    Args:
        path: Of the store; this process is its one writer.
        address: Of a Ray cluster, or `local`.
        model: The store's own unless named.
        wait: Seconds to wait while another process writes.
        files: Checked before.
        settings: For all of them.
        advance: Told how many bytes were added.

    Raises:
        ConfigError: Ray is not installed, or there is no cluster at the address.
    """
    with SQLiteStore.open(path, patience=patience(wait)) as store:
        changed = []
        for file in files:
            source = store.find_source(file.name)
            text = read_text(file.path, settings.max_bytes)
            if source is None or not is_same(store, source, text, settings):
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
    files: Sequence[InputFile],
    settings: Settings,
    advance: Callable[[float], None],
) -> Iterator[Outcome]:
    texts = (
        SourceText(file.name, read_text(file.path, settings.max_bytes).encode()) for file in files
    )
    for file, (text, patch) in zip(files, pool.patches(texts), strict=True):
        is_new = store.find_source(text.name) is None
        time = clock.time() if is_new and settings.time is None else settings.time
        source = store.put_source(text.name, patch, time=time, metadata=settings.labels)
        advance(file.num_bytes)
        action = "added" if is_new else "updated"
        yield Outcome(text.name, action, source.num_tokens, source.num_bytes)

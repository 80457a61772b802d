"""A whole store as one portable archive, and back: a ZIP of texts, JSON and safetensors.

Any program that reads ZIP reads it; docs/store-format.md says what its members hold. Knows the
contract of stores and files; knows no models.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from lmos.errors import StoreCorrupt, StoreExists, StoreMismatch
from lmos.nodes import PlaceMark, Span
from lmos.store.base import AbstractStore, LevelPatch, SourcePatch, WindowRecord
from lmos.store.blocks import patch_spans
from lmos.store.faults import store_errors
from lmos.store.manifest import Manifest
from lmos.store.whole import whole_patch

ARCHIVE_FORMAT = 1
_HEAD, _LABELS, _TEXT, _TREE = "lmos.json", "source.json", "text.txt", "tree.safetensors"


def write_archive(store: AbstractStore, path: Path) -> int:
    """Write everything that a store holds to a new file; whole when this returns, or absent.

    Args:
        store: Read as one commit left it.
        path: Must not exist.

    Returns:
        How many sources were written.

    Raises:
        StoreExists: There is something at the path.
        StoreFull: No room; nothing was left behind.
    """
    if os.path.lexists(path):
        raise StoreExists(f"there is something at {path}; choose another path or move it away")
    draft = path.with_name(path.name + "-new")
    try:
        with store_errors(str(path)), draft.open("wb") as file:
            with zipfile.ZipFile(file, "w") as archive, store.snapshot():
                num_sources = _write_members(store, archive)
            file.flush()
            os.fsync(file.fileno())
            os.rename(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return num_sources


def read_manifest(path: Path) -> Manifest:
    """The manifest of the store that an archive was written from.

    Raises:
        StoreCorrupt: Not an archive of lmos.
        StoreMismatch: A newer format.
    """
    with _opened(path) as archive:
        head = json.loads(archive.read(_HEAD))
        if head["format"] > ARCHIVE_FORMAT:
            raise StoreMismatch(
                f"{path} has format {head['format']}, this lmos reads {ARCHIVE_FORMAT}; "
                "upgrade lmos"
            )
        return Manifest.from_json(json.dumps(head["manifest"]))


def read_archive(path: Path, store: AbstractStore) -> int:
    """Put every source of an archive into a store of the same manifest.

    Returns:
        How many there were.

    Raises:
        StoreCorrupt: A member is missing, damaged, or not what lmos writes.
    """
    with _opened(path) as archive:
        head = json.loads(archive.read(_HEAD))
        for number in range(head["num_sources"]):
            folder = _folder(number)
            labels = json.loads(archive.read(f"{folder}/{_LABELS}"))
            tree = safetensors.torch.load(archive.read(f"{folder}/{_TREE}"))
            patch = _patch_from(archive.read(f"{folder}/{_TEXT}"), tree, store.manifest.num_levels)
            store.put_source(
                labels["name"],
                patch,
                time=labels["time"],
                metadata=labels["labels"],
                places=[PlaceMark(*mark) for mark in labels.get("places", [])],
            )
        return int(head["num_sources"])


def _write_members(store: AbstractStore, archive: zipfile.ZipFile) -> int:
    sources = store.sources()
    manifest = json.loads(store.manifest.to_json())
    head = {"format": ARCHIVE_FORMAT, "num_sources": len(sources), "manifest": manifest}
    archive.writestr(_HEAD, json.dumps(head, indent=2))
    for number, source in enumerate(sources):
        folder, patch = _folder(number), whole_patch(store, source)
        labels: dict[str, Any] = {
            "name": source.name,
            "time": source.time,
            "labels": dict(source.metadata),
        }
        if places := store.places(source.source_id):
            labels["places"] = places
        archive.writestr(f"{folder}/{_LABELS}", json.dumps(labels, indent=2))
        archive.writestr(f"{folder}/{_TEXT}", patch.text)
        archive.writestr(f"{folder}/{_TREE}", safetensors.torch.save(_tensors_of(patch)))
    return len(sources)


def _folder(number: int) -> str:
    return f"sources/{number:06d}"


def _tensors_of(patch: SourcePatch) -> dict[str, Tensor]:
    windows = [
        (*window.byte_span, len(window.token_ids), window.num_nodes, window.is_sealed)
        for window in patch.windows
    ]
    token_ids = [token for window in patch.windows for token in window.token_ids]
    token_bytes = [end for window in patch.windows for end in window.token_bytes]
    tensors = {
        "windows": torch.tensor(windows, dtype=torch.int64).reshape(-1, 5),
        "token_ids": torch.tensor(token_ids, dtype=torch.int64),
        "token_bytes": torch.tensor(token_bytes, dtype=torch.int64),
    }
    for level, part in enumerate(patch.levels, 1):
        tensors[f"level{level}.spans"] = torch.from_numpy(patch_spans(part))
        tensors[f"level{level}.keys"] = part.keys.contiguous()
        tensors[f"level{level}.embeddings"] = part.embeddings.contiguous()
    return tensors


def _patch_from(text: bytes, tensors: dict[str, Tensor], num_levels: int) -> SourcePatch:
    levels = []
    for level in range(1, num_levels + 1):
        spans = tensors[f"level{level}.spans"].tolist()
        levels.append(
            LevelPatch(
                start=0,
                children=tuple(Span(row[0], row[1]) for row in spans),
                byte_spans=tuple(Span(row[2], row[3]) for row in spans),
                embeddings=tensors[f"level{level}.embeddings"],
                keys=tensors[f"level{level}.keys"],
            )
        )
    return SourcePatch(0, text, 0, tuple(_iter_windows(tensors)), tuple(levels))


def _iter_windows(tensors: dict[str, Tensor]) -> Iterator[WindowRecord]:
    token_ids, token_bytes = tensors["token_ids"].tolist(), tensors["token_bytes"].tolist()
    token = 0
    for start, stop, num_tokens, num_nodes, is_sealed in tensors["windows"].tolist():
        tokens = slice(token, token + num_tokens)
        yield WindowRecord(
            token_ids=tuple(token_ids[tokens]),
            token_bytes=tuple(token_bytes[tokens]),
            byte_span=Span(start, stop),
            is_sealed=bool(is_sealed),
            num_nodes=num_nodes,
        )
        token += num_tokens


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive, with everything that may be wrong with it as a `StoreCorrupt`."""
    wrong: tuple[type[Exception], ...] = (
        zipfile.BadZipFile,
        safetensors.SafetensorError,
        KeyError,
        TypeError,
        ValueError,
    )
    with store_errors(str(path)):
        try:
            with zipfile.ZipFile(path) as archive:
                yield archive
        except wrong as error:
            raise StoreCorrupt(f"{path} is not a whole archive of lmos: {error}") from error

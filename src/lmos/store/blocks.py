"""Bytes of a store: how texts, spans and vectors lie in blocks, and the checksum of a row.

Items of one kind are numbered 0, 1, 2 ... within a source and level, have a fixed size, and lie in
blocks of a fixed number of items; only the last block may be shorter. All numbers are
little-endian. Knows neither SQLite nor what the items mean to each other.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from lmos.store.base import LevelPatch, Spans
from lmos.store.manifest import Manifest

TEXT_BLOCK_BYTES = 64 * 1024
BLOCK_NODES = 64
SPAN_NUMBERS = 4


@dataclass(frozen=True)
class BlockLayout:
    """How items of one kind lie in blocks.

    Attributes:
        kind: Name of the kind, as in the file.
        item_bytes: Size of one item.
        block_items: Items in a full block.
    """

    kind: str
    item_bytes: int
    block_items: int

    def iter_blocks(self, start: int, stop: int) -> Iterator[int]:
        """Numbers of the blocks that hold the items `[start, stop)`."""
        if start < stop:
            yield from range(start // self.block_items, -(-stop // self.block_items))


TEXT = BlockLayout("text", 1, TEXT_BLOCK_BYTES)
SPANS = BlockLayout("spans", SPAN_NUMBERS * 8, BLOCK_NODES)


def keys_layout(manifest: Manifest) -> BlockLayout:
    """Blocks of keys."""
    return BlockLayout("keys", manifest.key_width * 2, BLOCK_NODES)


def embeddings_layout(manifest: Manifest) -> BlockLayout:
    """Blocks of embeddings."""
    return BlockLayout("embeddings", manifest.embedding_width * 2, BLOCK_NODES)


def row_crc(columns: tuple[object, ...], *blobs: bytes) -> int:
    """Checksum of a row: its plain columns as a JSON list, then its blobs."""
    crc = zlib.crc32(json.dumps(columns).encode())
    for blob in blobs:
        crc = zlib.crc32(blob, crc)
    return crc


def patch_spans(patch: LevelPatch) -> Spans:
    """The spans of a patch's new nodes as one array."""
    rows = [(*child, *span) for child, span in zip(patch.children, patch.byte_spans, strict=True)]
    return np.array(rows, dtype=np.int64).reshape(-1, SPAN_NUMBERS)


def spans_to_bytes(spans: Spans) -> bytes:
    """The blob of some spans."""
    return spans.astype("<i8").tobytes()


def spans_from_bytes(blob: bytes | NDArray[np.uint8]) -> Spans:
    """The spans of a blob, or of items gathered from blocks."""
    return np.frombuffer(blob, dtype="<i8").astype(np.int64).reshape(-1, SPAN_NUMBERS)


def round_vectors(vectors: Float[Tensor, "N W"], dtype: str) -> Float[Tensor, "N W"]:
    """The vectors as they will be read back: on the CPU, rounded to `dtype`, no gradient."""
    return vectors.detach().to(device="cpu", dtype=_torch_dtype(dtype)).contiguous()


def vectors_to_bytes(vectors: Float[Tensor, "N W"]) -> bytes:
    """The blob of vectors that `round_vectors` returned."""
    return vectors.view(torch.uint16).numpy().astype("<u2").tobytes()


def vectors_from_items(items: NDArray[np.uint8], dtype: str) -> Float[Tensor, "N W"]:
    """Vectors of items gathered from blocks, one row of bytes each; no copy."""
    return torch.from_numpy(items.view(np.uint16)).view(_torch_dtype(dtype))


def _torch_dtype(name: str) -> torch.dtype:
    return {"bfloat16": torch.bfloat16, "float16": torch.float16}[name]

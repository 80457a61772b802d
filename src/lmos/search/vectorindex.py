"""An index over the keys of one level of a store: near the best of millions without reading all.

It lies in a file beside the store, is made from the store alone, and belongs to one version of it:
a change of the store removes it, also one that comes while it is made. Only here is faiss imported,
and only when an index is used. Knows keys; does not know who asks.
"""

from __future__ import annotations

import hashlib
import os
import threading
import warnings
from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from lmos.errors import ConfigError, StoreError
from lmos.nodes import NodeIds
from lmos.store import AbstractStore
from lmos.store.files import INDEX_SUFFIX
from lmos.store.sqlite import SQLiteStore

_READ_NODES = 65_536
_SAMPLES_PER_LIST = 64
_SMALLEST_LISTED = 4096
_SEED = 0


class KeyIndex:
    """Finds nodes of one level whose keys have large products with some vectors.

    Keys are not of one length, so each gets one more number that makes it so: then the largest
    product is the smallest distance, which is what an inverted file is good at. Vectors are kept
    with 8 bits a number, and read from the file as they are needed.

    Args:
        store: On disk; not changed.
        level: Of the nodes.

    Attributes:
        path: Where it is kept, unless the store changed while it was made.

    Raises:
        ConfigError: faiss is not installed, or the store is not on disk, or encrypted.
        StoreError: The index cannot be written beside the store.
    """

    def __init__(self, store: AbstractStore, level: int) -> None:
        faiss = _faiss()
        if store.path is None:
            raise ConfigError("strategy index: expected a store on disk, this one is in memory")
        if store.key is not None:
            raise ConfigError(
                "strategy index keeps a file beside the store, and would not encrypt it as this "
                "store is; use hybrid or tree"
            )
        # Not the ids themselves: there may be millions, and few are asked for.
        shapes = [
            (source.source_id, source.num_bytes, source.level_counts[level - 1])
            for source in store.sources()
        ]
        self._level, shapes_N3 = level, np.array(shapes, np.int64).reshape(-1, 3)
        self._source_ids, self._counts = shapes_N3[:, 0], shapes_N3[:, 2]
        self._size = int(self._counts.sum())
        self.path = _index_path(store, store.path, level, shapes_N3)
        try:
            self._index = _open(str(self.path))
        except RuntimeError:
            # There is none, or a change removed it just now.
            self._index = _build(faiss, store, store.level_ids(level))
            _keep(faiss, self._index, store, self.path)

    def nearest(
        self,
        vectors_RK: Float[Tensor, "R K"],
        count: int,
        num_lists: int,
        source_ids: Collection[int] | None = None,
    ) -> NodeIds:
        """About the `count` best nodes of each vector, in order of source and index.

        Args:
            vectors_RK: What keys are multiplied with.
            count: Nodes for each vector.
            num_lists: Lists of the inverted file that are looked through.
            source_ids: Sources to look in; `None` for all.
        """
        if self._size <= count:
            ids = self._ids_at(np.arange(self._size))
            return ids if source_ids is None else ids.of_sources(source_ids)
        zeros_R1 = np.zeros((len(vectors_RK), 1), np.float32)
        vectors = np.concatenate([vectors_RK.float().numpy(), zeros_R1], axis=1)
        options: dict[str, Any] = {}
        faiss, kind = _faiss(), "SearchParameters"
        if source_ids is not None:
            is_allowed = np.repeat(np.isin(self._source_ids, list(source_ids)), self._counts)
            options["sel"] = faiss.IDSelectorBitmap(np.packbits(is_allowed, bitorder="little"))
        if isinstance(self._index, faiss.IndexIVF):
            kind, options["nprobe"] = "SearchParametersIVF", num_lists
        found = self._index.search(vectors, count, params=getattr(faiss, kind)(**options))
        places = np.unique(found[1])
        return self._ids_at(places[places >= 0])

    def _ids_at(self, places: NDArray[np.int64]) -> NodeIds:
        """The nodes at some places of the level, in order of source and index."""
        starts = np.cumsum(self._counts) - self._counts
        rows = np.searchsorted(starts, places, side="right") - 1
        levels = np.full(len(places), self._level)
        return NodeIds(np.column_stack([self._source_ids[rows], levels, places - starts[rows]]))


def _index_path(store: AbstractStore, path: Path, level: int, shapes_N3: NDArray[np.int64]) -> Path:
    """Named after what the index was made from, so one that is stale has another name."""
    made_from = f"{store.manifest.to_json()} {store.version} ".encode() + shapes_N3.tobytes()
    digest = hashlib.sha256(made_from).hexdigest()[:16]
    return path.with_name(f"{path.name}{INDEX_SUFFIX}{level}-{digest}")


def _build(faiss: Any, store: AbstractStore, ids: NodeIds) -> Any:
    width = store.manifest.key_width + 1
    longest = max((float(_lengths(keys).max()) for keys in _iter_keys(store, ids)), default=1.0)
    if len(ids) < _SMALLEST_LISTED:
        index = faiss.index_factory(width, "SQ8")
        sample = ids
    else:
        num_lists = 2 ** round(np.log2(2 * np.sqrt(len(ids))))
        index = faiss.index_factory(width, f"IVF{num_lists},SQ8")
        rng = np.random.default_rng(_SEED)
        size = min(len(ids), _SAMPLES_PER_LIST * num_lists)
        sample = ids.take(np.sort(rng.choice(len(ids), size, replace=False)))
    if len(ids):
        index.train(np.concatenate([_equal(keys, longest) for keys in _iter_keys(store, sample)]))
    for keys in _iter_keys(store, ids):
        index.add(_equal(keys, longest))
    return index


def _iter_keys(store: AbstractStore, ids: NodeIds) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(ids), _READ_NODES):
        keys_NK = store.keys(ids[start : start + _READ_NODES])
        yield keys_NK.to(torch.float32).numpy()


def _lengths(keys_NK: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths: NDArray[np.float32] = np.linalg.norm(keys_NK, axis=1)
    return lengths


def _equal(keys_NK: NDArray[np.float32], longest: float) -> NDArray[np.float32]:
    """Keys with one more number that makes each as long as the longest."""
    rest_N = np.sqrt(np.clip(longest**2 - _lengths(keys_NK) ** 2, 0, None))
    return np.concatenate([keys_NK, rest_N[:, None].astype(np.float32)], axis=1)


def _keep(faiss: Any, index: Any, store: AbstractStore, path: Path) -> None:
    """Leave an index beside its store, unless the store has changed since it was read.

    The file has a name before the store is asked. So a change that is not seen here finds the file
    and removes it, and what is then written to it is gone with it.
    """
    draft = path.with_name(f"{path.name}-new{os.getpid()}-{threading.get_ident()}")
    try:
        with draft.open("wb") as file:
            is_latest = _is_latest(store)
            if is_latest:
                file.write(faiss.serialize_index(index).data)
        if is_latest:
            draft.replace(path)
    except FileNotFoundError:
        pass  # A change removed the draft.
    except OSError as error:
        raise StoreError(
            f"the index cannot be written to {path}: {error.strerror}; make the folder writable, "
            "or use the strategy tree"
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def _is_latest(store: AbstractStore) -> bool:
    """Whether another reader would now see the same commit as this snapshot, or these changes."""
    assert store.path is not None
    with SQLiteStore.open(store.path, read_only=True) as latest:
        return latest.version == store.version


@lru_cache(maxsize=8)
def _open(path: str) -> Any:
    faiss = _faiss()
    return faiss.read_index(path, faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)


def _faiss() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import faiss
    except ImportError as error:
        raise ConfigError(
            "strategy index needs faiss; install it with: pip install 'lmos[ann]'"
        ) from error
    return faiss

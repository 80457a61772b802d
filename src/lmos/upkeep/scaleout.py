"""Scale-out: a pool of Ray actors that compress, for one process that writes.

Texts of sources in, patches for their trees out, in the same order, whatever happens to an actor
meanwhile: Ray starts it anew and repeats what it was doing, and nothing that it did is kept but
what it returned. Only here is Ray imported, and only when a pool is made. Knows no files.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch

from lmos.errors import ConfigError
from lmos.session import Session, load_model
from lmos.store import Manifest, SourcePatch
from lmos.store.memory import MemoryStore
from lmos.tree.builder import SourceText, TreeBuilder

LOCAL = "local"
_TEXTS_PER_ACTOR = 2
_OBJECT_BYTES = 256 * 1024 * 1024


class _Compressor:
    """What an actor is: a model, loaded when the first text comes."""

    def __init__(
        self, manifest: Manifest, model: str, adapter: str | None, loading: dict[str, Any]
    ) -> None:
        self._manifest = manifest
        self._choice = (model, adapter)
        self._loading = loading

    @cached_property
    def _store(self) -> MemoryStore:
        return MemoryStore(self._manifest)

    @cached_property
    def _builder(self) -> TreeBuilder:
        # A session refuses a model that did not write the store.
        session = Session(load_model(*self._choice, **self._loading), self._store)
        return TreeBuilder(session.model, self._manifest)

    def compress(self, source: SourceText) -> SourcePatch:
        """The patch that makes the source from nothing."""
        with torch.no_grad():
            (patch,) = self._builder.build(self._store, [source])
        return patch

    def process_id(self) -> int:
        """Of the actor."""
        return os.getpid()


class CompressorPool:
    """Actors on a Ray cluster.

    Args:
        address: Of a cluster, or `local` for one of this machine that ends with the pool.
        manifest: Of the store that the patches are for.
        model: Folder or name, the same on every machine.
        adapter: Folder, if it is not the model's own.
        num_workers: Actors; one for each CPU of the cluster by default.
        **loading: How each loads the model, by the names of `lmos.load_model`.

    Raises:
        ConfigError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(
        self,
        address: str,
        manifest: Manifest,
        model: str,
        adapter: str | None = None,
        *,
        num_workers: int | None = None,
        **loading: Any,
    ) -> None:
        self._ray = _connect(address, num_workers)
        count = num_workers or max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        actor = self._ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=-1)(_Compressor)
        self._actors = [actor.remote(manifest, model, adapter, loading) for _ in range(count)]

    def patches(self, sources: Iterable[SourceText]) -> Iterator[tuple[SourceText, SourcePatch]]:
        """Each source with the patch that makes it from nothing, in order.

        Few are read ahead, so memory does not grow with their number.

        Raises:
            LmosError: Whatever an actor raises, as it would here.
        """
        waiting: deque[tuple[SourceText, Any]] = deque()
        for number, source in enumerate(sources):
            actor = self._actors[number % len(self._actors)]
            waiting.append((source, actor.compress.remote(source)))
            if len(waiting) == _TEXTS_PER_ACTOR * len(self._actors):
                yield self._next(waiting)
        while waiting:
            yield self._next(waiting)

    def process_ids(self) -> list[int]:
        """Of the actors."""
        ids: list[int] = self._ray.get([actor.process_id.remote() for actor in self._actors])
        return ids

    def close(self) -> None:
        """End the actors, and the cluster if it is of this machine only."""
        self._ray.shutdown()

    def __enter__(self) -> CompressorPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next(self, waiting: deque[tuple[SourceText, Any]]) -> tuple[SourceText, SourcePatch]:
        source, promise = waiting.popleft()
        try:
            return source, self._ray.get(promise)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from None


def _connect(address: str, num_workers: int | None) -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError as error:
        raise ConfigError("--ray needs Ray; install it with: pip install 'lmos[ray]'") from error
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == LOCAL:
        # Its processes find modules where this one does, and are as urgent as this one.
        paths = os.pathsep.join(path for path in sys.path if path)
        with _environment(PYTHONPATH=paths, RAY_worker_niceness="0"):
            ray.init(
                num_cpus=num_workers,
                _node_ip_address="127.0.0.1",
                include_dashboard=False,
                object_store_memory=_OBJECT_BYTES,
                **quiet,
            )
        return ray
    try:
        ray.init(address=address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"--ray: expected local or the address of a Ray cluster, got {address!r}: {error}"
        ) from error
    return ray


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Processes that start meanwhile have these variables."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

"""The pool: stores by name, opened when they are needed, a bounded number at once.

Of each store any number of threads read, each on a connection of its own, beside one that writes;
the lock of the file is held only during a change, so that commands may change a store too. All of
it is called from worker threads. Knows sessions and files; knows no requests.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Condition, Lock

from lmos.errors import LmosError, StoreLocked, StoreNotFound
from lmos.nodes import Source
from lmos.server.models import ModelShelf
from lmos.server.names import path_of, store_names
from lmos.server.problems import Problem
from lmos.session import Session, make_manifest
from lmos.store.files import remove_files, remove_indexes, require_store
from lmos.store.keys import Key, is_encrypted
from lmos.store.sqlite import SQLiteStore
from lmos.store.writer import Patience, WriterLock


class _OpenStore:
    """One store that is open: sessions that nobody uses just now, and who uses others."""

    def __init__(self, path: Path, models: ModelShelf, patience: Patience, key: Key | None) -> None:
        self._path = path
        self._key = key
        self._models = models
        self._patience = patience
        self._idle: list[Session] = []
        self._writer: Session | None = None
        self._lock = Lock()
        self._writing = Lock()
        self.identity = _identity(path)
        self.num_users = 0

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session of this thread's alone, which never changes the store."""
        with self._lock:
            session = self._idle.pop() if self._idle else None
        if session is None:
            session = self._bound(self._opened())
        try:
            yield session
        except (LmosError, Problem):
            # A question that cannot be asked leaves the session as it was.
            self._give_back(session)
            raise
        except BaseException:
            session.close()
            raise
        self._give_back(session)

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """The session that writes; one thread at a time."""
        with self._writing:
            if self._writer is None:
                self._writer = self._bound(self._opened())
            yield self._writer

    def close(self) -> None:
        """Close everything; nobody uses it any more."""
        for session in self._idle:
            session.close()
        self._idle.clear()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _give_back(self, session: Session) -> None:
        with self._lock:
            self._idle.append(session)

    def _opened(self) -> SQLiteStore:
        # To read it too, for files of an older format; then it is never asked to write.
        key = _key_of(self._path, self._key)
        return SQLiteStore.open_shared(self._path, self._patience, key)

    def _bound(self, store: SQLiteStore) -> Session:
        try:
            manifest = store.manifest
            return Session(self._models.of(manifest.base_model, manifest.adapter), store)
        except BaseException:
            store.close()
            raise


class StorePool:
    """The stores of one folder.

    Args:
        folder: Holds them, each a file `NAME.lmos`.
        models: Theirs.
        max_open: Most that are open at once.
        wait_seconds: How long a change waits while another process writes.
        key: Opens those that are encrypted, and encrypts new ones.
    """

    def __init__(
        self,
        folder: Path,
        models: ModelShelf,
        max_open: int,
        wait_seconds: float,
        key: Key | None = None,
    ) -> None:
        self._key = key
        self.folder = folder
        self.models = models
        self._max_open = max_open
        self._patience = Patience(wait_seconds)
        self._open: OrderedDict[str, _OpenStore] = OrderedDict()
        self._changed = Condition()
        self._going: set[str] = set()

    @property
    def num_open(self) -> int:
        """Stores that are open."""
        return len(self._open)

    def names(self) -> list[str]:
        """Every store that there is."""
        return store_names(self.folder)

    @contextmanager
    def reading(self, name: str) -> Iterator[Session]:
        """A store to read, beside others who do and one who writes.

        Raises:
            StoreNotFound: There is none of that name.
            LmosError: It cannot be opened.
            Problem: As many stores as may be open are in use.
        """
        with self._using(name) as store, store.reading() as session:
            yield session

    @contextmanager
    def writing(self, name: str) -> Iterator[Session]:
        """A store to change; waits for who else does.

        Raises:
            StoreNotFound: There is none of that name.
            LmosError: It cannot be opened.
            Problem: As many stores as may be open are in use.
        """
        with self._using(name) as store, store.writing() as session:
            yield session

    def create(self, name: str, max_bytes: int | None = None) -> None:
        """Make an empty store for the default model.

        Args:
            name: Of the store.
            max_bytes: Beyond which its file may not grow.

        Raises:
            StoreExists: There is one of that name.
        """
        path = path_of(self.folder, name)
        manifest = make_manifest(self.models.default())
        with closing(SQLiteStore.create(path, manifest, self._key)) as store:
            if max_bytes is not None:
                store.set_quota(max_bytes)

    def delete(self, name: str) -> list[Source]:
        """Remove a store with all that it holds.

        Returns:
            The sources that it had.

        Raises:
            StoreNotFound: There is none of that name.
            StoreLocked: Somebody uses it, here or elsewhere, and went on for too long.
        """
        path = self._require(name)
        key = _key_of(path, self._key)
        with self._changed:
            if name in self._going:
                raise StoreNotFound(f"there is no store {name!r}")
            self._going.add(name)
        try:
            self._close_when_idle(name)
            writer = WriterLock(path, self._patience)
            try:
                with closing(SQLiteStore.open(path, read_only=True, key=key)) as store:
                    sources = store.sources()
                remove_files(path)
                remove_indexes(path)
            finally:
                writer.release()
            return sources
        finally:
            with self._changed:
                self._going.discard(name)

    def close(self) -> None:
        """Close every store; nobody uses one any more."""
        with self._changed:
            while self._open:
                self._open.popitem()[1].close()

    @contextmanager
    def _using(self, name: str) -> Iterator[_OpenStore]:
        path = self._require(name)
        with self._changed:
            store = self._taken(name, path)
            store.num_users += 1
        try:
            yield store
        finally:
            with self._changed:
                store.num_users -= 1
                if self._open.get(name) is not store and not store.num_users:
                    store.close()
                self._changed.notify_all()

    def _taken(self, name: str, path: Path) -> _OpenStore:
        """A store that is open, opened now if it was not."""
        if name in self._going:
            raise StoreNotFound(f"there is no store {name!r}")
        known = self._open.get(name)
        if known is not None and known.identity != _identity(path):
            # Another file has its name now.
            self._drop(name)
            known = None
        if known is None:
            self._make_room()
            known = self._open[name] = _OpenStore(path, self.models, self._patience, self._key)
        self._open.move_to_end(name)
        return known

    def _make_room(self) -> None:
        idle = [name for name, store in self._open.items() if not store.num_users]
        while len(self._open) >= self._max_open:
            if not idle:
                raise Problem(
                    429, "every store that may be open is in use", code="busy", retry_seconds=1
                )
            self._drop(idle.pop(0))

    def _drop(self, name: str) -> None:
        """Close a store, or leave that to the last who uses it."""
        store = self._open.pop(name)
        if not store.num_users:
            store.close()

    def _close_when_idle(self, name: str) -> None:
        with self._changed:
            store = self._open.get(name)
            if store is None:
                return
            if not self._changed.wait_for(
                lambda: not store.num_users, timeout=self._patience.seconds
            ):
                raise StoreLocked(f"the store {name!r} is in use; try again later")
            self._drop(name)

    def _require(self, name: str) -> Path:
        path = path_of(self.folder, name)
        if not path.is_file():
            raise StoreNotFound(f"there is no store {name!r}; make it first")
        require_store(path)
        return path


def _key_of(path: Path, key: Key | None) -> Key | None:
    """The key, if the store needs one."""
    return key if is_encrypted(path) else None


def _identity(path: Path) -> tuple[int, int]:
    """Which file it is, whatever its name."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise StoreNotFound(f"there is no store {path.stem!r}; make it first") from error
    return status.st_dev, status.st_ino

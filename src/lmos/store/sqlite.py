"""A context store in one SQLite file: durable, checked, one writer beside any number of readers.

Every method is one transaction, so each sees one whole commit, and all those within a `snapshot`
see the same one. The file's format is in docs/store-format.md. Knows neither models nor what is
relevant.
"""

# ruff: noqa: D102 - base.py documents the methods of the contract.

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import replace
from os import PathLike
from pathlib import Path
from threading import RLock

import apsw
import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from lmos.errors import StoreCorrupt, StoreError, StoreFull, StoreMismatch
from lmos.nodes import NodeId, NodeIds, PlaceMark, Source, Span
from lmos.store import tables, wordindex
from lmos.store.audit import find_store_faults
from lmos.store.base import AbstractStore, SourcePatch, Spans, WindowPlace, WindowRecord
from lmos.store.blocks import (
    SPANS,
    TEXT,
    embeddings_layout,
    keys_layout,
    patch_spans,
    round_vectors,
    spans_from_bytes,
    spans_to_bytes,
    vectors_from_items,
    vectors_to_bytes,
)
from lmos.store.cache import ReadCache
from lmos.store.faults import store_errors
from lmos.store.files import (
    connect_to_read,
    connect_to_write,
    copy_file,
    create_file,
    fold_log,
    move_file,
    remove_indexes,
    require_free,
    require_store,
)
from lmos.store.keys import Key
from lmos.store.manifest import FORMAT_VERSION, Manifest
from lmos.store.patching import patched_record
from lmos.store.places import placed
from lmos.store.records import (
    SourceRecord,
    is_name,
    level_ids_of,
    no_source_named,
    no_source_with_id,
)
from lmos.store.writer import Patience, WriterLock

_READ, _WRITE = "BEGIN", "BEGIN IMMEDIATE"


class SQLiteStore(AbstractStore):
    """A context store in one file. Make it with `create` or `open`.

    Threads may share one: methods wait for each other, and for the end of a snapshot.

    Example:
        >>> with SQLiteStore.create("life.lmos", manifest) as store:  # doctest: +SKIP
        ...     store.put_source("diary", patch)
    """

    def __init__(
        self,
        path: Path,
        db: apsw.Connection,
        writer: WriterLock | None,
        key: Key | None = None,
    ) -> None:
        self._path = str(path)
        self._db = db
        self._writer = writer
        self._key = key
        self._sharing: Patience | None = None
        self._lock = RLock()
        with store_errors(self._path, db):
            self._manifest = Manifest.from_json(tables.read_head(db).manifest)
        self._keys = keys_layout(self._manifest)
        self._embeddings = embeddings_layout(self._manifest)
        self._cache = ReadCache(self._manifest)
        self._is_changing = False

    @classmethod
    def create(
        cls, path: str | PathLike[str], manifest: Manifest, key: Key | None = None
    ) -> SQLiteStore:
        """Make a new, empty store and open it for writing.

        Args:
            path: Of the file; its folder must exist.
            manifest: Of the model that will write to it.
            key: Encrypts it from the first byte on.

        Raises:
            StoreExists: There is something at the path.
            StoreFull: No room; nothing was left behind.
            StoreError: The folder is missing or cannot be written.
        """
        path = Path(path)
        manifest = replace(manifest, format_version=FORMAT_VERSION)
        head = tables.Head(version=0, next_source_id=1, manifest=manifest.to_json())
        with store_errors(str(path)), ExitStack() as undo:
            require_free(path)
            writer = WriterLock(path, is_private=key is not None)
            undo.callback(writer.release)
            require_free(path)
            create_file(path, lambda db: tables.write_head(db, head), key)
            db = undo.enter_context(closing(connect_to_write(path, key)))
            store = cls(path, db, writer, key)
            undo.pop_all()
            return store

    @classmethod
    def open(
        cls,
        path: str | PathLike[str],
        *,
        read_only: bool = False,
        patience: Patience | None = None,
        key: Key | None = None,
    ) -> SQLiteStore:
        """Open a store.

        Args:
            path: Of the file.
            read_only: Never change it; any number of processes may, beside one that writes.
            patience: How long to wait while another process has it open for writing.
            key: What it is encrypted with.

        Raises:
            StoreNotFound: There is nothing at the path.
            StoreEncrypted: It is encrypted, and there is no key or one that does not open it.
            StoreLocked: Another process has it open for writing, and went on for too long.
            StoreCorrupt: The file is damaged, or not a context store.
            StoreMismatch: It has a newer format.
            StoreError: It cannot be read, or (unless `read_only`) not be written.
        """
        path = Path(path)
        with store_errors(str(path)), ExitStack() as undo:
            require_store(path)
            is_private = key is not None
            writer = None if read_only else WriterLock(path, patience, is_private=is_private)
            if writer is not None:
                undo.callback(writer.release)
            connect = connect_to_read if read_only else connect_to_write
            db = undo.enter_context(closing(connect(path, key)))
            store = cls(path, db, writer, key)
            undo.pop_all()
            return store

    @classmethod
    def open_shared(
        cls,
        path: str | PathLike[str],
        patience: Patience | None = None,
        key: Key | None = None,
    ) -> SQLiteStore:
        """Open a store to read it and to change it now and then, beside others that do so too.

        Others are kept from writing during a change alone, see `writing`; between changes it is
        open read-only.

        Args:
            path: Of the file.
            patience: How long each change waits while another process writes.
            key: What it is encrypted with.

        Raises:
            StoreError: Or a kind of it, as `open` does.
        """
        patience = patience or Patience()
        try:
            store = cls.open(path, read_only=True, key=key)
        except StoreMismatch:
            # Perhaps it has an older format, which is changed when it is opened for writing.
            cls.open(path, patience=patience, key=key).close()
            store = cls.open(path, read_only=True, key=key)
        store._sharing = patience
        return store

    @property
    def manifest(self) -> Manifest:
        return self._manifest

    @property
    def path(self) -> Path:
        return Path(self._path)

    @property
    def key(self) -> Key | None:
        return self._key

    @property
    def version(self) -> int:
        with self._transaction(_READ) as db:
            return tables.read_head(db).version

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        with self._lock, ExitStack() as end:
            with store_errors(self._path, self._db):
                if not self._db.in_transaction:
                    self._db.execute(_READ)
                    end.callback(self._db.execute, "ROLLBACK")
                # The first read fixes what all others see.
                tables.read_head(self._db)
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._lock:
            if self._sharing is None or self._writer is not None:
                yield
                return
            reading = self._db
            with store_errors(self._path, reading):
                self._require_no_snapshot()
                is_private = self._key is not None
                self._writer = WriterLock(self.path, self._sharing, is_private=is_private)
            try:
                with store_errors(self._path, reading):
                    self._use(connect_to_write(self.path, self._key))
                yield
            finally:
                self._end_writing(reading)

    @contextmanager
    def changes(self) -> Iterator[None]:
        with self._transaction(_WRITE):
            self._is_changing = True
            try:
                yield
            finally:
                self._is_changing = False

    def sources(self) -> list[Source]:
        return [record.source for record in self._records()]

    def source(self, name: str) -> Source:
        with self._transaction(_READ) as db:
            return _source_named(db, name).source

    def find_source(self, name: str) -> Source | None:
        with self._transaction(_READ) as db:
            record = _find_named(db, name)
        return None if record is None else record.source

    def source_by_id(self, source_id: int) -> Source:
        with self._transaction(_READ) as db:
            return self._known(db, source_id).source

    def put_source(
        self,
        name: str,
        patch: SourcePatch,
        *,
        time: float | None = None,
        metadata: Mapping[str, str] = {},
        places: Sequence[PlaceMark] | None = None,
    ) -> Source:
        with self._transaction(_WRITE) as db:
            head, bytes_before = tables.read_head(db), self._file_bytes()
            before = _find_named(db, name) or SourceRecord.empty(
                head.next_source_id, name, self._manifest.num_levels
            )
            source_id = before.source.source_id
            after = patched_record(
                self._manifest,
                before.labelled(time, metadata),
                patch,
                lambda start: tables.read_windows(db, source_id, start, before.num_windows),
                lambda level, start, stop: spans_from_bytes(
                    tables.read_items(db, SPANS, source_id, level, start, stop)
                ),
            )
            is_new = before.source.num_bytes == before.num_windows == 0
            old_places = () if is_new else tables.read_places(db, source_id)
            new_places = placed(old_places, places, after.source.num_bytes, name)
            next_source_id = max(head.next_source_id, source_id + 1)
            tables.write_head(
                db, replace(head, version=head.version + 1, next_source_id=next_source_id)
            )
            first_leaf = patch.levels[0].start
            wordindex.delete_leaves(db, before, first_leaf)
            tables.write_source(db, after)
            if is_new or new_places != old_places:
                tables.write_places(db, source_id, new_places)
            self._write_patch(db, source_id, patch)
            wordindex.insert_leaves(db, after, first_leaf)
            self._require_quota(bytes_before)
        return after.source

    def relabel_source(
        self,
        name: str,
        new_name: str | None = None,
        *,
        time: float | None = None,
        metadata: Mapping[str, str] = {},
    ) -> Source:
        with self._transaction(_WRITE) as db:
            head = tables.read_head(db)
            record = _source_named(db, name).labelled(time, metadata)
            if new_name is not None and new_name != name:
                record = record.renamed(new_name, _find_named(db, new_name) is not None)
            tables.write_head(db, replace(head, version=head.version + 1))
            tables.write_source(db, record)
        return record.source

    def delete_source(self, name: str) -> None:
        with self.writing():
            with self._transaction(_WRITE) as db:
                head = tables.read_head(db)
                record = _source_named(db, name)
                source_id = record.source.source_id
                # Not a `with db`: where the disk fails SQLite ends the transaction by itself, and
                # there would be no savepoint to go back to.
                db.execute("SAVEPOINT forgetting")
                try:
                    wordindex.delete_leaves(db, record, 0)
                    tables.delete_source(db, source_id)
                except (apsw.CorruptError, StoreCorrupt):
                    # Of a damaged text nobody knows the words.
                    db.execute("ROLLBACK TO forgetting")
                    tables.delete_source(db, source_id)
                    wordindex.rebuild(db)
                db.execute("RELEASE forgetting")
                tables.write_head(db, replace(head, version=head.version + 1))
            # The write-ahead log still holds the text.
            self._empty_log()

    def set_quota(self, max_bytes: int | None) -> None:
        """Keep the file from growing beyond a size from now on; `None` takes the limit away.

        Raises:
            StoreError: The limit is less than nothing, or the store is open read-only.
        """
        if max_bytes is not None and max_bytes < 0:
            raise StoreError(f"expected a size in bytes or None, got {max_bytes}")
        with self._transaction(_WRITE) as db:
            manifest = replace(self._manifest, max_bytes=max_bytes)
            tables.write_head(db, replace(tables.read_head(db), manifest=manifest.to_json()))
        self._manifest = manifest

    def compact(self) -> tuple[int, int]:
        """Write the file anew without the room that deleted rows left. Changes no content.

        Needs about as much room again until it is done. While another process reads, the file
        keeps its size until that ends.

        Returns:
            Bytes of the file before and after.

        Raises:
            StoreFull: No room; the store is as it was.
        """
        with self._lock, self.writing(), store_errors(self._path, self._db):
            self._require_no_snapshot()
            before = self._file_bytes()
            self._db.execute("VACUUM")
            self._cache.reset()
            self._empty_log()
            return before, self._file_bytes()

    def give_way(self, draft: Path) -> None:
        """Close this store, and put another, which is closed, in its place at once.

        Raises:
            StoreLocked: Another process reads this store; it is open and as it was.
        """
        with self._lock, store_errors(self._path, self._db):
            self._require_no_snapshot()
            fold_log(self._db, self._path)
            self._db.close()
            remove_indexes(self.path)
            move_file(draft, self.path)
            self.close()

    def write_copy(self, draft: Path, key: Key | None) -> None:
        """Write all of this store to a new file, which another key encrypts, or none.

        Args:
            draft: Must not exist; a whole store, closed, when this returns.
            key: Of the copy.

        Raises:
            StoreCorrupt: A page is damaged, so there is nothing to copy it from.
            StoreFull: No room.
        """
        with self._lock, self.writing(), store_errors(self._path, self._db):
            self._require_no_snapshot()
            copy_file(self.path, self._key, draft, key)

    @contextmanager
    def reindexed(self) -> Iterator[None]:
        """Until the block ends, reads find rows by new indexes; the file keeps those it has.

        So rows can still be read whose index is damaged. Nobody else can write meanwhile.
        """
        with self._lock:
            with store_errors(self._path, self._db):
                self._db.execute(_WRITE)
            try:
                # A table that is damaged itself is read as far as its old index leads.
                with suppress(apsw.Error):
                    self._db.execute("REINDEX")
                yield
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def source_ids(self) -> list[int]:
        """Every id that a row of the file belongs to, in order, even if the source is damaged."""
        with self._transaction(_READ) as db:
            return tables.read_source_ids(db)

    def windows(self, source_id: int, start: int = 0) -> list[WindowRecord]:
        with self._transaction(_READ) as db:
            stop = self._known(db, source_id).num_windows
            return tables.read_windows(db, source_id, max(start, 0), stop)

    def open_windows(self, source_id: int) -> tuple[int, list[WindowRecord]]:
        with self._transaction(_READ) as db:
            record = self._known(db, source_id)
            windows = tables.read_open_windows(db, source_id, record.num_windows)
        return record.num_windows - len(windows), windows

    def find_windows(
        self, token_ids: Collection[tuple[int, ...]]
    ) -> dict[tuple[int, ...], WindowPlace]:
        with self._transaction(_READ) as db:
            found = ((ids, tables.find_window(db, ids)) for ids in token_ids)
            return {ids: place for ids, place in found if place is not None}

    def text(self, source_id: int, byte_span: Span | None = None) -> bytes:
        with self._transaction(_READ) as db:
            num_bytes = self._known(db, source_id).source.num_bytes
            start, stop = (0, num_bytes) if byte_span is None else byte_span
            start, stop = max(start, 0), min(stop, num_bytes)
            return tables.read_items(db, TEXT, source_id, 0, start, stop)

    def places(self, source_id: int) -> tuple[PlaceMark, ...]:
        with self._transaction(_READ) as db:
            self._known(db, source_id)
            return tables.read_places(db, source_id)

    def root_ids(self) -> NodeIds:
        with self._transaction(_READ) as db:
            return self._cache.root_ids(db)

    def level_ids(self, level: int) -> NodeIds:
        return level_ids_of(self._records(), level)

    def spans(self, ids: Sequence[NodeId]) -> Spans:
        with self._transaction(_READ) as db:
            return spans_from_bytes(self._cache.spans(db, NodeIds.of(ids)))

    def keys(self, ids: Sequence[NodeId]) -> Float[Tensor, "N K"]:
        with self._transaction(_READ) as db:
            items = self._cache.keys(db, NodeIds.of(ids))
        return vectors_from_items(items, self._manifest.dtype)

    def embeddings(self, ids: Sequence[NodeId]) -> Float[Tensor, "N D"]:
        with self._transaction(_READ) as db:
            items = self._cache.embeddings(db, NodeIds.of(ids))
        return vectors_from_items(items, self._manifest.dtype)

    @property
    def has_words(self) -> bool:
        with self._transaction(_READ) as db:
            return wordindex.exists(db)

    def lexical_scores(
        self, question: str, limit: int, source_ids: Collection[int] | None = None
    ) -> tuple[NodeIds, NDArray[np.float32]]:
        with self._transaction(_READ) as db:
            sizes, named = self._cache.num_leaves(db), self._cache.named(db)
            return wordindex.score_leaves(db, question, sizes, named, limit, source_ids)

    def verify(self) -> list[str]:
        try:
            with self._transaction(_READ) as db:
                return find_store_faults(db, self._path, self._manifest)
        except StoreCorrupt as error:
            return [str(error)]

    def close(self) -> None:
        with self._lock, store_errors(self._path):
            try:
                # The last connection to close folds the write-ahead log in and removes it.
                self._db.close()
            finally:
                if self._writer is not None:
                    self._writer.release()

    def __enter__(self) -> SQLiteStore:
        return self

    def _use(self, db: apsw.Connection) -> None:
        """Go on with another connection to the file, on which others have written meanwhile."""
        self._db = db
        self._cache.reset()
        manifest = Manifest.from_json(tables.read_head(db).manifest)
        self._manifest.require_same(manifest)
        self._manifest = manifest

    def _end_writing(self, reading: apsw.Connection) -> None:
        writing, self._db = self._db, reading
        writer, self._writer = self._writer, None
        self._cache.reset()
        try:
            if writing is not reading:
                writing.close()
        finally:
            if writer is not None:
                writer.release()

    def _require_no_snapshot(self) -> None:
        if self._db.in_transaction:
            raise StoreError(f"{self._path}: a snapshot is being read; change it after")

    def _empty_log(self) -> None:
        # Should a reader keep us from it, what was done is durable all the same, and `close`
        # empties the log.
        with suppress(apsw.Error):
            self._db.pragma("wal_checkpoint", "truncate")

    def _file_bytes(self) -> int:
        """Of the file without its log, with what the open transaction adds."""
        return int(self._db.pragma("page_count") * self._db.pragma("page_size"))

    def _require_quota(self, bytes_before: int) -> None:
        limit, after = self._manifest.max_bytes, self._file_bytes()
        if limit is not None and after > max(limit, bytes_before):
            raise StoreFull(
                f"{self._path} would have {after:,} bytes, its quota is {limit:,}; nothing was "
                "written. Raise the quota, or forget sources"
            )

    def _records(self) -> list[SourceRecord]:
        with self._transaction(_READ) as db:
            return self._cache.records(db)

    def _known(self, db: apsw.Connection, source_id: int) -> SourceRecord:
        """A source, from memory where all have been read."""
        record = self._cache.record(db, source_id)
        if record is None:
            raise no_source_with_id(source_id)
        return record

    def _write_patch(self, db: apsw.Connection, source_id: int, patch: SourcePatch) -> None:
        tables.splice_windows(db, source_id, patch.window_start, patch.windows)
        tables.splice_items(db, TEXT, source_id, 0, patch.text_start, patch.text)
        for level, part in enumerate(patch.levels, 1):
            embeddings = round_vectors(part.embeddings, self._manifest.dtype)
            keys = round_vectors(part.keys, self._manifest.dtype)
            for layout, items in (
                (SPANS, spans_to_bytes(patch_spans(part))),
                (self._keys, vectors_to_bytes(keys)),
                (self._embeddings, vectors_to_bytes(embeddings)),
            ):
                tables.splice_items(db, layout, source_id, level, part.start, items)

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[apsw.Connection]:
        """All of what happens inside, or nothing; joins a snapshot or changes that are open."""
        alone = self.writing() if begin == _WRITE else nullcontext()
        with self._lock, alone, store_errors(self._path, self._db):
            if self._db.in_transaction:
                if begin == _WRITE and not self._is_changing:
                    self._require_no_snapshot()
                # A savepoint: a part that fails is undone, whatever becomes of the whole.
                with self._db if begin == _WRITE else nullcontext():
                    yield self._db
                return
            self._db.execute(begin)
            try:
                if begin == _WRITE:
                    remove_indexes(self.path)
                yield self._db
                self._db.execute("COMMIT")
                if begin == _WRITE:
                    # Those that readers made meanwhile, from the commit before.
                    remove_indexes(self.path)
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                self._cache.reset()
                raise


def _find_named(db: apsw.Connection, name: str) -> SourceRecord | None:
    return tables.find_source_named(db, name) if is_name(name) else None


def _source_named(db: apsw.Connection, name: str) -> SourceRecord:
    record = _find_named(db, name)
    if record is None:
        raise no_source_named(name, (known for (known,) in db.execute("SELECT name FROM sources")))
    return record

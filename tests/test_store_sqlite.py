"""The store on disk: durability, one writer, full disks, damage, and its documented format."""

from __future__ import annotations

import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import apsw
import numpy as np
import pytest

from children import child_running, said_by_child
from ciphers import KEY, bytes_below
from lmos.errors import (
    StoreCorrupt,
    StoreError,
    StoreExists,
    StoreFull,
    StoreLocked,
    StoreMismatch,
    StoreNotFound,
)
from lmos.store import files, tables
from lmos.store.blocks import row_crc
from lmos.store.keys import Key
from lmos.store.manifest import FORMAT_VERSION
from lmos.store.memory import MemoryStore
from lmos.store.migrations import MIGRATIONS
from lmos.store.sqlite import SQLiteStore
from trees import MANIFEST, all_ids, observe, patch_between, put_text, tree_of

FORMAT_PAGE = Path(__file__).parents[1] / "docs" / "store-format.md"
STORY = b"It was a dark and stormy night; the rain fell in torrents. " * 10


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store with two sources lies, closed."""
    path = tmp_path / "context.lmos"
    with SQLiteStore.create(path, MANIFEST) as store:
        put_text(store, "first", b"", STORY[:300])
        put_text(store, "first", STORY[:300], STORY)
        patch = patch_between(tree_of(b""), tree_of(STORY[::-1]))
        store.put_source("second", patch, time=1.5, metadata={"tag": "x"})
    return path


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that other users may read and write."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def run_sql(path: Path, *statements: str) -> list[tuple[apsw.SQLiteValue, ...]]:
    """What a careless user might do to a store with the SQLite shell."""
    with closing(apsw.Connection(str(path))) as db:
        return [row for statement in statements for row in db.execute(statement).fetchall()]


def without_privileges(work: Callable[[], object]) -> Callable[[Callable[[str], None]], None]:
    """Work for a child process, as a user whom permissions bind; says what it raises."""

    def child_work(say: Callable[[str], None]) -> None:
        if os.getuid() == 0:
            os.setuid(65534)
        try:
            say(f"did {work()}")
        except StoreError as error:
            say(f"{type(error).__name__}: {error}")

    return child_work


# Files and formats


def test_one_file_remains_and_is_read_back(path: Path) -> None:
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    memory = MemoryStore(MANIFEST)
    put_text(memory, "first", b"", STORY)
    patch = patch_between(tree_of(b""), tree_of(STORY[::-1]))
    memory.put_source("second", patch, time=1.5, metadata={"tag": "x"})
    for read_only in (False, True):
        with SQLiteStore.open(path, read_only=read_only) as store:
            assert store.manifest == MANIFEST
            assert store.version == 3
            assert observe(store) == observe(memory)
        assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_the_file_says_what_it_is(path: Path) -> None:
    pragmas = ("application_id", "user_version", "page_size", "journal_mode")
    values = [run_sql(path, f"PRAGMA {name}")[0][0] for name in pragmas]
    assert values == [int.from_bytes(b"lmos", "big"), FORMAT_VERSION, 16384, "wal"]
    assert len(MIGRATIONS) == FORMAT_VERSION


def test_the_documented_program_reads_a_store(path: Path) -> None:
    program = re.findall(r"```python\n(.*?)```", FORMAT_PAGE.read_text(), re.DOTALL)[0]
    run = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=False
    )
    assert run.stderr == ""
    lines = run.stdout.splitlines()
    assert lines[0] == f"first {STORY.decode()}"
    assert lines[4] == f"second {STORY[::-1].decode()}"
    with SQLiteStore.open(path) as store:
        roots = [node_id for node_id in store.root_ids() if node_id[:2] == (1, 3)]
        total = store.embeddings(roots).float().sum().item()
        count = store.source("first").level_counts[2]
    found = re.fullmatch(r"  level 3 has (\d+) nodes, (\d+) roots, sum (.*)", lines[3])
    assert found is not None
    assert (int(found[1]), int(found[2])) == (count, len(roots))
    assert float(found[3]) == pytest.approx(total, abs=1e-3)


def test_a_path_that_is_taken_is_refused(path: Path, tmp_path: Path) -> None:
    (tmp_path / "stale.lmos-wal").write_bytes(b"log of a store that was removed")
    for taken in (path, tmp_path, tmp_path / "stale.lmos"):
        with pytest.raises(StoreExists, match="there is something at"):
            SQLiteStore.create(taken, MANIFEST)
    with pytest.raises(StoreError, match=r"expected a folder .*; make it first"):
        SQLiteStore.create(tmp_path / "missing" / "new.lmos", MANIFEST)
    with SQLiteStore.open(path) as store, pytest.raises(StoreExists):
        SQLiteStore.create(path, store.manifest)
    assert {file.name for file in tmp_path.iterdir()} == {path.name, "stale.lmos-wal"}


def test_a_path_without_a_store_is_refused(tmp_path: Path) -> None:
    for read_only in (False, True):
        with pytest.raises(StoreNotFound, match="create one first"):
            SQLiteStore.open(tmp_path / "missing.lmos", read_only=read_only)
        with pytest.raises(StoreError, match="is a folder"):
            SQLiteStore.open(tmp_path, read_only=read_only)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a context store"),
        (b"# A diary\n" * 200, "not an SQLite file"),
        (None, "is an SQLite file, but not a context store"),
    ],
)
def test_a_file_of_somebody_else_is_refused_and_left_alone(
    tmp_path: Path, content: bytes | None, message: str, read_only: bool
) -> None:
    path = tmp_path / "file"
    if content is None:
        run_sql(path, "CREATE TABLE notes (text)")
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(StoreCorrupt, match=message):
        SQLiteStore.open(path, read_only=read_only)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_newer_format_is_refused(path: Path) -> None:
    run_sql(path, f"PRAGMA user_version = {FORMAT_VERSION + 1}")
    for read_only in (False, True):
        with pytest.raises(StoreMismatch, match="upgrade lmos"):
            SQLiteStore.open(path, read_only=read_only)


def test_an_older_format_is_migrated_by_a_writer(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = (*MIGRATIONS, lambda db: db.execute("CREATE TABLE extra (x)"))
    monkeypatch.setattr("lmos.store.migrations.MIGRATIONS", steps)
    with pytest.raises(StoreMismatch, match="open it once for writing"):
        SQLiteStore.open(path, read_only=True)
    SQLiteStore.open(path).close()
    assert run_sql(path, "PRAGMA user_version", "SELECT count(*) FROM extra") == [
        (FORMAT_VERSION + 1,),
        (0,),
    ]
    SQLiteStore.open(path, read_only=True).close()


def test_windows_are_found_by_an_index_that_a_writer_makes_if_it_lacks(path: Path) -> None:
    plan = f"EXPLAIN QUERY PLAN {tables.FIND_WINDOW}".replace("?1", "x'00'")
    assert "USING INDEX windows_by_ends" in str(run_sql(path, plan))
    run_sql(path, "DROP INDEX windows_by_ends")
    with SQLiteStore.open(path, read_only=True) as store:
        (window, *_) = store.windows(1)
        place = (1, window.byte_span)
        assert store.find_windows([window.token_ids]) == {window.token_ids: place}
    with SQLiteStore.open(path) as store:
        assert store.find_windows([window.token_ids]) == {window.token_ids: place}
        assert store.verify() == []
    assert "USING INDEX windows_by_ends" in str(run_sql(path, plan))


def test_a_damaged_window_is_not_found(path: Path) -> None:
    with SQLiteStore.open(path) as store:
        (window, *_) = store.windows(1)
    run_sql(path, "UPDATE windows SET byte_start = 2")
    with SQLiteStore.open(path) as store:
        assert store.find_windows([window.token_ids]) == {}


# Readers and writers


def test_a_closed_store_says_so(path: Path) -> None:
    store = SQLiteStore.open(path)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.sources()


def test_a_read_only_store_cannot_be_changed(path: Path) -> None:
    before = path.read_bytes()
    with SQLiteStore.open(path, read_only=True) as store:
        for change in (
            lambda: put_text(store, "first", STORY, STORY + b"more"),
            lambda: store.delete_source("first"),
        ):
            with pytest.raises(StoreError, match="cannot be written"):
                change()
        assert store.version == 3
    assert path.read_bytes() == before


def test_a_second_writer_is_refused_and_told_who_writes(path: Path) -> None:
    def write_until_killed(say: Callable[[str], None]) -> None:
        store = SQLiteStore.open(path)
        say(f"open {store.version}")
        threading.Event().wait()

    with child_running(write_until_killed) as child:
        assert child.read() == "open 3"
        told = rf"process {child.pid} \(.*, since 20.*\) has .* open for writing"
        with pytest.raises(StoreLocked, match=told):
            SQLiteStore.open(path)
        with SQLiteStore.open(path, read_only=True) as reader:
            assert reader.verify() == []
    with SQLiteStore.open(path), pytest.raises(StoreLocked, match=f"process {os.getpid()}"):
        SQLiteStore.open(path)
    SQLiteStore.open(path).close()


def test_a_foreign_lock_is_waited_for_and_then_named(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "BUSY_MILLISECONDS", 50)
    with SQLiteStore.open(path) as store, closing(apsw.Connection(str(path))) as shell:
        before = observe(store)
        shell.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreLocked, match="another process writes"):
            put_text(store, "first", STORY, STORY + b"more")
        assert observe(store) == before
        shell.execute("ROLLBACK")
        put_text(store, "first", STORY, STORY + b"more")


def test_readers_see_each_commit_whole(path: Path) -> None:
    texts = [bytes([letter]) * 150_000 for letter in b"abcdefgh"]
    big = replace(MANIFEST, ratios=(4000, 2, 2), windows=(8000, 4, 4))
    path = path.with_name("big.lmos")
    seen = set()
    with SQLiteStore.create(path, big) as writer:
        put_text(writer, "text", b"", texts[0])
        with SQLiteStore.open(path, read_only=True) as reader:

            def write() -> None:
                for old, new in pairwise(texts):
                    put_text(writer, "text", old, new)

            thread = threading.Thread(target=write)
            thread.start()
            while thread.is_alive():
                seen.add(reader.text(1))
            thread.join()
            assert reader.version == writer.version == len(texts)
            assert reader.text(1) == texts[-1]
    assert seen <= set(texts)


def test_a_snapshot_sees_one_commit_until_it_ends(path: Path) -> None:
    with SQLiteStore.open(path) as writer, SQLiteStore.open(path, read_only=True) as reader:
        before = observe(reader)
        with reader.snapshot():
            writer.delete_source("first")
            put_text(writer, "third", b"", STORY)
            with reader.snapshot():
                assert observe(reader) == before
            assert reader.version == 3
            assert observe(reader) == before
        assert [source.name for source in reader.sources()] == ["second", "third"]
        assert observe(reader) == observe(writer)


def test_nothing_is_changed_within_a_snapshot(path: Path) -> None:
    with SQLiteStore.open(path) as store:
        with store.snapshot():
            with pytest.raises(StoreError, match="a snapshot is being read; change it after"):
                store.delete_source("first")
            assert store.version == 3
        store.delete_source("first")


def test_an_error_within_a_snapshot_ends_it_and_stays_what_it_is(path: Path) -> None:
    with SQLiteStore.open(path) as writer, SQLiteStore.open(path, read_only=True) as reader:
        with pytest.raises(BrokenPipeError), reader.snapshot():
            raise BrokenPipeError
        writer.delete_source("first")
        assert [source.name for source in reader.sources()] == ["second"]


def test_other_threads_wait_for_the_end_of_a_snapshot(path: Path) -> None:
    with SQLiteStore.open(path) as store:
        thread = threading.Thread(target=store.delete_source, args=("first",))
        with store.snapshot():
            thread.start()
            assert len(store.sources()) == 2
            thread.join(0.1)
            assert thread.is_alive()
            assert store.version == 3
        thread.join()
        assert store.version == 4


def test_threads_may_share_a_store(path: Path) -> None:
    faults: list[object] = []

    def work(name: str) -> None:
        try:
            for stop in range(0, 300, 50):
                put_text(store, name, STORY[: max(stop - 50, 0)], STORY[:stop])
                faults.extend(store.verify())
                store.keys([node_id for node_id in store.root_ids() if node_id.source_id == 1])
        except StoreError as error:
            faults.append(error)

    with SQLiteStore.open(path) as store:
        threads = [threading.Thread(target=work, args=(f"thread {n}",)) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []
        assert store.version == 3 + 3 * 6
        names = {store.text(source.source_id) for source in store.sources()[2:]}
        assert names == {STORY[:250]}


def test_a_folder_that_cannot_be_written_can_be_read(public_folder: Path, path: Path) -> None:
    copy = shutil.copy(path, public_folder / path.name)
    public_folder.chmod(0o555)

    def read() -> int:
        with SQLiteStore.open(copy, read_only=True) as store:
            return len(observe(store)["sources"])  # type: ignore[arg-type]

    assert said_by_child(without_privileges(read)) == "did 2"
    for work in (
        lambda: SQLiteStore.open(copy),
        lambda: SQLiteStore.create(public_folder / "new.lmos", MANIFEST),
    ):
        said = said_by_child(without_privileges(work))
        assert said.startswith("StoreError: no permission for"), said
    public_folder.chmod(0o777)
    assert list(public_folder.iterdir()) == [copy]


def test_changes_in_a_log_are_not_overlooked_in_a_read_only_folder(
    public_folder: Path, path: Path
) -> None:
    with SQLiteStore.open(path) as store:
        put_text(store, "third", b"", STORY)
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", public_folder / f"{path.name}{suffix}")
    public_folder.chmod(0o555)
    copy = public_folder / path.name
    said = said_by_child(without_privileges(lambda: SQLiteStore.open(copy, read_only=True)))
    assert said.startswith("StoreError"), said
    assert "were not folded into" in said
    public_folder.chmod(0o777)
    with SQLiteStore.open(copy, read_only=True) as store:
        assert len(store.sources()) == 3


def test_a_file_that_cannot_be_read_is_refused(public_folder: Path, path: Path) -> None:
    copy = Path(shutil.copy(path, public_folder / path.name))
    copy.chmod(0)
    said = said_by_child(without_privileges(lambda: SQLiteStore.open(copy, read_only=True)))
    assert said.startswith("StoreError"), said
    assert "check the permissions" in said


# Durability


def test_a_failure_halfway_leaves_the_store_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splice, calls = tables.splice_items, []

    def fail_at_the_last(*args: object) -> None:
        calls.append(args)
        if len(calls) == 10:
            raise KeyboardInterrupt
        splice(*args)  # type: ignore[arg-type]

    with SQLiteStore.open(path) as store:
        before = observe(store)
        monkeypatch.setattr(tables, "splice_items", fail_at_the_last)
        with pytest.raises(KeyboardInterrupt):
            put_text(store, "first", STORY, STORY * 2)
        monkeypatch.undo()
        assert observe(store) == before
        assert store.version == 3


def test_a_part_of_a_change_that_fails_leaves_nothing(path: Path) -> None:
    with SQLiteStore.open(path) as store:
        store.set_quota(path.stat().st_size)
        with store.changes():
            with pytest.raises(StoreFull):
                put_text(store, "large", b"", STORY * 100)
            store.delete_source("second")
        assert [source.name for source in store.sources()] == ["first"]
        assert store.verify() == []


def test_an_append_leaves_full_blocks_alone(path: Path) -> None:
    text = STORY * 20
    with SQLiteStore.open(path) as store:
        put_text(store, "long", b"", text)
    query = "SELECT level, kind, block, rowid FROM blocks WHERE source_id = 3"
    before = set(run_sql(path, query))
    with SQLiteStore.open(path) as store:
        put_text(store, "long", text, text + STORY)
    changed = before - set(run_sql(path, query))
    last = {(level, kind): block for level, kind, block, _ in sorted(before)}
    assert len(before) > len(last)
    assert all(last[level, kind] == block for level, kind, block, _ in changed)


@pytest.mark.parametrize(("seed", "key"), [(0, None), (1, KEY)])
def test_a_torn_log_shows_an_earlier_commit_whole(
    tmp_path: Path, seed: int, key: Key | None
) -> None:
    dice, path, torn = random.Random(seed), tmp_path / "a.lmos", tmp_path / "torn.lmos"
    states = []
    with SQLiteStore.create(path, MANIFEST, key) as store:
        for stop in range(0, 500, 100):
            states.append(observe(store))
            put_text(store, "a", STORY[: max(stop - 100, 0)], STORY[:stop])
        states.append(observe(store))
        log, main = Path(f"{path}-wal").read_bytes(), path.read_bytes()
    seen = set()
    for _ in range(25):
        torn.write_bytes(main)
        kept = dice.randrange(len(log) + 1)
        noise = dice.randbytes(dice.choice([0, 100, 5000]))
        Path(f"{torn}-wal").write_bytes(log[:kept] + noise)
        with SQLiteStore.open(torn, key=key) as store:
            seen.add(store.version)
            assert observe(store) == states[store.version]
    assert len(seen) > 3


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "context.lmos"

    def fill(say: Callable[[str], None]) -> None:
        store = SQLiteStore.create(path, MANIFEST)
        put_text(store, "a", b"", STORY)
        before = observe(store)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
        for what in (
            lambda: put_text(store, "a", STORY, STORY * 20),
            lambda: SQLiteStore.create(tmp_path / "second.lmos", MANIFEST),
        ):
            with pytest.raises(StoreFull, match="no room on the disk"):
                what()
            resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, resource.RLIM_INFINITY))
        assert observe(store) == before
        store.close()
        say(repr(sorted(file.name for file in tmp_path.iterdir())))

    assert said_by_child(fill) == "['context.lmos', 'context.lmos-shm', 'context.lmos-wal']"
    with SQLiteStore.open(path) as store:
        assert store.verify() == []
        assert store.text(1) == STORY
        put_text(store, "a", STORY, STORY * 20)


def test_a_file_at_its_page_limit_is_full(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(path: Path, key: Key | None) -> apsw.Connection:
        db = files.connect_to_write(path, key)
        db.pragma("max_page_count", db.pragma("page_count"))
        return db

    monkeypatch.setattr("lmos.store.sqlite.connect_to_write", connect)
    with SQLiteStore.open(path) as store:
        before = observe(store)
        with pytest.raises(StoreFull, match="nothing was written"):
            put_text(store, "first", STORY, STORY * 20)
        assert observe(store) == before


def test_deleted_text_leaves_the_files(path: Path) -> None:
    with SQLiteStore.open(path) as store:
        put_text(store, "secret", b"", b"My password is swordfish. " * 300)
        store.delete_source("secret")
        for file in path.parent.iterdir():
            assert b"swordfish" not in file.read_bytes()
        assert store.verify() == []


@pytest.mark.parametrize(("seed", "key"), [(0, None), (1, None), (2, None), (3, KEY)])
def test_no_byte_of_what_is_forgotten_stays(tmp_path: Path, seed: int, key: Key | None) -> None:
    dice, path, alphabet = random.Random(seed), tmp_path / "life.lmos", range(256)
    kept: dict[str, bytes] = {}
    gone: list[bytes] = []
    with SQLiteStore.create(path, MANIFEST, key) as store:
        for number in range(40):
            name = dice.choice([*kept, f"source {dice.randbytes(6).hex()}"])
            if name in kept and dice.random() < 0.4:
                gone += [name.encode(), kept.pop(name)]
                store.delete_source(name)
                continue
            old = kept.get(name, b"")
            new = old + bytes(dice.choices(alphabet, k=dice.choice([20, 300, 1500])))
            kept[name] = new
            patch = patch_between(tree_of(old), tree_of(new))
            store.put_source(name, patch, time=number, metadata={"label": name[7:]})
        for name in [*kept][::2]:
            gone += [name.encode(), kept.pop(name)]
            store.delete_source(name)
        expected = MemoryStore(MANIFEST)
        for name, text in kept.items():
            put_text(expected, name, b"", text)
        assert _shape(store) == _shape(expected)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    data = bytes_below(path, key)
    assert all(name.encode() in data for name in kept)
    assert len(gone) > 10
    blobs = {window.token_ids for text in gone for window in tree_of(text).windows[:-1]}
    blobs -= {window.token_ids for text in kept.values() for window in tree_of(text).windows}
    assert not [ids for ids in blobs if np.array(ids, "<u4").tobytes() in data]
    for trace in gone:
        pieces = {trace[at : at + 12] for at in range(0, len(trace) - 11, 7)}
        assert not [piece for piece in pieces if piece in data]


def _shape(store: MemoryStore | SQLiteStore) -> list[object]:
    """Everything that a store shows of its sources but their numbers, times and labels."""
    shown: list[object] = []
    for source in store.sources():
        ids = [node_id for node_id in all_ids(store) if node_id.source_id == source.source_id]
        nodes = [(node.id[1:], node.children, node.byte_span) for node in store.nodes(ids)]
        shown += [source.name, store.text(source.source_id), store.windows(source.source_id)]
        shown += [nodes, store.keys(ids).bfloat16().tolist()]
        shown += [store.embeddings(ids).bfloat16().tolist()]
        shown += [node_id[1:] for node_id in store.root_ids() if node_id[0] == source.source_id]
    return shown


# Room


def test_compacting_gives_room_back_and_changes_nothing(path: Path) -> None:
    with SQLiteStore.open(path) as store:
        put_text(store, "large", b"", STORY * 100)
        put_text(store, "last", b"", STORY[:70])
        store.delete_source("large")
        store.delete_source("first")
        before = observe(store)
        large, small = store.compact()
        assert observe(store) == before
        assert small < large
        assert (path.stat().st_size, store.version) == (small, 7)
        with store.snapshot(), pytest.raises(StoreError, match="a snapshot is being read"):
            store.compact()
    SQLiteStore.open(path, read_only=True).close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_quota_is_kept_and_nothing_is_half_written(path: Path) -> None:
    with SQLiteStore.open(path) as store:
        before = observe(store)
        store.set_quota(path.stat().st_size + 100_000)
        with pytest.raises(StoreFull, match=r"its quota is .*; nothing was written"):
            put_text(store, "first", STORY, STORY * 100)
        assert observe(store) == before
    with SQLiteStore.open(path) as store:
        with pytest.raises(StoreFull):
            put_text(store, "first", STORY, STORY * 100)
        put_text(store, "third", b"", STORY[:30])
        store.set_quota(0)
        with SQLiteStore.open(path, read_only=True) as reader:
            assert reader.verify() == []
            store.set_quota(7)
            assert reader.verify() == []
        store.delete_source("third")
        store.set_quota(None)
        put_text(store, "first", STORY, STORY * 100)
        with pytest.raises(StoreError, match="expected a size"):
            store.set_quota(-1)
        assert store.manifest == MANIFEST
    assert path.stat().st_size > 400_000


# Damage


def faults_of(path: Path) -> list[str]:
    """What is wrong with a store that may not even open."""
    try:
        with SQLiteStore.open(path) as store:
            return store.verify()
    except StoreError as error:
        return [str(error)]


def test_a_flipped_bit_is_found_or_harmless(path: Path) -> None:
    dice, whole = random.Random(0), path.read_bytes()
    with SQLiteStore.open(path) as store:
        expected = observe(store)
    used = [at for at, byte in enumerate(whole) if byte]
    num_found = 0
    for at in [*dice.sample(range(100), 15), *dice.sample(used, 85)]:
        damaged = bytearray(whole)
        damaged[at] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        if faults_of(path):
            num_found += 1
            continue
        with SQLiteStore.open(path) as store:
            assert observe(store) == expected, f"bit at {at}"
    assert num_found > 50


@pytest.mark.parametrize("kept", [0, 50, 16384, 100_000])
def test_a_file_cut_short_is_found(path: Path, kept: int) -> None:
    path.write_bytes(path.read_bytes()[:kept])
    assert faults_of(path)
    with pytest.raises(StoreCorrupt), SQLiteStore.open(path) as store:
        observe(store)


FIRST_BLOCK = "source_id = 1 AND level = 1 AND block = 0"
SECOND_KEYS = "SELECT data, crc FROM blocks WHERE source_id = 2 AND kind = 'keys' AND level = 1"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            f"UPDATE blocks SET data = zeroblob(9) WHERE {FIRST_BLOCK}",
            r"blocks \(1, 1, 'keys', 0\)",
        ),
        (f"UPDATE blocks SET crc = crc + 1 WHERE {FIRST_BLOCK}", r"blocks \(1, 1, 'spans', 0\)"),
        (f"UPDATE blocks SET data = 'x', crc = 'x' WHERE {FIRST_BLOCK}", "checksum"),
        (f"DELETE FROM blocks WHERE {FIRST_BLOCK}", r"blocks \(1, 1, 'embeddings', 0\)"),
        ("UPDATE blocks SET block = 7 WHERE kind = 'text'", r"blocks \(1, 0, 'text', 7\): beyond"),
        (f"UPDATE blocks SET (data, crc) = ({SECOND_KEYS})", r"blocks \(1, 1, 'keys', 0\)"),
        ("UPDATE windows SET is_sealed = 1 - is_sealed", "windows: source 1, window 0"),
        ("DELETE FROM windows WHERE window = 0", "windows, expected"),
        ("UPDATE sources SET num_bytes = 7 WHERE source_id = 2", "sources: source 2"),
        ("UPDATE sources SET name = 'other' WHERE source_id = 2", "sources: source 2"),
        ("UPDATE sources SET metadata = CAST(x'ff' AS TEXT)", "not UTF-8"),
        ("UPDATE sources SET source_id = 9 WHERE source_id = 2", "belongs to no source"),
        ("DELETE FROM sources WHERE source_id = 2", "belongs to no source"),
        ("UPDATE store SET next_source_id = 1", "store: the row does not have its checksum"),
        ("DELETE FROM store", "store: expected one row, got 0"),
        ("DROP TABLE windows", "no such table"),
    ],
)
def test_damage_is_named(path: Path, statement: str, message: str) -> None:
    with SQLiteStore.open(path) as store:
        run_sql(path, statement)
        faults = store.verify()
    assert any(re.search(message, fault) for fault in faults), faults


def test_a_damaged_block_is_refused_when_it_is_read(path: Path) -> None:
    run_sql(path, f"UPDATE blocks SET data = zeroblob(length(data)) WHERE {FIRST_BLOCK}")
    with SQLiteStore.open(path) as store:
        ids = all_ids(store)
        for read in (store.nodes, store.keys, store.embeddings):
            with pytest.raises(StoreCorrupt, match=r"blocks \(1, 1, .*, 0\)"):
                read(ids)
        assert len(store.keys([node for node in ids if node.source_id == 2])) > 0
        run_sql(path, f"DELETE FROM blocks WHERE {FIRST_BLOCK}")
        with pytest.raises(StoreCorrupt, match="missing or too short"):
            store.keys(ids)


def test_numbers_that_are_not_finite_are_found(path: Path) -> None:
    place = (1, 2, "keys", 0)
    with SQLiteStore.open(path) as store:
        data = np.full(6 * store.source("first").level_counts[1], 0x7F80, "<u2").tobytes()
        with closing(apsw.Connection(str(path))) as db:
            values = (data, row_crc(place, data), *place)
            db.execute(
                "UPDATE blocks SET data = ?, crc = ? "
                "WHERE (source_id, level, kind, block) = (?, ?, ?, ?)",
                values,
            )
        assert store.verify() == [f"blocks {place}: numbers are not finite"]

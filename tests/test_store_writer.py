"""One writer at a time: who waits, who is named, and stores that are written now and then."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from children import Child, child_running
from lmos.errors import StoreError, StoreLocked
from lmos.store.sqlite import SQLiteStore
from lmos.store.writer import HOLDER_SUFFIX, SUFFIX, Patience, WriterLock
from trees import MANIFEST, observe, put_text

STORY = b"It was a dark and stormy night; the rain fell in torrents. " * 4
LONG = Patience(60)

Work = Callable[[Callable[[str], None]], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "context.lmos"
    with SQLiteStore.create(path, MANIFEST) as store:
        put_text(store, "first", b"", STORY)
    return path


def hold(path: Path, seconds: float) -> Work:
    """Work for a child: have the store open for writing for a while."""

    def work(say: Callable[[str], None]) -> None:
        with SQLiteStore.open(path):
            say("open")
            time.sleep(seconds)
        say("closed")

    return work


def append_lines(path: Path, lines: list[bytes]) -> Work:
    """Work for a child: read what a source has and add to it, many times."""

    def work(say: Callable[[str], None]) -> None:
        torch.set_num_threads(1)
        with SQLiteStore.open_shared(path, LONG) as store:
            for line in lines:
                with store.writing():
                    before = store.text(store.source("first").source_id)
                    put_text(store, "first", before, before + line)
        say("done")

    return work


# The lock


def test_a_writer_waits_until_the_other_has_closed(path: Path) -> None:
    told: list[str] = []
    with child_running(hold(path, 1.6)) as child:
        assert child.read() == "open"
        with SQLiteStore.open(path, patience=Patience(60, told.append)):
            assert child.read_all() == "closed"
    (message,) = told
    assert f"waiting for process {child.pid} (" in message
    assert str(path) in message


def test_who_waits_for_a_moment_says_nothing(path: Path) -> None:
    told: list[str] = []
    with child_running(hold(path, 0.3)) as child:
        assert child.read() == "open"
        SQLiteStore.open(path, patience=Patience(60, told.append)).close()
    assert told == []


def test_patience_ends_and_the_holder_is_named(path: Path) -> None:
    with child_running(hold(path, 60)) as child:
        assert child.read() == "open"
        start = time.monotonic()
        with pytest.raises(StoreLocked, match=rf"process {child.pid} \(.+, since 20") as refused:
            SQLiteStore.open(path, patience=Patience(0.4))
        assert 0.4 <= time.monotonic() - start < 10
        assert "waited 0.4 s" in str(refused.value)
        assert "--wait" in str(refused.value)


def test_a_killed_holder_lets_go(path: Path) -> None:
    with child_running(hold(path, 60)) as child:
        assert child.read() == "open"
        killer = threading.Timer(0.3, child.kill)
        killer.start()
        SQLiteStore.open(path, patience=LONG).close()
        killer.join()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', '{"pid": 1, "since": "x"}'])
def test_a_holder_that_cannot_be_read_is_another_process(path: Path, content: str) -> None:
    lock = WriterLock(path)
    path.with_name(path.name + HOLDER_SUFFIX).write_text(content)
    with pytest.raises(StoreLocked, match=r"^another process has"):
        WriterLock(path)
    lock.release()
    lock.release()
    assert not path.with_name(path.name + SUFFIX).exists()


def test_many_processes_take_turns(tmp_path: Path) -> None:
    path, counter = tmp_path / "context.lmos", tmp_path / "counter"
    counter.write_text("0")

    def count(say: Callable[[str], None]) -> None:
        for _ in range(25):
            lock = WriterLock(path, LONG)
            number = int(counter.read_text())
            time.sleep(0.001)
            counter.write_text(str(number + 1))
            lock.release()
        say("done")

    with child_running(count) as a, child_running(count) as b, child_running(count) as c:
        assert [child.read_all() for child in (a, b, c)] == ["done"] * 3
    assert counter.read_text() == "75"


# Stores that are shared


def test_nothing_is_lost_between_processes_that_share_a_store(path: Path) -> None:
    lines = [[f"{name}{number}\n".encode() for number in range(8)] for name in "abc"]
    with (
        child_running(append_lines(path, lines[0])) as a,
        child_running(append_lines(path, lines[1])) as b,
        child_running(append_lines(path, lines[2])) as c,
    ):
        assert [child.read_all() for child in (a, b, c)] == ["done"] * 3
    with SQLiteStore.open(path) as store:
        assert store.verify() == []
        assert store.version == 1 + 24
        text = store.text(store.source("first").source_id)
    assert text.startswith(STORY)
    added = text[len(STORY) :].splitlines(keepends=True)
    assert sorted(added) == sorted(line for each in lines for line in each)
    for each in lines:
        assert [line for line in added if line in each] == each
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_shared_store_keeps_nobody_from_writing_between_its_changes(path: Path) -> None:
    with SQLiteStore.open_shared(path) as shared:
        first = observe(shared)
        with SQLiteStore.open(path) as writer:
            assert observe(writer) == first
            put_text(writer, "second", b"", STORY[::-1])
            assert observe(shared) == observe(writer)
            with pytest.raises(StoreLocked, match=f"process {os.getpid()}"):
                shared.delete_source("first")
        shared.delete_source("first")
        assert [source.name for source in shared.sources()] == ["second"]
        with SQLiteStore.open(path) as writer:
            writer.set_quota(123_456_789)
        put_text(shared, "third", b"", STORY)
        assert shared.manifest.max_bytes == 123_456_789
        assert shared.version == 4
        assert shared.verify() == []
        with SQLiteStore.open(path, read_only=True) as reader:
            assert observe(reader) == observe(shared)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_nobody_else_writes_within_a_block(path: Path) -> None:
    with SQLiteStore.open_shared(path) as shared:
        with shared.writing():
            with pytest.raises(StoreLocked):
                SQLiteStore.open(path)
            with shared.writing(), shared.changes():
                put_text(shared, "second", b"", STORY)
                put_text(shared, "third", b"", STORY)
            with pytest.raises(StoreLocked):
                SQLiteStore.open(path)
        SQLiteStore.open(path).close()
        assert len(shared.sources()) == 3


def test_a_failure_within_a_block_lets_go(path: Path) -> None:
    with SQLiteStore.open_shared(path) as shared:
        with suppress(ZeroDivisionError), shared.writing(), shared.changes():
            put_text(shared, "second", b"", STORY)
            raise ZeroDivisionError
        SQLiteStore.open(path).close()
        assert [source.name for source in shared.sources()] == ["first"]


def test_a_shared_store_does_not_change_within_its_snapshot(path: Path) -> None:
    with SQLiteStore.open_shared(path) as shared:
        with shared.snapshot():
            before = observe(shared)
            with pytest.raises(StoreError, match="a snapshot is being read"):
                shared.delete_source("first")
            with SQLiteStore.open(path) as writer:
                put_text(writer, "second", b"", STORY)
            assert observe(shared) == before
        assert len(shared.sources()) == 2


def test_what_a_shared_store_forgets_leaves_every_file(path: Path) -> None:
    with SQLiteStore.open_shared(path) as shared:
        shared.delete_source("first")
        for file in path.parent.iterdir():
            assert b"stormy" not in file.read_bytes(), file.name


def kill_while_appending(path: Path, seconds: float) -> None:
    def work(say: Callable[[str], None]) -> None:
        torch.set_num_threads(1)
        with SQLiteStore.open_shared(path, LONG) as store:
            say("open")
            while True:
                with store.writing():
                    before = store.text(store.source("first").source_id)
                    put_text(store, "first", before, before + b"more\n")

    child: Child
    with child_running(work) as child:
        assert child.read() == "open"
        time.sleep(seconds)
        child.kill()


def test_a_kill_amid_shared_changes_leaves_a_whole_store(path: Path) -> None:
    for turn in range(6):
        kill_while_appending(path, 0.05 + 0.07 * turn)
        with SQLiteStore.open(path) as store:
            assert store.verify() == []
            text = store.text(store.source("first").source_id)
            assert text == STORY + b"more\n" * ((len(text) - len(STORY)) // 5)
            assert store.version == 1 + (len(text) - len(STORY)) // 5
        assert [file.name for file in path.parent.iterdir()] == [path.name]

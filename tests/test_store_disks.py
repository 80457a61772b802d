"""A store on disks that lose power, run out of room or break: nothing acknowledged is lost."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import apsw
import pytest

from ciphers import KEY, PLAIN_OR_ENCRYPTED, bytes_below
from disks import FailingDisk, PowerCut, RecordingDisk
from histories import History
from lmos.errors import StoreError, StoreFull
from lmos.store.keys import Key
from lmos.store.memory import MemoryStore
from lmos.store.sqlite import SQLiteStore
from trees import MANIFEST, observe, put_text

NAME = "context.lmos"
SECRET = b"My password is swordfish. " * 40


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file of a folder and its content."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    """Make a folder hold these files and nothing else; where its store is."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder / NAME


def failure_of(work: Callable[..., object], *args: object) -> StoreError | None:
    """What a store says when it cannot."""
    try:
        work(*args)
    except StoreError as error:
        return error
    return None


# Power cuts


@pytest.mark.parametrize(
    ("num_changes", "num_cuts", "key"),
    [
        *(pytest.param(30, 60, None, id="plain"), pytest.param(30, 40, KEY, id="encrypted")),
        *(pytest.param(300, 3000, key, marks=pytest.mark.slow) for key in (None, KEY)),
    ],
)
def test_every_acknowledged_change_survives_a_power_cut(
    tmp_path: Path, num_changes: int, num_cuts: int, key: Key | None
) -> None:
    (tmp_path / "whole").mkdir()
    path, history = tmp_path / "whole" / NAME, History(3)
    SQLiteStore.create(path, MANIFEST, key).close()
    before, version = files_in(path.parent), 0
    with RecordingDisk() as disk:
        while version < num_changes:
            with SQLiteStore.open(path, key=key) as store:
                for _ in range(5):
                    history.change(store, version)
                    version += 1
                    disk.remark(str(version))
                store.compact()
    seen, dice = [], random.Random(num_cuts)
    cuts = sorted(dice.choices(range(len(disk.events) + 1), k=num_cuts))
    power = PowerCut(before, disk.events)
    for cut in cuts:
        torn = write_files(tmp_path / "torn", power.files_after(cut, dice))
        remarks = (event for event in disk.events[:cut] if event.what == "remark")
        acknowledged = max((int(remark.file) for remark in remarks), default=0)
        with SQLiteStore.open(torn, key=key) as store:
            assert store.version - acknowledged in (0, 1)
            seen.append(store.version - acknowledged)
            assert observe(store) == history.observed(store.version)
    assert set(seen) == {0, 1}


@pytest.mark.parametrize("key", PLAIN_OR_ENCRYPTED)
def test_a_store_is_whole_before_it_has_its_name(tmp_path: Path, key: Key | None) -> None:
    with RecordingDisk() as disk:
        SQLiteStore.create(tmp_path / NAME, MANIFEST, key).close()
    draft = f"{NAME}-new"
    for seed in range(8):
        files = PowerCut({}, disk.events).files_after(len(disk.events), random.Random(seed))
        torn = write_files(tmp_path / "torn", {NAME: files[draft]})
        with SQLiteStore.open(torn, key=key) as store:
            assert observe(store) == observe(MemoryStore(MANIFEST))


@pytest.mark.parametrize("key", PLAIN_OR_ENCRYPTED)
def test_what_was_forgotten_stays_forgotten_after_a_power_cut(
    tmp_path: Path, key: Key | None
) -> None:
    (tmp_path / "whole").mkdir()
    path = tmp_path / "whole" / NAME
    with SQLiteStore.create(path, MANIFEST, key) as store:
        put_text(store, "diary", b"", b"It rained. " * 40)
    before = files_in(path.parent)
    with RecordingDisk() as disk, SQLiteStore.open(path, key=key) as store:
        put_text(store, "secret", b"", SECRET)
        store.delete_source("secret")
    forgotten = next(
        number
        for number, event in enumerate(disk.events)
        if event.file == f"{NAME}-wal" and event.what == "truncate"
    )
    dice, power = random.Random(0), PowerCut(before, disk.events)
    for cut in range(forgotten, len(disk.events) + 1):
        torn = write_files(tmp_path / "torn", power.files_after(cut, dice))
        with SQLiteStore.open(torn, key=key) as store:
            assert [source.name for source in store.sources()] == ["diary"]
        assert b"swordfish" not in bytes_below(torn, key)
        assert all(b"swordfish" not in content for content in files_in(torn.parent).values())


def test_the_simulated_power_cut_loses_what_was_not_synced(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    path = tmp_path / "whole" / NAME
    with RecordingDisk() as disk, closing(apsw.Connection(str(path))) as db:
        db.pragma("journal_mode", "wal")
        db.pragma("synchronous", "off")
        db.execute("CREATE TABLE t (x)")
        told = list(disk.events)
    rows = set()
    for seed in range(40):
        files = PowerCut({}, told).files_after(len(told), random.Random(seed))
        torn = write_files(tmp_path / "torn", {NAME: b"", **files})
        with closing(apsw.Connection(str(torn))) as db:
            try:
                rows.add(len(db.execute("SELECT * FROM sqlite_schema").fetchall()))
            except apsw.Error:
                rows.add(-1)
    assert rows >= {0, 1}


# Disks that run out of room or break


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("write", apsw.FullError, "no room on the disk of .*; nothing was written"),
        ("write", apsw.IOError, "cannot be used"),
        ("sync", apsw.IOError, "cannot be used"),
    ],
)
@pytest.mark.parametrize(
    ("version", "key"),
    [
        *(pytest.param(4, None, id="append"), pytest.param(6, None, id="forget")),
        *(pytest.param(7, None, id="edit"), pytest.param(11, None, id="add")),
        pytest.param(6, KEY, id="forget, encrypted"),
        *(
            pytest.param(version, key, marks=pytest.mark.slow)
            for version in range(12, 40)
            for key in (None, KEY)
        ),
    ],
)
def test_a_disk_that_fails_at_any_moment_costs_nothing(
    tmp_path: Path,
    what: str,
    error: type[apsw.Error],
    message: str,
    version: int,
    key: Key | None,
) -> None:
    path, history, num_failures = tmp_path / NAME, History(3), 0
    with FailingDisk(what, error) as disk, SQLiteStore.create(path, MANIFEST, key) as store:
        for earlier in range(version):
            history.change(store, earlier)
        disk.num_left = 0
        while (caught := failure_of(history.change, store, version)) is not None:
            assert re.search(message, str(caught))
            assert isinstance(caught, StoreFull) == (error is apsw.FullError)
            assert observe(store) == history.observed(version)
            num_failures += 1
            disk.num_left = num_failures
        assert num_failures
        assert observe(store) == history.observed(version + 1)
        disk.num_left = None
        history.change(store, version + 1)
    with SQLiteStore.open(path, key=key) as store:
        assert observe(store) == history.observed(version + 2)


@pytest.mark.parametrize("key", PLAIN_OR_ENCRYPTED)
@pytest.mark.parametrize("what", ["write", "sync", "truncate", "delete"])
def test_a_disk_that_fails_while_a_store_is_closed_costs_nothing(
    tmp_path: Path, what: str, key: Key | None
) -> None:
    path, history = tmp_path / NAME, History(3)
    SQLiteStore.create(path, MANIFEST, key).close()
    with FailingDisk(what, apsw.IOError) as disk:
        for version in range(8):
            store = SQLiteStore.open(path, key=key)
            history.change(store, version)
            disk.num_left = version // 2
            with suppress(StoreError):
                store.close()
            disk.num_left = None
            with SQLiteStore.open(path, key=key) as reopened:
                assert observe(reopened) == history.observed(version + 1)
    assert [file.name for file in tmp_path.iterdir()] == [NAME]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user cannot mount a disk")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.parametrize("key", PLAIN_OR_ENCRYPTED)
def test_a_full_disk_keeps_what_was_acknowledged(small_disk: Path, key: Key | None) -> None:
    path, text, num_sources = small_disk / NAME, random.Random(0).randbytes(2000), 0
    with SQLiteStore.create(path, MANIFEST, key) as store:
        while not (caught := failure_of(put_text, store, str(num_sources), b"", text)):
            num_sources += 1
        assert isinstance(caught, StoreFull)
        before = observe(store)
        assert before["faults"] == []
        assert before["texts"] == [text] * num_sources
    with SQLiteStore.open(path, key=key) as reopened:
        assert observe(reopened) == before
        subprocess.run(["mount", "-o", "remount,size=2m", str(small_disk)], check=True)
        put_text(reopened, "after", b"", text)
        assert reopened.verify() == []

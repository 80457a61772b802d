"""Archives: everything comes back, nothing is half-made, damage is told."""

from __future__ import annotations

import json
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
import safetensors.torch
import torch

from lmos.errors import StoreCorrupt, StoreError, StoreExists, StoreMismatch
from lmos.store.archive import read_archive, read_manifest, write_archive
from lmos.store.drafts import draft_path, new_store
from lmos.store.memory import MemoryStore
from lmos.store.sqlite import SQLiteStore
from trees import MANIFEST, observe, patch_between, put_text, tree_of

STORY = "Déjà vu: it was a dark and stormy night. ".encode() * 12


@pytest.fixture
def store(tmp_path: Path) -> SQLiteStore:
    """Three sources, one of them without a time, one forgotten."""
    store = SQLiteStore.create(tmp_path / "life.lmos", MANIFEST)
    put_text(store, "gone", b"", STORY[:50])
    put_text(store, "first/ä", b"", STORY)
    patch = patch_between(tree_of(b""), tree_of(STORY[:40]))
    store.put_source("second", patch, time=1.25, metadata={"kind": "x=y"})
    put_text(store, "short", b"", b"a")
    store.delete_source("gone")
    return store


def content(store: MemoryStore | SQLiteStore) -> dict[str, object]:
    """What a store shows, whatever numbers its sources have."""
    copy = MemoryStore(store.manifest)
    for source in store.sources():
        text = store.text(source.source_id)
        patch = patch_between(tree_of(b""), tree_of(text))
        copy.put_source(source.name, patch, time=source.time, metadata=source.metadata)
    return observe(copy)


def test_an_archive_brings_everything_back(store: SQLiteStore, tmp_path: Path) -> None:
    assert write_archive(store, tmp_path / "a.zip") == 3
    with new_store(tmp_path / "again.lmos", read_manifest(tmp_path / "a.zip")) as made:
        assert read_archive(tmp_path / "a.zip", made) == 3
    with SQLiteStore.open(tmp_path / "again.lmos") as again:
        assert observe(again) == content(store)
        assert again.manifest == store.manifest
        write_archive(again, tmp_path / "b.zip")
    names = {path.name for path in tmp_path.iterdir() if not path.name.startswith("life")}
    assert names == {"a.zip", "b.zip", "again.lmos"}
    with zipfile.ZipFile(tmp_path / "a.zip") as a, zipfile.ZipFile(tmp_path / "b.zip") as b:
        assert {name: a.read(name) for name in a.namelist()} == {
            name: b.read(name) for name in b.namelist()
        }


def test_an_archive_is_read_with_common_tools(store: SQLiteStore, tmp_path: Path) -> None:
    write_archive(store, tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.testzip() is None
        assert json.loads(archive.read("lmos.json"))["num_sources"] == 3
        assert archive.read("sources/000000/text.txt") == STORY
        labels = json.loads(archive.read("sources/000001/source.json"))
        assert labels == {"name": "second", "time": 1.25, "labels": {"kind": "x=y"}}
        tree = safetensors.torch.load(archive.read("sources/000000/tree.safetensors"))
    roots = store.level_ids(2)[: store.source("first/ä").level_counts[1]]
    assert torch.equal(tree["level2.embeddings"], store.embeddings(roots))


def test_what_is_there_is_not_overwritten(store: SQLiteStore, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(StoreExists):
        write_archive(store, tmp_path / "taken")
    with pytest.raises(StoreExists), new_store(tmp_path / "taken", MANIFEST):
        pytest.fail("got a store")
    assert (tmp_path / "taken").read_text() == "mine"
    with pytest.raises(StoreError):
        write_archive(store, tmp_path / "missing" / "a.zip")


def test_a_store_that_is_not_completed_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "new.lmos"
    draft_path(path).write_bytes(b"left by a process that was killed")
    with suppress(KeyboardInterrupt), new_store(path, MANIFEST) as made:
        put_text(made, "a", b"", STORY)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_archive_is_told(store: SQLiteStore, tmp_path: Path) -> None:
    write_archive(store, tmp_path / "a.zip")
    whole = (tmp_path / "a.zip").read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(b"stormy")] ^= 1
    for data in (b"", b"text", whole[:-40], bytes(flipped)):
        (tmp_path / "a.zip").write_bytes(data)
        with pytest.raises(StoreCorrupt, match="is not a whole archive of lmos"):
            read_archive(tmp_path / "a.zip", MemoryStore(MANIFEST))


def test_a_newer_archive_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("lmos.json", json.dumps({"format": 2}))
    with pytest.raises(StoreMismatch, match="upgrade lmos"):
        read_manifest(tmp_path / "a.zip")

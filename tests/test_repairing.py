"""Repair: a damaged store becomes what it was, as far as its text can be read."""

from __future__ import annotations

import random
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from building import assert_same_content, prose, put, small_manifest
from ciphers import KEY
from conftest import new_llama
from disks import PowerCut, RecordingDisk
from lmos.errors import StoreCorrupt, StoreEncrypted, StoreFull, StoreLocked, StoreMismatch
from lmos.model.base import BaseModel
from lmos.store import Manifest
from lmos.store.files import PAGE_BYTES
from lmos.store.keys import Key, is_encrypted
from lmos.store.memory import MemoryStore
from lmos.store.sqlite import SQLiteStore
from lmos.upkeep.rekeying import rekey
from lmos.upkeep.repairing import Repair, repair

TEXTS = {name: prose(60, seed) for seed, name in enumerate(("diary", "notes", "letters"))}


def filled(model: BaseModel, names: list[str]) -> MemoryStore:
    """What a store of these sources holds."""
    store = MemoryStore(small_manifest(model))
    for name in names:
        put(store, model, name, TEXTS[name], time=float(len(name)))
    return store


@pytest.fixture
def path(tiny_llama: BaseModel, tmp_path: Path) -> Path:
    """Where a whole store lies, closed."""
    path = tmp_path / "context.lmos"
    with SQLiteStore.create(path, small_manifest(tiny_llama)) as store:
        for name, text in TEXTS.items():
            put(store, tiny_llama, name, text, time=float(len(name)))
        store.set_quota(path.stat().st_size)
    return path


def damage(path: Path, *statements: str) -> None:
    """Change a store behind its back."""
    with closing(apsw.Connection(str(path))) as db:
        for statement in statements:
            db.execute(statement)


def assert_holds(path: Path, model: BaseModel, names: list[str]) -> None:
    """The store is whole, alone in its folder, and has what these sources give, in this order."""
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    expected = filled(model, names)
    with SQLiteStore.open(path) as store:
        assert store.verify() == []
        assert store.manifest.max_bytes
        assert [source.name for source in store.sources()] == names
        if [source.source_id for source in expected.sources()] == [1, 2, 3]:
            assert_same_content(store, expected)


NOTES = "source_id = 2"
ZEROS = "UPDATE blocks SET data = zeroblob(length(data)) WHERE"


@pytest.mark.parametrize(
    "statement",
    [
        f"{ZEROS} {NOTES} AND kind = 'keys' AND level = 1",
        f"{ZEROS} {NOTES} AND kind = 'embeddings'",
        f"{ZEROS} {NOTES} AND kind = 'spans' AND level = 2",
        f"DELETE FROM blocks WHERE {NOTES} AND level > 0",
        f"UPDATE windows SET is_sealed = 1 - is_sealed WHERE {NOTES}",
        f"DELETE FROM windows WHERE {NOTES} AND window = 1",
    ],
)
def test_what_was_made_of_the_text_is_made_again(
    path: Path, tiny_llama: BaseModel, statement: str
) -> None:
    damage(path, statement)
    path.with_name(f"{path.name}-index1-0").write_bytes(b"of keys that were damaged")
    done = repair(path, tiny_llama)
    assert done.faults
    assert done.rebuilt == ("notes",)
    assert done.lost == ()
    assert_holds(path, tiny_llama, list(TEXTS))
    assert repair(path, tiny_llama) == Repair()


def test_a_store_without_a_fault_is_not_touched(path: Path, tiny_llama: BaseModel) -> None:
    before = path.read_bytes()
    assert repair(path, tiny_llama) == Repair()
    assert path.read_bytes() == before


def test_sources_without_their_text_are_named_and_forgotten_on_demand(
    path: Path, tiny_llama: BaseModel
) -> None:
    damage(
        path,
        f"{ZEROS} {NOTES} AND kind = 'text'",
        "UPDATE sources SET num_bytes = 7 WHERE source_id = 1",
        f"{ZEROS} source_id = 3 AND kind = 'keys'",
    )
    before = path.read_bytes()
    assert repair(path, tiny_llama).lost == ("number 1", "notes")
    assert path.read_bytes() == before
    done = repair(path, tiny_llama, forget_lost=True)
    assert (done.rebuilt, done.lost) == (("letters",), ("number 1", "notes"))
    assert_holds(path, tiny_llama, ["letters"])


def test_rows_that_belong_to_no_source_go(path: Path, tiny_llama: BaseModel) -> None:
    damage(path, f"DELETE FROM sources WHERE {NOTES}")
    assert repair(path, tiny_llama).lost == ("number 2",)
    repair(path, tiny_llama, forget_lost=True)
    assert_holds(path, tiny_llama, ["diary", "letters"])


def test_a_store_that_cannot_be_repaired_now_stays_as_it_is(
    path: Path, tiny_llama: BaseModel, tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(path, f"{ZEROS} {NOTES} AND kind = 'keys'")
    with pytest.raises(StoreMismatch):
        repair(path, new_llama(tokenizer_folder, seed=9))
    with SQLiteStore.open(path, read_only=True), pytest.raises(StoreLocked):
        repair(path, tiny_llama)
    create = SQLiteStore.create

    def create_small(path: Path, manifest: Manifest, key: Key | None) -> SQLiteStore:
        return create(path, replace(manifest, max_bytes=70_000), key)

    monkeypatch.setattr(SQLiteStore, "create", create_small)
    with pytest.raises(StoreFull):
        repair(path, tiny_llama)
    monkeypatch.undo()
    assert repair(path, tiny_llama).rebuilt == ("notes",)
    assert_holds(path, tiny_llama, list(TEXTS))


def test_a_repaired_store_is_on_the_disk_before_it_has_its_name(
    path: Path, tiny_llama: BaseModel
) -> None:
    damage(path, f"{ZEROS} {NOTES} AND kind = 'keys'")
    with RecordingDisk() as disk:
        repair(path, tiny_llama)
    # An empty store is made under yet another name.
    events = [
        replace(event, file=event.file.replace("-repair-new", "-repair")) for event in disk.events
    ]
    for seed in range(6):
        cut = PowerCut({}, events).files_after(len(events), random.Random(seed))
        path.write_bytes(cut[f"{path.name}-repair"])
        assert_holds(path, tiny_llama, list(TEXTS))


@pytest.mark.parametrize("num_flips", [8, pytest.param(500, marks=pytest.mark.slow)])
def test_a_flipped_bit_costs_a_source_at_most(
    path: Path, tiny_llama: BaseModel, num_flips: int
) -> None:
    dice, whole = random.Random(num_flips), path.read_bytes()
    used = [at for at, byte in enumerate(whole) if byte]
    num_whole = 0
    for at in dice.choices(used, k=num_flips):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        with suppress(StoreCorrupt):
            lost = repair(path, tiny_llama, forget_lost=True).lost
            with SQLiteStore.open(path) as store:
                found = {source.name: store.text(source.source_id) for source in store.sources()}
                assert store.verify() == [], f"bit at {at}"
            assert bool(lost) == (found.keys() != TEXTS.keys()), f"bit at {at}: lost {lost}"
            assert set(lost).isdisjoint(found)
            assert all(TEXTS[name].encode() == text for name, text in found.items())
            num_whole += len(found) == len(TEXTS)
    assert num_whole > num_flips / 2


def test_an_encrypted_store_with_a_damaged_page_is_repaired_or_left_as_it_is(
    path: Path, tiny_llama: BaseModel
) -> None:
    rekey(path, None, KEY)
    whole, outcomes = path.read_bytes(), set()
    for page in range(0, len(whole), 2 * PAGE_BYTES):
        damaged = bytearray(whole)
        damaged[page + 100] ^= 1
        path.write_bytes(damaged)
        try:
            repair(path, tiny_llama, forget_lost=True, key=KEY)
        except (StoreCorrupt, StoreEncrypted):
            assert path.read_bytes() == damaged
            outcomes.add("left")
            continue
        outcomes.add("repaired")
        assert is_encrypted(path)
        with SQLiteStore.open(path, key=KEY) as store:
            assert store.verify() == []
            texts = {name: text.encode() for name, text in TEXTS.items()}
            for source in store.sources():
                assert store.text(source.source_id) == texts[source.name]
    assert outcomes == {"left", "repaired"}
    assert [file.name for file in path.parent.iterdir()] == [path.name]

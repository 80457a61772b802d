"""The index of words: the same in both stores, in step with the text, and gone with it."""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import apsw
import pytest

from lmos.errors import StoreCorrupt
from lmos.nodes import NodeId
from lmos.store import AbstractStore
from lmos.store.memory import MemoryStore
from lmos.store.sqlite import SQLiteStore
from trees import MANIFEST, all_ids, put_text

OLD_FILE = Path(__file__).parent / "data" / "format-1.lmos.gz"
DIARY = "It was a dark night. Zoë saw the lighthouse of 東京. ".encode() * 6
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def found(store: AbstractStore, question: str) -> list[NodeId]:
    """Leaves that share words with a question, best first."""
    return list(store.lexical_scores(question, 1000)[0])


def texts(store: AbstractStore, ids: list[NodeId]) -> str:
    """The text of nodes."""
    spans = [(node.id.source_id, node.byte_span) for node in store.nodes(ids)]
    return " | ".join(store.text(*each).decode(errors="replace") for each in spans)


def run_sql(path: Path, statement: str) -> None:
    with closing(apsw.Connection(str(path))) as db:
        db.execute(statement)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SQLiteStore]:
    with SQLiteStore.create(tmp_path / "life.lmos", MANIFEST) as store:
        yield store


def made_up(dice: random.Random, num_words: int) -> bytes:
    words = ["".join(dice.choices(LETTERS, k=dice.randrange(2, 9))) for _ in range(num_words)]
    return " ".join(words).encode()


@pytest.mark.parametrize("seed", range(4))
def test_both_stores_find_the_same_whatever_was_changed(disk: SQLiteStore, seed: int) -> None:
    dice, memory = random.Random(seed), MemoryStore(MANIFEST)
    kept: dict[str, bytes] = {}
    for _ in range(25):
        name = dice.choice("abcd")
        old = kept.pop(name, b"")
        new = old[: dice.randrange(len(old) + 1)] + made_up(dice, dice.randrange(1, 40))
        if old and dice.random() < 0.3:
            new = b""
        for store in (memory, disk):
            if new:
                put_text(store, name, old, new)
            else:
                store.delete_source(name)
        if new:
            kept[name] = new
        text = dice.choice([*kept.values(), b"nothing"]).decode()
        for question in (text[:40], "ab cd", ""):
            ids, scores = disk.lexical_scores(question, 9, {1, 2, 3})
            expected_ids, expected = memory.lexical_scores(question, 9, {1, 2, 3})
            assert ids == expected_ids
            assert scores.tolist() == expected.tolist()
        assert disk.verify() == []


def test_leaves_are_found_by_their_words(disk: SQLiteStore) -> None:
    put_text(disk, "diary", b"", DIARY)
    put_text(disk, "other", b"", b"Nothing of that kind happened to me at all today.")
    for question, word in (("ZOE?", "oë"), ("lighthouses", "thouse"), ("京", "京")):
        ids = found(disk, question)
        assert len(ids) >= 6
        assert word in texts(disk, ids[:1])
    assert found(disk, "elephant") == []


def test_an_undone_change_leaves_the_index_as_it_was(disk: SQLiteStore) -> None:
    put_text(disk, "diary", b"", DIARY)
    with suppress(KeyError), disk.changes():
        put_text(disk, "more", b"", b"An elephant came.")
        disk.delete_source("diary")
        assert found(disk, "elephant")
        raise KeyError
    assert found(disk, "elephant") == []
    assert found(disk, "lighthouse")
    assert disk.verify() == []


def test_readers_find_what_a_writer_has_written_since(disk: SQLiteStore) -> None:
    dice = random.Random(5)
    with SQLiteStore.open(disk.path, read_only=True) as reader:
        for number in range(20):
            put_text(disk, f"source {number}", b"", made_up(dice, 60) + b" lighthouse")
            if number % 3 == 2:
                disk.delete_source(f"source {number - 1}")
            if number == 10:
                disk.compact()
            assert found(reader, "lighthouse") == found(disk, "lighthouse") != []
            with reader.snapshot():
                before = found(reader, "lighthouse")
                put_text(disk, "more", b"", b"A lighthouse.")
                assert found(reader, "lighthouse") == before
                assert reader.verify() == []
            disk.delete_source("more")


def test_no_word_of_what_is_forgotten_stays_in_the_file(disk: SQLiteStore) -> None:
    dice = random.Random(3)
    for number in range(30):
        put_text(disk, f"kept {number}", b"", made_up(dice, 100))
    kept = b"".join(disk.text(source.source_id) for source in disk.sources())
    secrets = [f"{dice.randrange(10**6):06}".encode() for _ in range(300)]
    put_text(disk, "secret", b"", b" ".join(secrets[:100]))
    put_text(disk, "secret", b" ".join(secrets[:100]), b" ".join(secrets[100:]))
    disk.compact()
    data = disk.path.read_bytes()
    assert sum(secret[2:] in data for secret in secrets[100:]) == 200
    disk.delete_source("secret")
    data = disk.path.read_bytes()
    assert not any(secret[2:] in data for secret in secrets), "four digits of a word remain"
    assert disk.verify() == []
    assert kept


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("INSERT INTO words(words, rowid, leaf) VALUES ('delete', {}, 'dark')", "lacks leaves"),
        ("INSERT INTO words(rowid, leaf) VALUES ({} + 77, 'dark')", "has too many leaves"),
        ("INSERT INTO words(words) VALUES ('delete-all')", "lacks leaves|corruption"),
        ("DELETE FROM words_data WHERE id > 10", "words|damaged|malformed"),
    ],
)
def test_an_index_that_is_not_what_the_texts_say_is_a_fault(
    disk: SQLiteStore, statement: str, fault: str
) -> None:
    put_text(disk, "diary", b"", DIARY)
    (first, *_) = disk.lexical_scores("dark", 9)[0]
    run_sql(disk.path, statement.format(first.source_id << 32 | first.index))
    faults = disk.verify()
    assert faults
    assert re.search(fault, faults[0])


def test_a_source_whose_text_is_damaged_can_be_forgotten(disk: SQLiteStore) -> None:
    put_text(disk, "diary", b"", DIARY)
    put_text(disk, "other", b"", b"An elephant came.")
    run_sql(disk.path, "UPDATE blocks SET crc = 0 WHERE source_id = 1 AND kind = 'text'")
    with pytest.raises(StoreCorrupt):
        disk.text(1)
    disk.delete_source("diary")
    assert disk.verify() == []
    assert found(disk, "lighthouse") == []
    assert found(disk, "elephant")


def test_what_is_forgotten_repairs_a_damaged_index(disk: SQLiteStore) -> None:
    for name in ("diary", "other"):
        put_text(disk, name, b"", DIARY)
    run_sql(disk.path, "UPDATE words_data SET block = x'00' WHERE id > 10")
    assert disk.verify()
    disk.delete_source("other")
    assert disk.verify() == []
    assert {node_id.source_id for node_id in found(disk, "lighthouse")} == {1}


def test_an_old_file_has_no_words_until_it_is_opened_for_writing(tmp_path: Path) -> None:
    path = tmp_path / "old.lmos"
    path.write_bytes(gzip.decompress(OLD_FILE.read_bytes()))
    before = path.read_bytes()
    with SQLiteStore.open(path, read_only=True) as store:
        assert not store.has_words
        assert found(store, "stormy night") == []
        assert store.verify() == []
        assert len(all_ids(store)) > 100
        store.manifest.require_same(MANIFEST)
    assert path.read_bytes() == before
    with SQLiteStore.open(path) as store:
        assert store.has_words
        assert "rmy" in texts(store, found(store, "stormy")[:1])
        assert store.manifest == MANIFEST
        assert store.verify() == []


def test_an_old_file_with_damage_opens_and_what_can_be_read_is_found(tmp_path: Path) -> None:
    path = tmp_path / "old.lmos"
    path.write_bytes(gzip.decompress(OLD_FILE.read_bytes()))
    run_sql(path, "UPDATE blocks SET crc = 0 WHERE source_id = 1 AND kind = 'text'")
    with SQLiteStore.open(path) as store:
        assert {node_id.source_id for node_id in found(store, "thgin ymrots")} == {3}
        assert store.verify()

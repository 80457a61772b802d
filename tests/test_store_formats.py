"""Stores that earlier releases wrote: each opens, reads back, and goes on."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from lmos.nodes import PlaceMark
from lmos.store.memory import MemoryStore
from lmos.store.migrations import MIGRATIONS
from lmos.store.sqlite import SQLiteStore
from trees import MANIFEST, TOKEN_BYTES, observe, patch_between, put_text, tree_of

PLACES = [PlaceMark(0, "page 1"), PlaceMark(60, "page 2")]
DATA = Path(__file__).parent / "data"
FORMATS = range(1, len(MIGRATIONS) + 1)
TEXT = "Déjà vu: it was a dark and stormy night. ".encode() * 20


@pytest.fixture(autouse=True)
def tokens_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files were written when a token of these tests was its first byte."""
    monkeypatch.setattr("trees._token_id", lambda text, token: text[token * TOKEN_BYTES])


def expected(number: int) -> MemoryStore:
    """What the file of a format holds; a source was forgotten between the two."""
    store = MemoryStore(MANIFEST)
    put_text(store, "diary", b"", TEXT)
    put_text(store, "gone", b"", TEXT[:90])
    store.delete_source("gone")
    patch = patch_between(tree_of(b""), tree_of(TEXT[::-1][:200]))
    store.put_source(
        "letter", patch, time=1.5, metadata={"from": "Eva"}, places=PLACES if number >= 3 else ()
    )
    return store


def test_there_is_a_file_of_each_format() -> None:
    names = {path.name for path in DATA.glob("format-*")}
    assert names == {f"format-{number}.lmos.gz" for number in FORMATS}


@pytest.mark.parametrize("number", FORMATS)
def test_a_store_of_each_format_opens_and_goes_on(number: int, tmp_path: Path) -> None:
    path, model = tmp_path / "old.lmos", expected(number)
    path.write_bytes(gzip.decompress((DATA / f"format-{number}.lmos.gz").read_bytes()))
    with SQLiteStore.open(path) as store:
        assert store.manifest == MANIFEST
        assert observe(store) == observe(model)
        for each in (store, model):
            put_text(each, "diary", TEXT, TEXT + b"More.")
            each.delete_source("letter")
        assert observe(store) == observe(model)
    with SQLiteStore.open(path, read_only=True) as store:
        assert observe(store) == observe(model)


@pytest.mark.parametrize("number", FORMATS)
def test_a_store_of_each_format_can_be_shared(number: int, tmp_path: Path) -> None:
    path, model = tmp_path / "old.lmos", expected(number)
    path.write_bytes(gzip.decompress((DATA / f"format-{number}.lmos.gz").read_bytes()))
    with SQLiteStore.open_shared(path) as store:
        assert observe(store) == observe(model)
        for each in (store, model):
            each.delete_source("letter")
        assert observe(store) == observe(model)

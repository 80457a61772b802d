"""A bit flips somewhere in a store file: it is found and named, and the rest can still be read."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from ciphers import PLAIN_OR_ENCRYPTED
from lmos.errors import StoreCorrupt, StoreEncrypted
from lmos.nodes import NodeId, Source
from lmos.store import AbstractStore
from lmos.store.keys import Key
from lmos.store.sqlite import SQLiteStore
from trees import MANIFEST, put_text

TEXTS = {name: random.Random(name).randbytes(700) for name in ("diary", "notes", "letters")}


def content_of(store: AbstractStore, source: Source) -> dict[str, object]:
    """All that a store holds of one source."""
    found = store.source(source.name)
    levels = [
        [NodeId(found.source_id, level, index) for index in range(count)]
        for level, count in enumerate(found.level_counts, 1)
    ]
    return {
        "source": found,
        "text": store.text(found.source_id),
        "places": store.places(found.source_id),
        "windows": store.windows(found.source_id),
        "nodes": [store.nodes(ids) for ids in levels],
        "keys": [store.keys(ids).tolist() for ids in levels],
        "embeddings": [store.embeddings(ids).tolist() for ids in levels],
    }


def sources_named_in(faults: list[str]) -> set[int] | None:
    """Ids of the sources that all the faults are about, `None` if one is about the whole file."""
    found = [
        re.match(r"blocks \((\d+), |(?:windows|sources|places): source (\d+)", text)
        for text in faults
    ]
    return {int(each[1] or each[2]) for each in found if each} if all(found) else None


@pytest.mark.parametrize("key", PLAIN_OR_ENCRYPTED)
@pytest.mark.parametrize("num_flips", [80, pytest.param(3000, marks=pytest.mark.slow)])
def test_after_a_flip_what_is_read_is_right_or_refused(
    tmp_path: Path, num_flips: int, key: Key | None
) -> None:
    path, dice = tmp_path / "context.lmos", random.Random(num_flips)
    with SQLiteStore.create(path, MANIFEST, key) as store:
        sources = [put_text(store, name, b"", text) for name, text in TEXTS.items()]
        expected = [content_of(store, source) for source in sources]
    whole = path.read_bytes()
    used = [at for at, byte in enumerate(whole) if byte]
    num_readable = 0
    for at in dice.choices(used, k=num_flips):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        try:
            with SQLiteStore.open(path, key=key) as store:
                faults = store.verify()
                named = sources_named_in(faults)
                for source, content in zip(sources, expected, strict=True):
                    try:
                        assert content_of(store, source) == content, f"bit at {at}"
                        num_readable += 1
                    except StoreCorrupt:
                        assert faults, f"bit at {at}"
                        assert named is None or source.source_id in named, f"bit at {at}: {faults}"
        except (StoreCorrupt, StoreEncrypted):
            continue
    # Of an encrypted store a flip costs the whole page, and this one has few.
    assert num_readable > (0.6 if key is None else 0.1) * num_flips * len(sources)


def test_a_source_that_the_index_of_names_has_lost_is_not_made_twice(tmp_path: Path) -> None:
    path = tmp_path / "context.lmos"
    with SQLiteStore.create(path, MANIFEST) as store:
        put_text(store, "diary", b"", TEXTS["diary"])
    content = bytearray(path.read_bytes())
    places = [match.start() for match in re.finditer(b"diary", content)]
    assert len(places) == 2, "expected the name in the table and in its index"
    content[places[1]] ^= 1
    path.write_bytes(content)
    with SQLiteStore.open(path) as store:
        for attempt in (store.source, store.find_source, store.delete_source):
            with pytest.raises(StoreCorrupt, match="source 1 is missing in the index of names"):
                attempt("diary")
        with pytest.raises(StoreCorrupt):
            put_text(store, "diary", b"", TEXTS["notes"])
        assert store.text(1) == TEXTS["diary"]

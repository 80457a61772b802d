"""Whatever is done to a store on disk, in whatever order, it shows what one in memory shows."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ciphers import KEY
from lmos.errors import SourceNotFound
from lmos.nodes import Span
from lmos.store.keys import Key
from lmos.store.memory import MemoryStore
from lmos.store.sqlite import SQLiteStore
from trees import MANIFEST, all_ids, observe, put_text

NAMES = st.sampled_from(["a", "b", "c"])
TEXTS = st.binary(max_size=120)
PLACES = st.integers(0, 400)


class TwoStores(RuleBasedStateMachine):
    """One store on disk and its model in memory."""

    key: Key | None = None

    @initialize()
    def make(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "context.lmos"
        self.memory = MemoryStore(MANIFEST)
        self.disk = SQLiteStore.create(self.path, MANIFEST, self.key)
        self.texts: dict[str, bytes] = {}

    @rule(name=NAMES, text=TEXTS, rewrite=st.integers(0, 3))
    def add(self, name: str, text: bytes, rewrite: int) -> None:
        old = self.texts.get(name, b"")
        self.texts[name] = text
        sources = [
            put_text(store, name, old, text, rewrite=rewrite) for store in (self.memory, self.disk)
        ]
        assert sources[0] == sources[1]

    @rule(name=NAMES, more=TEXTS, rewrite=st.integers(0, 3))
    def append(self, name: str, more: bytes, rewrite: int) -> None:
        self.add(name, self.texts.get(name, b"") + more, rewrite)

    @rule(name=NAMES, start=PLACES, stop=PLACES, new=TEXTS)
    def edit(self, name: str, start: int, stop: int, new: bytes) -> None:
        old = self.texts.get(name, b"")
        self.add(name, old[:start] + new + old[stop:], 0)

    @rule(name=NAMES)
    def forget(self, name: str) -> None:
        for store in (self.memory, self.disk):
            if name in self.texts:
                store.delete_source(name)
            else:
                with pytest.raises(SourceNotFound):
                    store.delete_source(name)
        self.texts.pop(name, None)

    @rule()
    def reopen(self) -> None:
        self.disk.close()
        assert [path.name for path in Path(self.folder.name).iterdir()] == ["context.lmos"]
        self.disk = SQLiteStore.open(self.path, key=self.key)

    @precondition(lambda self: self.texts)
    @rule(start=PLACES, stop=PLACES, dice=st.randoms(use_true_random=False))
    def read(self, start: int, stop: int, dice: random.Random) -> None:
        ids = all_ids(self.memory)
        some_ids = dice.choices(ids, k=5) if ids else []
        with SQLiteStore.open(self.path, read_only=True, key=self.key) as reader:
            for source in self.memory.sources():
                found = reader.text(source.source_id, Span(start, stop))
                assert found == self.texts[source.name][start:stop]
                assert reader.windows(source.source_id, 1) == self.memory.windows(
                    source.source_id, 1
                )
            assert reader.nodes(some_ids) == self.memory.nodes(some_ids)
            keys_NK = self.memory.keys(some_ids).bfloat16()
            assert torch.equal(reader.keys(some_ids), keys_NK)

    @invariant()
    def same(self) -> None:
        seen = observe(self.disk)
        assert seen == observe(self.memory)
        assert seen["faults"] == []
        assert self.disk.version == self.memory.version
        assert seen["texts"] == [self.texts[source.name] for source in self.disk.sources()]

    def teardown(self) -> None:
        self.disk.close()
        self.folder.cleanup()


class TwoEncryptedStores(TwoStores):
    """The same with an encrypted file."""

    key = KEY


@pytest.mark.parametrize("place", range(24))
def test_a_patch_between_two_texts_changes_every_byte_that_differs(place: int) -> None:
    old = bytes(range(97, 121))
    new = old[:place] + b"\xff" + old[place + 1 :]
    store = MemoryStore(MANIFEST)
    put_text(store, "a", b"", old)
    source = put_text(store, "a", old, new)
    assert store.text(source.source_id) == new


@pytest.mark.parametrize(
    ("stores", "num_lives", "num_steps"),
    [
        *((TwoStores, 20, 12), (TwoEncryptedStores, 6, 12)),
        pytest.param(TwoStores, 500, 40, marks=pytest.mark.slow),
        pytest.param(TwoEncryptedStores, 300, 40, marks=pytest.mark.slow),
    ],
)
def test_both_stores_show_the_same(stores: type[TwoStores], num_lives: int, num_steps: int) -> None:
    run_state_machine_as_test(
        stores,
        settings=settings(
            deadline=None,
            max_examples=num_lives,
            stateful_step_count=num_steps,
            derandomize=True,
            database=None,
        ),
    )

"""A store outlives kill -9 at any moment: what was acknowledged is there, whole."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from building import assert_same_content, prose, put, small_manifest
from children import child_running
from ciphers import KEY, OTHER_KEY, PLAIN_OR_ENCRYPTED, connected
from conftest import new_llama
from histories import History
from lmos.errors import StoreError, StoreNotFound
from lmos.model.base import BaseModel
from lmos.store import AbstractStore
from lmos.store.keys import Key
from lmos.store.memory import MemoryStore
from lmos.store.sqlite import SQLiteStore
from lmos.upkeep.reencoding import reencode, reencoded_manifest
from lmos.upkeep.rekeying import rekey
from lmos.upkeep.repairing import repair
from trees import MANIFEST, observe

CHANGES_BETWEEN_OPENINGS = 7


def keep_changing(
    path: Path, history: History, key: Key | None
) -> Callable[[Callable[[str], None]], None]:
    """Work for a child: change a store and acknowledge, now and then compact and reopen it."""

    def work(say: Callable[[str], None]) -> None:
        torch.set_num_threads(1)
        while True:
            with SQLiteStore.open(path, key=key) as store:
                version = store.version
                for _ in range(CHANGES_BETWEEN_OPENINGS):
                    history.change(store, version)
                    version += 1
                    say(f"{version}\n")
                store.compact()

    return work


@pytest.mark.parametrize(
    ("num_kills", "key"),
    [
        *(pytest.param(10, None, id="plain"), pytest.param(6, KEY, id="encrypted")),
        *(pytest.param(200, key, marks=pytest.mark.slow) for key in (None, KEY)),
    ],
)
def test_every_acknowledged_change_survives_a_kill(
    tmp_path: Path, num_kills: int, key: Key | None
) -> None:
    path, dice, history = tmp_path / "context.lmos", random.Random(num_kills), History(num_kills)
    SQLiteStore.create(path, MANIFEST, key).close()
    version = 0
    for _ in range(num_kills):
        with child_running(keep_changing(path, history, key)) as child:
            said = child.read()
            time.sleep(dice.uniform(0, 0.15))
            child.kill()
            said += child.read_all()
        acknowledged = [int(line) for line in said.splitlines()]
        assert acknowledged == list(range(version + 1, version + 1 + len(acknowledged)))
        with SQLiteStore.open(path, key=key) as store:
            version = store.version
            assert version - acknowledged[-1] in (0, 1)
            assert observe(store) == history.observed(version)
        assert [file.name for file in tmp_path.iterdir()] == ["context.lmos"]
    assert version > num_kills


@pytest.mark.parametrize("key", PLAIN_OR_ENCRYPTED)
def test_a_store_is_made_whole_or_not_at_all(tmp_path: Path, key: Key | None) -> None:
    dice = random.Random(0)

    def keep_creating(say: Callable[[str], None]) -> None:
        number = len(list(tmp_path.glob("*.lmos")))
        while True:
            SQLiteStore.create(tmp_path / f"{number}.lmos", MANIFEST, key).close()
            number += 1
            say(f"{number}\n")

    for _ in range(4):
        with child_running(keep_creating) as child:
            said = child.read()
            time.sleep(dice.uniform(0, 0.03))
            child.kill()
            said += child.read_all()
        number = int(said.splitlines()[-1])
        for path in tmp_path.glob("*.lmos"):
            with SQLiteStore.open(path, key=key) as store:
                assert observe(store) == observe(MemoryStore(MANIFEST))
        path = tmp_path / f"{number}.lmos"
        if not path.exists():
            with pytest.raises(StoreNotFound):
                SQLiteStore.open(path, key=key)
            SQLiteStore.create(path, MANIFEST, key).close()
    assert {path.suffix for path in tmp_path.iterdir()} == {".lmos"}


# Whole stores that take the place of others


@dataclass(frozen=True)
class Swap:
    """A store at a path, and what goes on there again and again.

    Attributes:
        path: Of the store.
        turn: Puts another store there; killed somewhere in it.
        wholes: What the store may hold before and after.
        keys: What it may be encrypted with before and after.
    """

    path: Path
    turn: Callable[[], object]
    wholes: tuple[AbstractStore, ...]
    keys: tuple[Key | None, ...]

    def opened(self) -> SQLiteStore:
        """The store, with the one key that opens it."""
        for key in self.keys:
            with suppress(StoreError):
                return SQLiteStore.open(self.path, key=key)
        raise AssertionError("no key opens it")


@pytest.fixture(params=["reencode", "repair", "rekey", "reencode, encrypted", "repair, encrypted"])
def swap(
    request: pytest.FixtureRequest, tmp_path: Path, tiny_llama: BaseModel, tokenizer_folder: Path
) -> Swap:
    path, (what, *encrypted) = tmp_path / "context.lmos", request.param.split(", ")
    key = KEY if encrypted else None
    keys = (None, KEY, OTHER_KEY) if what == "rekey" else (key,)
    other = new_llama(tokenizer_folder, seed=5)
    models = (tiny_llama, other) if what == "reencode" else (tiny_llama,)
    wholes = []
    for model in models:
        wholes.append(MemoryStore(reencoded_manifest(model, small_manifest(model))))
        for name in ("diary", "notes"):
            put(wholes[-1], model, name, prose(60), time=0.0)
    with SQLiteStore.create(path, wholes[0].manifest, key) as store:
        for name in ("diary", "notes"):
            put(store, tiny_llama, name, prose(60), time=0.0)

    def reencode_for_the_other() -> None:
        with SQLiteStore.open(path, read_only=True, key=key) as store:
            is_mine = store.manifest.base_hash == tiny_llama.base_hash
        reencode(path, other if is_mine else tiny_llama, key=key)

    def damage_and_repair() -> None:
        with closing(connected(path, key)) as db:
            db.execute("UPDATE blocks SET data = zeroblob(1) WHERE kind = 'keys'")
        repair(path, tiny_llama, key=key)

    def rekey_to_the_next() -> None:
        with Swap(path, rekey_to_the_next, (), keys).opened() as store:
            old = store.key
        rekey(path, old, keys[(keys.index(old) + 1) % len(keys)])

    turns = {
        "reencode": reencode_for_the_other,
        "repair": damage_and_repair,
        "rekey": rekey_to_the_next,
    }
    return Swap(path, turns[what], tuple(wholes), keys)


@pytest.mark.parametrize("num_kills", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_a_store_that_takes_the_place_of_another_is_whole(swap: Swap, num_kills: int) -> None:
    dice, path = random.Random(num_kills), swap.path

    def keep_turning(say: Callable[[str], None]) -> None:
        torch.set_num_threads(1)
        while True:
            say("turn\n")
            swap.turn()

    for _ in range(num_kills):
        with child_running(keep_turning) as child:
            assert child.read().startswith("turn")
            time.sleep(dice.uniform(0, 0.5))
            child.kill()
            assert set(child.read_all().split()) <= {"turn"}
        with swap.opened() as store:
            (whole,) = (
                whole
                for whole in swap.wholes
                if whole.manifest.base_hash == store.manifest.base_hash
            )
            texts = [store.text(source.source_id) for source in store.sources()]
            assert texts == [prose(60).encode()] * 2
            if not store.verify():
                assert_same_content(store, whole)
    swap.turn()
    with swap.opened() as store:
        assert store.verify() == []
    assert [file.name for file in path.parent.iterdir()] == [path.name]

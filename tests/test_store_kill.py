"""A store outlives kill -9 at any moment: what was acknowledged is there, whole."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from children import child_running
from lmos.errors import StoreNotFound
from lmos.store.memory import MemoryStore
from lmos.store.sqlite import SQLiteStore
from trees import MANIFEST, observe, put_text

STREAM = random.Random(0).randbytes(2000)


def text_after(num_puts: int) -> bytes:
    """The text of the source after some puts: it grows, and now and then is cut."""
    return STREAM[: num_puts * 67 % len(STREAM)]


def keep_putting(path: Path) -> Callable[[Callable[[str], None]], None]:
    """Work for a child: put and acknowledge until it is killed."""

    def work(say: Callable[[str], None]) -> None:
        torch.set_num_threads(1)
        store = SQLiteStore.open(path)
        version = store.version
        while True:
            put_text(store, "diary", text_after(version), text_after(version + 1))
            version += 1
            say(f"{version}\n")

    return work


@pytest.mark.parametrize("num_kills", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_every_acknowledged_put_survives_a_kill(tmp_path: Path, num_kills: int) -> None:
    path, dice = tmp_path / "context.lmos", random.Random(num_kills)
    SQLiteStore.create(path, MANIFEST).close()
    version = 0
    for _ in range(num_kills):
        with child_running(keep_putting(path)) as child:
            said = child.read()
            time.sleep(dice.uniform(0, 0.15))
            child.kill()
            said += child.read_all()
        acknowledged = [int(line) for line in said.splitlines()]
        assert acknowledged == list(range(version + 1, version + 1 + len(acknowledged)))
        with SQLiteStore.open(path) as store:
            version = store.version
            assert version - acknowledged[-1] in (0, 1)
            expected = MemoryStore(MANIFEST)
            put_text(expected, "diary", b"", text_after(version))
            assert observe(store) == observe(expected)
        assert [file.name for file in tmp_path.iterdir()] == ["context.lmos"]
    assert version > num_kills


def test_a_store_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    dice = random.Random(0)

    def keep_creating(say: Callable[[str], None]) -> None:
        number = len(list(tmp_path.glob("*.lmos")))
        while True:
            SQLiteStore.create(tmp_path / f"{number}.lmos", MANIFEST).close()
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
            with SQLiteStore.open(path) as store:
                assert observe(store) == observe(MemoryStore(MANIFEST))
        path = tmp_path / f"{number}.lmos"
        if not path.exists():
            with pytest.raises(StoreNotFound):
                SQLiteStore.open(path)
            SQLiteStore.create(path, MANIFEST).close()
    assert {path.suffix for path in tmp_path.iterdir()} == {".lmos"}

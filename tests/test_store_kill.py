"""A store outlives kill -9 at any moment: what was acknowledged is there, whole."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from children import child_running
from histories import History
from lmos.errors import StoreNotFound
from lmos.store.memory import MemoryStore
from lmos.store.sqlite import SQLiteStore
from trees import MANIFEST, observe

CHANGES_BETWEEN_OPENINGS = 7


def keep_changing(path: Path, history: History) -> Callable[[Callable[[str], None]], None]:
    """Work for a child: change a store and acknowledge, now and then reopen it, until killed."""

    def work(say: Callable[[str], None]) -> None:
        torch.set_num_threads(1)
        while True:
            with SQLiteStore.open(path) as store:
                version = store.version
                for _ in range(CHANGES_BETWEEN_OPENINGS):
                    history.change(store, version)
                    version += 1
                    say(f"{version}\n")

    return work


@pytest.mark.parametrize("num_kills", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_every_acknowledged_change_survives_a_kill(tmp_path: Path, num_kills: int) -> None:
    path, dice, history = tmp_path / "context.lmos", random.Random(num_kills), History(num_kills)
    SQLiteStore.create(path, MANIFEST).close()
    version = 0
    for _ in range(num_kills):
        with child_running(keep_changing(path, history)) as child:
            said = child.read()
            time.sleep(dice.uniform(0, 0.15))
            child.kill()
            said += child.read_all()
        acknowledged = [int(line) for line in said.splitlines()]
        assert acknowledged == list(range(version + 1, version + 1 + len(acknowledged)))
        with SQLiteStore.open(path) as store:
            version = store.version
            assert version - acknowledged[-1] in (0, 1)
            assert observe(store) == history.observed(version)
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

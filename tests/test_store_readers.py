"""Readers in other processes beside a writer: whatever they read is one commit, whole."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from children import child_running
from ciphers import KEY
from histories import History
from lmos.store.keys import Key
from lmos.store.sqlite import SQLiteStore
from trees import MANIFEST, observe

NUM_READERS = 8
READS_BETWEEN_OPENINGS = 5

Work = Callable[[Callable[[str], None]], None]


def write(path: Path, num_changes: int, key: Key | None) -> Work:
    """Work for a child: make all changes as fast as it can."""

    def work(say: Callable[[str], None]) -> None:
        torch.set_num_threads(1)
        history = History(5)
        with SQLiteStore.open(path, key=key) as store:
            for version in range(num_changes):
                history.change(store, version)
            say("done")

    return work


def read(path: Path, num_changes: int, key: Key | None) -> Work:
    """Work for a child: read until the last change is seen, now and then from a new connection."""

    def work(say: Callable[[str], None]) -> None:
        torch.set_num_threads(1)
        history, version = History(5), 0
        while version < num_changes:
            with SQLiteStore.open(path, read_only=True, key=key) as store:
                for _ in range(READS_BETWEEN_OPENINGS):
                    with store.snapshot():
                        assert store.version >= version, "an acknowledged change is gone"
                        version = store.version
                        assert observe(store) == history.observed(version), f"at {version}"
                        assert store.version == version, "the snapshot moved"
                    say(f"{version}\n")

    return work


@pytest.mark.parametrize(
    ("num_changes", "key"),
    [
        *(pytest.param(25, None, id="plain"), pytest.param(8, KEY, id="encrypted")),
        *(pytest.param(5000, key, marks=pytest.mark.slow) for key in (None, KEY)),
    ],
)
def test_every_reader_sees_whole_commits_while_one_process_writes(
    tmp_path: Path, num_changes: int, key: Key | None
) -> None:
    path = tmp_path / "context.lmos"
    SQLiteStore.create(path, MANIFEST, key).close()
    with ExitStack() as ending:
        readers = [
            ending.enter_context(child_running(read(path, num_changes, key)))
            for _ in range(NUM_READERS)
        ]
        for reader in readers:
            assert reader.read()[:2] == "0\n"
        writer = ending.enter_context(child_running(write(path, num_changes, key)))
        assert writer.read_all() == "done"
        seen = [reader.read_all().split() for reader in readers]
    assert [versions[-1] for versions in seen] == [str(num_changes)] * NUM_READERS
    between = {version for versions in seen for version in versions} - {"0", str(num_changes)}
    assert between
    # Readers that close at the same moment leave the log to the next one.
    SQLiteStore.open(path, key=key).close()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]

"""Replicas of the server on Ray Serve: one dies under load, and nothing acknowledged is lost."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from conftest import new_llama
from lmos.errors import ConfigError
from lmos.server.keys import add_key
from lmos.server.replicas import application
from lmos.server.running import listen
from lmos.session import Session
from lmos.store.sqlite import SQLiteStore

PATIENCE_SECONDS = 300.0
WRITES_BETWEEN = 6
TITLES = (b"SERVE_REPLICA::default#lmos", b"ServeReplica:default:lmos")


@contextmanager
def replicas_of(folder: Path, model: Path, keys: Path) -> Iterator[str]:
    """Two replicas on a cluster of this machine, which is gone afterwards; their address."""
    import ray
    from ray import serve

    source = str(Path(__file__).parent.parent / "src")
    ray.init(
        num_cpus=4,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": source, "OMP_NUM_THREADS": "1"}},
    )
    try:
        with listen("127.0.0.1", 0) as listener:
            port = listener.getsockname()[1]
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        arguments = {"folder": folder, "keys": keys, "model": model, "replicas": 2}
        serve.run(application({name: str(each) for name, each in arguments.items()}))
        yield f"http://127.0.0.1:{port}"
    finally:
        serve.shutdown()
        ray.shutdown()


def replica_ids() -> set[int]:
    """Of the processes that serve."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes()
        except OSError:
            continue
        if words.startswith(b"ray::") and any(name in words for name in TITLES):
            found.add(int(entry.parent.name))
    return found


def wait_until(is_so: Any) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_replica_dies_under_load_and_nothing_acknowledged_is_lost(
    tokenizer_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray.serve")
    model, folder, keys = new_llama(tokenizer_folder), tmp_path / "stores", tmp_path / "keys.json"
    model.is_trained = True
    model.save_pretrained(tmp_path / "model")
    folder.mkdir()
    Session.create(folder / "life.lmos", model).close()
    key, _ = add_key(keys, "life", can_write=True)
    headers = {"Authorization": f"Bearer {key}"}
    acknowledged: list[str] = []
    is_over = threading.Event()

    def write(who: int) -> None:
        number = 0
        # A connection each, so that both replicas are written to.
        while not is_over.is_set():
            number += 1
            line = f"Fact {who}.{number}."
            body = {"name": "notes", "text": line}
            try:
                reply = httpx.post(
                    f"{url}/stores/life/sources/append", json=body, headers=headers, timeout=60
                )
            except httpx.TransportError:
                continue
            if reply.is_success:
                acknowledged.append(line)

    with replicas_of(folder, tmp_path / "model", keys) as url:
        assert httpx.get(f"{url}/stores", timeout=60).status_code == 401
        wait_until(lambda: len(replica_ids()) == 2)
        before = replica_ids()
        writers = [threading.Thread(target=write, args=(who,)) for who in range(3)]
        for writer in writers:
            writer.start()
        try:
            wait_until(lambda: len(acknowledged) >= WRITES_BETWEEN)
            os.kill(min(before), signal.SIGKILL)
            so_far = len(acknowledged)
            wait_until(lambda: len(acknowledged) >= so_far + WRITES_BETWEEN)
            # Another takes its place.
            wait_until(lambda: len(replica_ids()) == 2 and replica_ids() != before)
            so_far = len(acknowledged)
            wait_until(lambda: len(acknowledged) >= so_far + WRITES_BETWEEN)
        finally:
            is_over.set()
            for writer in writers:
                writer.join()
        place = {"source": "notes"}
        told = httpx.get(f"{url}/stores/life/text", params=place, headers=headers, timeout=60)
    with SQLiteStore.open(folder / "life.lmos", read_only=True) as store:
        assert store.verify() == []
        lines = store.text(1).decode().splitlines()
    assert told.json()["text"].splitlines() == lines
    assert set(acknowledged) <= set(lines)
    assert len(set(lines)) == len(lines)


def test_what_cannot_be_deployed_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected folder=FOLDER keys=FILE"):
        application({"folder": str(tmp_path)})
    with pytest.raises(ConfigError, match="got folder=a keys=b speed=fast"):
        application({"folder": "a", "keys": "b", "speed": "fast"})
    named = {"folder": str(tmp_path), "keys": str(tmp_path / "keys.json")}
    with pytest.raises(ConfigError, match="replicas: expected a number from 1 on, got 'two'"):
        application({**named, "replicas": "two"})
    with pytest.raises(ConfigError, match="lmos keys add"):
        application(named)

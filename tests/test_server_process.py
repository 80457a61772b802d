"""`lmos serve` as a process of its own: it says where it is, serves, and stops when told to."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from commands import failure
from lmos.model.base import BaseModel
from lmos.store.sqlite import SQLiteStore

SOURCE_FOLDER = Path(__file__).parent.parent / "src"
PATIENCE_SECONDS = 120


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=lambda stop: stop.name)
def test_it_serves_until_it_is_told_to_stop(
    tiny_llama: BaseModel, tmp_path: Path, stop: signal.Signals
) -> None:
    tiny_llama.save_pretrained(tmp_path / "model")
    (tmp_path / "stores").mkdir()
    command = ("serve", tmp_path / "stores", "--port", "0", "--model", tmp_path / "model")
    with subprocess.Popen(
        [sys.executable, "-m", "lmos.cli", *map(str, command)],
        env={**os.environ, "PYTHONPATH": str(SOURCE_FOLDER)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        told = next(line for line in lines if line.startswith("serving"))
        found = re.search(r"http://127\.0\.0\.1:\d+", told)
        assert found is not None
        with httpx.Client(base_url=found[0], timeout=PATIENCE_SECONDS) as client:
            client.post("/stores", json={"name": "life"}).raise_for_status()
            body = {"name": "diary", "text": "The lock opens with 4812."}
            client.post("/stores/life/sources", json=body).raise_for_status()
        process.send_signal(stop)
        rest = process.stderr.read()
        assert process.wait(PATIENCE_SECONDS) == 0, rest
    assert "Traceback" not in rest
    events = [json.loads(line)["event"] for line in rest.splitlines() if line.startswith("{")]
    assert events[-1] == "stopped"
    assert rest.rstrip().endswith("\nstopped")
    with SQLiteStore.open(tmp_path / "stores" / "life.lmos", read_only=True) as store:
        assert store.text(1) == b"The lock opens with 4812."
    assert not list(tmp_path.glob("stores/life.lmos-*"))


def test_a_server_that_cannot_be_started_says_why(tmp_path: Path) -> None:
    assert "expected a folder of stores" in failure("serve", tmp_path / "missing")
    assert "--keys FILE" in failure("serve", tmp_path, "--host", "0.0.0.0")
    missing = failure("serve", tmp_path, "--keys", tmp_path / "keys.json")
    assert "lmos keys add" in missing

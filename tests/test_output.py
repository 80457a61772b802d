"""Output as other programs and terminals get it, by the real command in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from building import put, small_manifest
from lmos.model.base import BaseModel
from lmos.store.sqlite import SQLiteStore

NAME = "世界/" + "long " * 40 + "café.md"


SOURCE_FOLDER = Path(__file__).parent.parent / "src"


def printed(*arguments: object, encoding: str) -> str:
    """Standard output of a command, in an encoding."""
    result = subprocess.run(
        [sys.executable, "-m", "lmos.cli", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(SOURCE_FOLDER), "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert b"Traceback" not in result.stderr
    return result.stdout.decode(encoding)


@pytest.fixture
def store(tiny_llama: BaseModel, tmp_path: Path) -> Path:
    path = tmp_path / "life.lmos"
    with SQLiteStore.create(path, small_manifest(tiny_llama)) as written:
        put(written, tiny_llama, NAME, "A fox sleeps.")
    return path


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_any_encoding_will_do(store: Path, encoding: str) -> None:
    shown = printed("sources", store, encoding=encoding)
    assert "caf" in shown
    assert ("世界" in shown) == (encoding == "utf-8")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_json_loses_nothing_in_any_encoding(store: Path, encoding: str) -> None:
    (source,) = json.loads(printed("sources", store, "--json", encoding=encoding))
    assert source["name"] == NAME


def test_passages_are_shown_in_any_encoding(
    store: Path, tiny_llama: BaseModel, tmp_path: Path
) -> None:
    tiny_llama.save_pretrained(tmp_path / "model")
    asked = ("retrieve", store, "Où, 世界?", "--explain", "--model", tmp_path / "model")
    shown = printed(*asked, encoding="ascii")
    assert " -> " in shown
    assert "\\u4e16\\u754c/long" in shown


def test_a_pipe_gets_names_whole(store: Path) -> None:
    assert NAME in printed("sources", store, encoding="utf-8")

"""Commands in processes of their own: pipes, signals, and a store that outlives them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commands import output, texts_in
from lmos.model.base import BaseModel
from lmos.store.sqlite import SQLiteStore

SOURCE_FOLDER = Path(__file__).parent.parent / "src"
PATIENCE_SECONDS = 600
# A shell starts what runs in the background deaf to Ctrl-C; a terminal does not.
COMMAND = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("lmos.cli", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def store(tiny_llama: BaseModel, tmp_path: Path) -> Path:
    tiny_llama.save_pretrained(tmp_path / "model")
    output("new", tmp_path / "life.lmos", "--model", tmp_path / "model")
    return tmp_path / "life.lmos"


def start(*arguments: object, stdin: int | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(SOURCE_FOLDER)},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_what_one_process_adds_another_finds(store: Path) -> None:
    with start("add", store, "-", "--source", "diary", stdin=subprocess.PIPE) as adding:
        added, notes = adding.communicate("The lock opens with 4812.", PATIENCE_SECONDS)
    assert adding.returncode == 0
    assert added.startswith("added diary (")
    assert notes.splitlines()[0].startswith("warning: ")
    with start("ask", store, "What opens the lock?", "--json") as asking:
        answer, _ = asking.communicate(timeout=PATIENCE_SECONDS)
    assert asking.returncode == 0
    citations = json.loads(answer)["citations"]
    assert {citation["source"] for citation in citations} == {"diary"}


def test_an_interrupted_add_leaves_whole_sources(store: Path, tmp_path: Path) -> None:
    small, large = tmp_path / "small.txt", tmp_path / "large.txt"
    small.write_text("A few words.")
    large.write_text("A great many more words than that. " * 100_000)
    with start("add", store, small, large) as adding:
        assert adding.stdout is not None
        assert adding.stdout.readline().startswith(f"added {small}")
        time.sleep(0.3)
        adding.send_signal(signal.SIGINT)
        _, notes = adding.communicate(timeout=PATIENCE_SECONDS)
    assert adding.returncode == 130
    assert notes.splitlines()[-1] == "interrupted; nothing half-written, 1 of 2 sources done"
    assert "Traceback" not in notes
    assert texts_in(store) == {str(small): "A few words."}
    assert not list(tmp_path.glob("life.lmos-*"))
    output("add", store, "-", "--source", "after", stdin="And on.")
    assert set(texts_in(store)) == {str(small), "after"}


# Several at once


def test_two_adds_at_once_both_succeed(store: Path) -> None:
    adding = [
        start("add", store, "-", "--source", name, stdin=subprocess.PIPE) for name in ("a", "b")
    ]
    for process, text in zip(adding, ("One. " * 200, "Two. " * 200), strict=True):
        assert process.stdin is not None
        process.stdin.write(text)
        process.stdin.close()
    for process in adding:
        with process:
            assert process.wait(PATIENCE_SECONDS) == 0
    assert texts_in(store) == {"a": "One. " * 200, "b": "Two. " * 200}
    assert not list(store.parent.glob("life.lmos-*"))


def test_an_add_waits_for_who_writes_and_says_for_whom(store: Path) -> None:
    # A machine that is busy may stop this process for long.
    command = ("add", store, "-", "--source", "diary", "--wait", PATIENCE_SECONDS)
    with start(*command, stdin=subprocess.PIPE) as adding:
        assert adding.stdin is not None
        assert adding.stderr is not None
        with SQLiteStore.open(store):
            adding.stdin.write("Rain.")
            adding.stdin.close()
            line = adding.stderr.readline()
            assert line.startswith(f"waiting for process {os.getpid()} (")
        assert adding.wait(PATIENCE_SECONDS) == 0
    assert texts_in(store) == {"diary": "Rain."}


def test_an_add_that_waited_in_vain_names_the_holder(store: Path) -> None:
    with SQLiteStore.open(store):
        command = ("add", store, "-", "--source", "diary", "--wait", "0.2")
        with start(*command, stdin=subprocess.PIPE) as adding:
            _, notes = adding.communicate("Rain.", PATIENCE_SECONDS)
    assert adding.returncode == 1
    assert f"error: process {os.getpid()} (" in notes
    assert "waited 0.2 s" in notes
    assert texts_in(store) == {}
    (kept,) = store.parent.glob("*-piped-*.txt")
    assert f"What was piped is kept in {kept}: add that file" in notes
    assert kept.read_text() == "Rain."


def test_an_open_chat_keeps_nobody_from_adding(store: Path) -> None:
    with start("chat", store, "--json", stdin=subprocess.PIPE) as talking:
        assert talking.stdin is not None
        assert talking.stdout is not None

        def tell(text: str) -> None:
            assert talking.stdin is not None
            assert talking.stdout is not None
            talking.stdin.write(f"/tell {text}\n")
            talking.stdin.flush()
            assert json.loads(talking.stdout.readline())["told"] == text

        tell("Greta has a bicycle.")
        output("add", store, "-", "--source", "diary", "--wait", "0", stdin="Eva has a piano.")
        tell("Hugo has a boat.")
        output("forget", store, "diary", "--yes", "--wait", "0")
        talking.stdin.close()
        assert talking.wait(PATIENCE_SECONDS) == 0
    assert texts_in(store) == {"chat": "Greta has a bicycle.\nHugo has a boat.\n"}
    assert not list(store.parent.glob("life.lmos-*"))


def test_a_killed_add_lets_the_next_one_in(store: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.txt"
    large.write_text("A great many more words than that. " * 100_000)
    with start("add", store, large) as adding:
        holder = store.with_name("life.lmos-holder")
        while not holder.exists():
            time.sleep(0.05)
        adding.kill()
    output("add", store, "-", "--source", "after", stdin="And on.")
    assert texts_in(store) == {"after": "And on."}
    assert not list(store.parent.glob("life.lmos-*"))

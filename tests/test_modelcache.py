"""The cache of made models: whole or not there, whoever is killed and however many want one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from children import child_running
from lmos.errors import ModelError
from lmos.model.cache import (
    CACHE_VARIABLE,
    COMPLETE_FILE,
    WEIGHTS_FILE,
    cache_folder,
    entry_folder,
    is_whole,
    make_entry,
    read_about,
)

KEY = "abc-1"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def fill(folder: Path) -> None:
    (folder / WEIGHTS_FILE).write_bytes(b"weights")
    (folder / "config.json").write_text("{}")


def must_not_run(folder: Path) -> None:
    raise AssertionError("made again")


def names_beside(entry: Path) -> set[str]:
    return {path.name for path in entry.parent.iterdir()} - {f"{KEY}.lock"}


def test_a_model_is_made_once() -> None:
    entry = make_entry(KEY, fill, "mine")
    assert is_whole(entry)
    assert (entry / WEIGHTS_FILE).read_bytes() == b"weights"
    assert read_about(entry)["name"] == "mine"
    assert make_entry(KEY, must_not_run, "mine") == entry == entry_folder(KEY)
    assert names_beside(entry) == {KEY}


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: (entry / WEIGHTS_FILE).write_bytes(b"weight"),
        lambda entry: (entry / "config.json").unlink(),
        lambda entry: (entry / COMPLETE_FILE).unlink(),
        lambda entry: (entry / COMPLETE_FILE).write_text("{"),
        lambda entry: (entry / COMPLETE_FILE).write_text("[]"),
        lambda entry: (entry / COMPLETE_FILE).write_text('{"sizes": {}}'),
    ],
)
def test_what_is_damaged_is_made_anew(damage: Callable[[Path], object]) -> None:
    entry = make_entry(KEY, fill, "mine")
    damage(entry)
    assert not is_whole(entry)
    assert is_whole(make_entry(KEY, fill, "mine"))
    assert names_beside(entry) == {KEY}


def test_a_failure_leaves_nothing() -> None:
    def fail(folder: Path) -> None:
        fill(folder)
        raise ModelError("no such architecture")

    with pytest.raises(ModelError, match="no such architecture"):
        make_entry(KEY, fail, "mine")
    assert names_beside(entry_folder(KEY)) == set()


def test_who_is_killed_half_way_leaves_nothing_that_counts() -> None:
    def work(say: Callable[[str], None]) -> None:
        def half(folder: Path) -> None:
            fill(folder)
            say("half")
            time.sleep(60)

        make_entry(KEY, half, "mine")

    entry = entry_folder(KEY)
    with child_running(work) as child:
        assert child.read() == "half"
    assert not entry.exists()
    assert len(names_beside(entry)) == 1
    assert is_whole(make_entry(KEY, fill, "mine"))
    assert names_beside(entry) == {KEY}


def test_of_two_processes_one_makes_it(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def work(say: Callable[[str], None]) -> None:
        def slowly(folder: Path) -> None:
            with log.open("a") as opened:
                opened.write("made\n")
            say("making ")
            time.sleep(0.3)
            fill(folder)

        say(f"whole={is_whole(make_entry(KEY, slowly, 'mine'))} ")

    with child_running(work) as first:
        assert first.read() == "making "
        with child_running(work) as second:
            assert second.read_all() == "whole=True "
        assert first.read_all() == "whole=True "
    assert log.read_text() == "made\n"


@pytest.mark.parametrize("kind", ["below a file", "closed"])
def test_a_cache_that_cannot_be_written_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    folder = tmp_path / "folder"
    if kind == "closed":
        folder.mkdir(mode=0o500)
        if os.access(folder, os.W_OK):
            pytest.skip("this user may write everywhere")
    else:
        folder.write_text("a file")
    monkeypatch.setenv(CACHE_VARIABLE, str(folder / "cache"))
    with pytest.raises(ModelError, match=f"cannot be written.*{CACHE_VARIABLE}"):
        make_entry(KEY, must_not_run, "mine")


def test_a_disk_that_is_full_says_so_and_leaves_nothing() -> None:
    def fill_the_disk(folder: Path) -> None:
        fill(folder)
        raise OSError(28, "No space left on device")

    with pytest.raises(ModelError, match=r"mine is prepared once.*No space left"):
        make_entry(KEY, fill_the_disk, "mine")
    assert names_beside(entry_folder(KEY)) == set()


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.setenv(CACHE_VARIABLE, "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "lmos"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / "home" / ".cache" / "lmos"
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_folder() == tmp_path / "home" / "Library" / "Caches" / "lmos"

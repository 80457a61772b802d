"""A real store made equal to a real folder, and broken off anywhere."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest

from building import prose
from children import child_running
from lmos.errors import DataError, StoreError
from lmos.model.base import BaseModel
from lmos.session import Session
from lmos.upkeep.folders import Choice
from lmos.upkeep.syncing import sync

RATIOS = (16, 4, 2)
BEFORE = {"a.md": prose(120), "b.md": prose(60, seed=2), "deep/c.md": prose(80, seed=3)}
AFTER = {
    "a.md": prose(120) + "More.",
    "moved/b.md": prose(60, seed=2),
    "new.md": prose(40, seed=5),
}


@pytest.fixture(autouse=True)
def current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vault lies in the current folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def session(tiny_llama: BaseModel, tmp_path: Path) -> Iterator[Session]:
    write(BEFORE)
    with Session.create(tmp_path / "life.lmos", tiny_llama, RATIOS) as session:
        session.add("diary", "Not of a file.", time=1.0)
        list(sync(session, "vault"))
        yield session


def write(texts: dict[str, str]) -> None:
    """Let the vault hold these texts and no others; those that are there keep their time."""
    for path in Path("vault").rglob("*.md"):
        path.unlink()
    for number, (name, text) in enumerate(texts.items(), 1):
        path = Path("vault") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        os.utime(path, (number, 1000 * number))


def assert_equal(session: Session, texts: dict[str, str]) -> None:
    store = session.store
    assert store.verify() == []
    found = {source.name: store.text(source.source_id).decode() for source in store.sources()}
    expected = {f"vault/{name}": text for name, text in texts.items()}
    assert found == {"diary": "Not of a file.", **expected}
    assert list(sync(session, "vault")) == []


def test_a_store_becomes_equal_to_a_folder(session: Session) -> None:
    assert_equal(session, BEFORE)
    write(AFTER)
    steps = [(step.action, step.name) for step in sync(session, "vault")]
    assert steps == [
        ("rename", "vault/moved/b.md"),
        ("update", "vault/a.md"),
        ("add", "vault/new.md"),
        ("forget", "vault/deep/c.md"),
    ]
    assert_equal(session, AFTER)
    times = {source.name: source.time for source in session.sources()}
    assert times == {
        "diary": 1.0,
        "vault/a.md": 1000.0,
        "vault/moved/b.md": 2000.0,
        "vault/new.md": 3000.0,
    }
    assert session.verify(deep=8) == []


def test_what_is_renamed_is_the_same_source(session: Session) -> None:
    before = session.store.source("vault/b.md")
    session.add("vault/b.md", BEFORE["b.md"], metadata={"kind": "note"})
    Path("vault/b.md").rename("vault/z.md")
    (step,) = sync(session, "vault")
    after = session.store.source("vault/z.md")
    assert (step.action, step.old_name) == ("rename", "vault/b.md")
    assert after.source_id == before.source_id
    assert after.metadata == {"kind": "note"}


@pytest.mark.parametrize("num_steps", range(5))
def test_it_can_be_broken_off_after_any_step(session: Session, num_steps: int) -> None:
    write(AFTER)
    assert len(list(islice(sync(session, "vault"), num_steps))) == num_steps
    assert session.verify() == []
    list(sync(session, "vault"))
    assert_equal(session, AFTER)


def test_a_kill_leaves_a_whole_store(session: Session, tiny_llama: BaseModel) -> None:
    path = Path("life.lmos").absolute()
    session.close()
    for turn in range(3):
        write(AFTER if turn % 2 == 0 else BEFORE)

        def work(say: Callable[[str], None]) -> None:
            with Session.open(path, tiny_llama) as own:
                say("open")
                list(sync(own, "vault"))
                time.sleep(60)

        with child_running(work) as child:
            assert child.read() == "open"
            time.sleep(0.03 * turn)
            child.kill()
        with Session.open(path, tiny_llama) as own:
            assert own.verify() == []
            list(sync(own, "vault"))
            assert_equal(own, AFTER if turn % 2 == 0 else BEFORE)


def test_an_emptied_folder_is_not_taken_at_its_word(session: Session) -> None:
    write({})
    with pytest.raises(StoreError, match="vault: most of what the store has from there is gone"):
        list(sync(session, "vault"))
    assert len(session.sources()) == 4
    assert len(list(sync(session, "vault", even_drastic=True))) == 3
    assert [source.name for source in session.sources()] == ["diary"]


def test_a_file_that_vanishes_on_the_way_stops_it(session: Session) -> None:
    write({**BEFORE, "y.md": "y", "z.md": "z"})
    steps = sync(session, "vault", Choice(exclude=("deep",)))
    assert next(steps).name == "vault/y.md"
    Path("vault/z.md").unlink()
    with pytest.raises(DataError, match=r"vault/z\.md: No such file"):
        next(steps)
    assert session.verify() == []


def test_no_folder_forgets_nothing(session: Session) -> None:
    with pytest.raises(DataError, match="expected a folder"):
        list(sync(session, "none"))
    assert len(session.sources()) == 4

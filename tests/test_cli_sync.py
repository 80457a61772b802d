"""`lmos sync` and `lmos forget` with several names: what they say, do and leave alone."""

from __future__ import annotations

import importlib
import os
import shutil
from pathlib import Path

import pytest

from commands import failure, output, run, texts_in, values
from lmos.model.base import BaseModel

NOTES = {"a.md": "Note a. " * 9, "b.md": "Note b. " * 7, "deep/c.txt": "Note c. " * 8}
NOTHING = {"added": 0, "updated": 0, "renamed": 0, "forgotten": 0, "unchanged": 0, "skipped": 0}


@pytest.fixture(scope="module")
def empty(tiny_llama: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_llama.save_pretrained(folder / "model")
    output("new", folder / "life.lmos", "--model", folder / "model", "--ratio", "8,3")
    output("add", folder / "life.lmos", "-", "--source", "diary", stdin="Rain.")
    return folder / "life.lmos"


@pytest.fixture
def store(empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with the notes of the current folder and a diary."""
    monkeypatch.chdir(tmp_path)
    for name, text in NOTES.items():
        path = tmp_path / "notes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    path = Path(shutil.copy(empty, tmp_path / "life.lmos"))
    output("sync", path, "notes")
    return path


def change_notes() -> None:
    """One note of each kind of change."""
    Path("notes/a.md").write_text("Note A. " * 9)
    Path("notes/b.md").rename("notes/deep/d.md")
    Path("notes/deep/c.txt").unlink()
    Path("notes/new.md").write_text("Note e.")


# sync


def test_sync_makes_a_store_equal_to_a_folder(store: Path) -> None:
    assert set(texts_in(store)) == {"diary", *(f"notes/{name}" for name in NOTES)}
    change_notes()
    result = run("sync", store, "notes")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "renamed notes/b.md to notes/deep/d.md",
        "updated notes/a.md",
        "added notes/new.md",
        "forgot notes/deep/c.txt",
    ]
    assert result.stderr.splitlines()[-1] == (
        "1 added, 1 updated, 1 renamed, 1 forgotten, 0 unchanged, 0 skipped"
    )
    assert texts_in(store) == {
        "diary": "Rain.",
        "notes/a.md": "Note A. " * 9,
        "notes/deep/d.md": NOTES["b.md"],
        "notes/new.md": "Note e.",
    }


def test_sync_again_changes_nothing(store: Path) -> None:
    before = store.read_bytes()
    for folder in ("notes", "./notes/", Path("notes").absolute()):
        result = values("sync", store, folder)
        assert {key: result[key] for key in NOTHING} == {**NOTHING, "unchanged": 3}
        assert result["steps"] == []
    assert store.read_bytes() == before


def test_a_dry_run_shows_what_would_be_done_and_does_nothing(store: Path) -> None:
    before = store.read_bytes()
    change_notes()
    shown = run("sync", store, "notes", "--dry-run")
    planned = values("sync", store, "notes", "--dry-run")
    assert store.read_bytes() == before
    assert shown.exit_code == 0
    assert shown.stdout.splitlines() == [
        "would rename notes/b.md to notes/deep/d.md",
        "would update notes/a.md",
        "would add notes/new.md",
        "would forget notes/deep/c.txt",
    ]
    assert shown.stderr.startswith("nothing was changed; it would be: 1 added, 1 updated, ")
    assert planned["dry_run"] is True
    done = values("sync", store, "notes")
    assert done["steps"] == planned["steps"]
    assert done["steps"][0] == {
        "action": "rename",
        "source": "notes/deep/d.md",
        "old_name": "notes/b.md",
    }


def test_sync_compresses_nothing_without_new_text(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("lmos.cli.opening.load_model", refuse)
    Path("notes/b.md").rename("notes/z.md")
    Path("notes/deep/c.txt").unlink()
    assert output("sync", store, "notes").splitlines() == [
        "renamed notes/b.md to notes/z.md",
        "forgot notes/deep/c.txt",
    ]


def test_a_bad_file_is_skipped_and_its_source_stays(store: Path) -> None:
    Path("notes/a.md").write_bytes("Nöte".encode("latin1"))
    Path("notes/b.md").unlink()
    Path("notes/b.md").symlink_to("nowhere")
    Path("notes/new.md").write_text("New.")
    result = run("sync", store, "notes")
    assert result.exit_code == 1
    assert result.stdout == "added notes/new.md\n"
    first, second, *_, summary = result.stderr.splitlines()
    assert first.startswith("skipped notes/a.md: expected UTF-8, got byte 0xf6")
    assert second == "skipped notes/b.md: a link to nowhere, which is not there"
    assert summary == "1 added, 0 updated, 0 renamed, 0 forgotten, 1 unchanged, 2 skipped"
    assert texts_in(store)["notes/a.md"] == NOTES["a.md"]


def test_with_strict_a_bad_file_stops_it_before_anything_is_done(store: Path) -> None:
    before = store.read_bytes()
    Path("notes/b.md").write_bytes(b"\xff\xff")
    Path("notes/c.md").write_text("New.")
    error = failure("sync", store, "notes", "--strict")
    assert error.startswith("error: notes/b.md: expected UTF-8")
    assert error.endswith("\nnothing was changed\n")
    assert store.read_bytes() == before


def test_what_is_left_out_is_neither_added_nor_forgotten(store: Path) -> None:
    Path("notes/deep/c.txt").unlink()
    Path("notes/deep/d.txt").write_text("New.")
    Path("notes/e.tags").write_text("Tags.")
    assert values("sync", store, "notes", "--exclude", "deep")["steps"] == []
    (step,) = values("sync", store, "notes", "--include", "*.tags")["steps"]
    assert (step["action"], step["source"]) == ("add", "notes/e.tags")
    assert "notes/deep/c.txt" in texts_in(store)


def test_an_emptied_folder_needs_yes(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = store.read_bytes()
    shutil.rmtree("notes")
    assert failure("sync", store, "notes") == "error: notes: expected a folder, there is nothing\n"
    Path("notes").mkdir()
    error = failure("sync", store, "notes")
    assert "notes: 3 sources of 3 would be forgotten, nothing was changed" in error
    assert "--dry-run" in error
    assert "--yes" in error
    command = importlib.import_module("lmos.cli.commands.sync")
    monkeypatch.setattr(command, "is_interactive", lambda: True)
    refused = run("sync", store, "notes", stdin="n\n")
    assert refused.exit_code == 1
    assert "Forget 3 sources of 3 from notes for good? [y/N]" in refused.stderr
    assert store.read_bytes() == before
    assert run("sync", store, "notes", "--yes").exit_code == 0
    assert texts_in(store) == {"diary": "Rain."}


def test_wrong_usage_of_sync(store: Path) -> None:
    assert "expected a folder, got an empty path" in failure("sync", store, "", code=2)
    error = failure("sync", store, "notes/a.md", code=2)
    assert "notes/a.md: expected a folder, got a file; lmos add takes files" in error


def test_add_and_sync_agree_on_names_and_times(store: Path) -> None:
    os.utime("notes/a.md", (5, 1_600_000_000))
    output("forget", store, "notes/*", "--yes")
    output("add", store, Path("notes").absolute(), "./notes/deep/c.txt")
    assert values("sync", store, "notes")["steps"] == []
    times = {source["name"]: source["time"] for source in values("sources", store)}
    assert times["notes/a.md"] == 1_600_000_000
    assert times["notes/b.md"] == Path("notes/b.md").stat().st_mtime
    output("add", store, "notes/b.md", "--time", "@7")
    times = {source["name"]: source["time"] for source in values("sources", store)}
    assert times["notes/b.md"] == 7


# forget


def test_forget_takes_names_and_patterns(store: Path) -> None:
    result = values("forget", store, "notes/?.md", "diary", "notes/a.*", "--yes")
    assert result["forgot"] == ["notes/a.md", "notes/b.md", "diary"]
    assert list(texts_in(store)) == ["notes/deep/c.txt"]


def test_forget_shows_what_would_go(store: Path) -> None:
    before = store.read_bytes()
    result = run("forget", store, "notes/*", "--dry-run")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.rpartition(" (")[0] for line in lines] == [
        f"would forget notes/{name}" for name in ("a.md", "b.md", "deep/c.txt")
    ]
    assert result.stderr == "nothing was changed; 3 sources would go\n"
    assert values("forget", store, "diary", "--dry-run")["would_forget"] == ["diary"]
    assert store.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("notes/2023-*", "no source with a name like 'notes/2023-*'; nothing was forgotten"),
        ("notes/a.mdd", "no source named 'notes/a.mdd'; similar: 'notes/a.md'"),
    ],
)
def test_a_name_that_stands_for_nothing_is_an_error(store: Path, name: str, message: str) -> None:
    before = store.read_bytes()
    assert message in failure("forget", store, "notes/*", name, "--yes")
    assert store.read_bytes() == before


def test_forget_lists_what_it_asks_about(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = importlib.import_module("lmos.cli.commands.forget")
    monkeypatch.setattr(command, "is_interactive", lambda: True)
    refused = run("forget", store, "notes/*", stdin="n\n")
    assert refused.exit_code == 1
    for name in NOTES:
        assert f"  notes/{name}\n" in refused.stderr
    assert "Forget 3 sources (" in refused.stderr
    assert len(texts_in(store)) == 4
    assert run("forget", store, "notes/*", stdin="y\n").exit_code == 0
    assert list(texts_in(store)) == ["diary"]

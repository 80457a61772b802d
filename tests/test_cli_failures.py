"""Mistakes: each one clear message, a status that is not 0, and the store as it was."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from commands import failure, output, run, texts_in, values
from conftest import new_llama
from lmos.cli import main
from lmos.cli.inputs import Inputs, find_inputs
from lmos.model.base import BaseModel
from lmos.store.sqlite import SQLiteStore


@pytest.fixture(scope="module")
def model_folder(tiny_llama: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_llama.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def filled(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("filled") / "life.lmos"
    output("new", path, "--model", model_folder, "--ratio", "8,3")
    output("add", path, "-", "--source", "diary", stdin="Sold the blue bicycle. " * 40)
    return path


@pytest.fixture
def store(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(filled, tmp_path / "life.lmos"))


# Input


def _write(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "No such file or directory"),
    "loop of links": (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    "pipe": (lambda path: os.mkfifo(path), "expected a file or a folder; use - for"),
    "empty": (_write(b""), "empty; expected text"),
    "white space": (_write(b" \n\t\r\n "), "nothing but white space"),
    "binary": (_write(b"\x7fELF\x02\x01\x01\0\0"), "binary, byte 7 is NUL"),
    "UTF-16": (_write("text".encode("utf-16-le")), "if it is UTF-16, add --encoding utf-16"),
    "controls": (_write(b"\x01\x02\x03 text"), "binary, 3 of 8 bytes are controls"),
    "latin 1": (_write("Le café".encode("latin1")), "got byte 0xe9 at offset 6"),
    "cut character": (_write("Le café".encode()[:-1]), "got byte 0xc3 at offset 6"),
    "folder without text": (
        lambda path: path.mkdir(),
        "no files of a known format, such as .txt, .md",
    ),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_is_skipped_named_and_counted(store: Path, tmp_path: Path, kind: str) -> None:
    make, message = BAD_FILES[kind]
    good, bad = tmp_path / "good.txt", tmp_path / "bad.txt"
    good.write_text("Good text.")
    make(bad)
    result = run("add", store, bad, good)
    assert result.exit_code == 1
    assert result.stdout.startswith(f"added {good} (")
    line, *_, summary = result.stderr.splitlines()
    assert line.startswith(f"skipped {bad}: ")
    assert message in line
    assert summary.startswith("1 added, 1 skipped (cannot be added, see above): ")
    assert set(texts_in(store)) == {"diary", str(good)}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_with_strict_or_alone_a_bad_file_is_refused(store: Path, tmp_path: Path, kind: str) -> None:
    make, message = BAD_FILES[kind]
    before = store.read_bytes()
    good, bad = tmp_path / "good.txt", tmp_path / "bad.txt"
    good.write_text("Good text.")
    make(bad)
    for arguments in ((good, bad, "--strict"), (bad,)):
        error = failure("add", store, *arguments)
        assert error.startswith(f"error: {bad}: ")
        assert message in error
        assert "nothing was added" in error
    assert store.read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_an_unreadable_file_and_folder_are_refused(store: Path, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    (tmp_path / "closed.txt").write_text("text")
    (tmp_path / "closed.txt").chmod(0)
    error = failure("add", store, tmp_path / "closed", tmp_path / "closed.txt")
    assert error.count("Permission denied") == 2


def test_a_file_that_cannot_be_read_is_refused(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "closed.txt").write_text("text")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    error = failure("add", store, tmp_path / "closed.txt")
    assert error.startswith(f"error: {tmp_path / 'closed.txt'}: Permission denied")


def test_every_bad_path_is_named_at_once(store: Path, tmp_path: Path) -> None:
    before = store.read_bytes()
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "b.md").write_bytes(b"b\xff")
    (notes / "c.txt").symlink_to("nowhere")
    error = failure("add", store, notes, tmp_path / "d.txt")
    assert error.startswith("error: 3 paths cannot be added, nothing was added:\n")
    for name in ("notes/b.md: ", "notes/c.txt: ", "d.txt: "):
        assert f"  {tmp_path / name}" in error
    assert store.read_bytes() == before


def test_a_file_that_is_named_twice_is_named_once(store: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text("Good.")
    (tmp_path / "notes" / "b.md").write_bytes(b"\xff\xff")
    notes = tmp_path / "notes"
    result = run("add", store, notes, f"{notes}/", notes / "a.md", notes / "b.md", "--json")
    values = json.loads(result.stdout)
    assert [source["source"] for source in values["sources"]] == [str(notes / "a.md")]
    (problem,) = values["problems"]
    assert problem.startswith(f"{notes / 'b.md'}: expected UTF-8, got byte 0xff")
    assert result.exit_code == 1


def test_a_file_that_changes_while_others_are_added_is_skipped(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (tmp_path / f"{name}.txt").write_text(f"Text {name}.")
    paths = [tmp_path / f"{name}.txt" for name in "abc"]

    def find_and_lose(*arguments: Any, **settings: Any) -> Inputs:
        found = find_inputs(*arguments, **settings)
        paths[1].unlink()
        return found

    command = importlib.import_module("lmos.cli.commands.add")
    monkeypatch.setattr(command, "find_inputs", find_and_lose)
    result = run("add", store, *paths)
    assert result.exit_code == 1
    assert f"skipped {paths[1]}: No such file" in result.stderr
    assert set(texts_in(store)) == {"diary", str(paths[0]), str(paths[2])}
    paths[1].write_text("Again.")
    error = run("add", store, *paths, "--strict").stderr
    assert f"error: {paths[1]}: No such file or directory; stopped there" in error


def test_addresses_that_are_not_of_pages_are_refused(store: Path) -> None:
    before = store.read_bytes()
    for name, address in (("add", "ftp://example.org/a"), ("sync", "https://example.org//a?b=c")):
        error = failure(name, store, address)
        assert error.startswith(f"error: {address}: expected a f")
    assert store.read_bytes() == before


def test_a_name_that_is_not_unicode_is_refused(store: Path, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.txt"
    with open(path, "w") as file:
        file.write("text")
    error = failure("add", store, os.fsdecode(path))
    assert "caf�.txt: expected a path in UTF-8; rename it" in error


def test_a_huge_file_is_refused_at_once(store: Path, tmp_path: Path) -> None:
    path = tmp_path / "line.txt"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    start = time.perf_counter()
    error = failure("add", store, path)
    assert time.perf_counter() - start < 5
    assert "expected at most 32 MB, got 100.0 MB; split it" in error
    assert "--max-mb" in error


def test_the_limit_can_be_moved(store: Path, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("Some text. " * 100)
    assert "expected at most 0.001 MB" in failure("add", store, path, "--max-mb", "0.001")
    error = failure("add", store, "-", "--source", "x", "--max-mb", "0.001", stdin="x" * 1001)
    assert "standard input: expected at most 0.001 MB, got more" in error
    output("add", store, path, "--max-mb", "0.002")


@pytest.mark.parametrize("line", ["x" * 20_000, "word " * 4_000, "世" * 7_000])
def test_a_long_line_is_added(store: Path, line: str) -> None:
    output("add", store, "-", "--source", "line", stdin=line)
    assert texts_in(store)["line"] == line


@pytest.mark.parametrize(
    ("stdin", "message"),
    [(b"", "empty"), (b" \n", "nothing but white space"), (b"ab\xff", "byte 0xff at offset 2")],
)
def test_bad_standard_input_is_refused(store: Path, stdin: bytes, message: str) -> None:
    before = store.read_bytes()
    error = failure("add", store, "-", "--source", "x", stdin=stdin)
    assert error.startswith("error: standard input: ")
    assert message in error
    assert store.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-",), "give --source NAME"),
        (("-", "a.txt", "--source", "x"), "- alone or paths"),
        (("a.txt", "--source", " "), "expected a name"),
        (("a.txt", "b.txt", "--source", "x"), "expected one text, got 2"),
        (("a.txt", "--label", "me"), "expected key=value, got 'me'"),
        (("a.txt", "--label", "=me"), "expected key=value"),
        (("a.txt", "--time", "yesterday"), "expected a time in ISO 8601"),
        (("a.txt", "--time", "1715900000"), "like @1715900000"),
        (("a.txt", "--time", "@1000000000000"), "years 1 to 9999"),
        (("a.txt", "--max-mb", "0"), "--max-mb"),
        (("a.txt", "--wait", "-1"), "expected a number of seconds"),
        (("a.txt", "--wait", "nan"), "expected a number of seconds"),
        (("",), "expected a path, got an empty one"),
        (("a.txt", ""), "expected a path, got an empty one"),
        (("a.txt", "--include", ""), "expected a pattern"),
        ((), "Missing argument"),
    ],
)
def test_wrong_usage_of_add(
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text("text")
    before = store.read_bytes()
    assert message in failure("add", store, *arguments, code=2)
    assert store.read_bytes() == before


# Stores

ARGUMENTS: dict[str, tuple[str, ...]] = {
    "add": ("-", "--source", "x"),
    "ask": ("question",),
    "retrieve": ("question",),
    "forget": ("diary", "--yes"),
    "export": ("life.zip",),
    "quota": ("2GB",),
    "sync": ("notes",),
    "watch": ("notes",),
}


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, command in main.commands.items()
        if command.params and command.params[0].name == "store" and name != "new"
    ],
)
def test_no_command_makes_a_store_by_the_way(tmp_path: Path, name: str) -> None:
    path = tmp_path / "none.lmos"
    error = failure(name, path, *ARGUMENTS.get(name, ()), stdin="text")
    assert error == f"error: there is no context store at {path}; make one: lmos new {path}\n"
    assert list(tmp_path.iterdir()) == []


def test_new_does_not_touch_what_is_there(store: Path, model_folder: Path) -> None:
    before = store.read_bytes()
    assert "choose another path" in failure("new", store, "--model", model_folder)
    assert store.read_bytes() == before


def test_new_needs_a_folder(tmp_path: Path, model_folder: Path) -> None:
    assert "expected a folder" in failure("new", tmp_path / "no/life.lmos", "--model", model_folder)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--ratio", "1,4", "expected every ratio ≥ 2"),
        ("--ratio", "-3", "expected every ratio ≥ 2"),
        ("--ratio", "16,0", "expected every ratio ≥ 2"),
        ("--ratio", "300", "level 1"),
        ("--ratio", "4,600", "at most 512"),
        ("--ratio", ",".join("2" * 9), "at most 8 levels"),
        ("--window", "0", "window: expected 2..512"),
        ("--window", "513", "window: expected 2..512"),
    ],
)
def test_settings_out_of_range(
    model_folder: Path, tmp_path: Path, option: str, value: str, message: str
) -> None:
    error = failure("new", tmp_path / "life.lmos", "--model", model_folder, option, value)
    assert message in error.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["", "a", "16;4", "4.5"])
def test_ratios_that_are_no_numbers(tmp_path: Path, value: str) -> None:
    error = failure("new", tmp_path / "life.lmos", "--ratio", value, code=2)
    assert "expected whole numbers like 16,4,4" in error


@pytest.mark.parametrize("name", ["status", "sources", "verify", "retrieve", "ask", "chat"])
def test_a_file_that_is_no_store(tmp_path: Path, name: str) -> None:
    path = tmp_path / "life.lmos"
    path.write_text("I am a letter. " * 500)
    error = failure(name, path, *ARGUMENTS.get(name, ()))
    assert "not a context store" in error
    assert "is a folder" in failure(name, tmp_path, *ARGUMENTS.get(name, ()))


def test_forget_of_an_unknown_source_names_similar_ones(store: Path) -> None:
    before = store.read_bytes()
    error = failure("forget", store, "dairy", "--yes")
    assert "no source named 'dairy'; similar: 'diary'" in error
    assert store.read_bytes() == before


def test_forget_without_a_terminal_needs_yes(store: Path) -> None:
    before = store.read_bytes()
    assert "expected --yes" in failure("forget", store, "diary", code=2)
    assert store.read_bytes() == before


def test_a_newer_format_is_refused(store: Path) -> None:
    db = apsw.Connection(str(store))
    db.pragma("user_version", 99)
    db.close()
    for name in ("status", "sources", "verify", "ask", "add", "forget"):
        error = failure(name, store, *ARGUMENTS.get(name, ()), stdin="text")
        assert "has format 99" in error
        assert "upgrade lmos" in error


def test_a_store_that_another_process_writes_is_read_but_not_changed(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text("New.")
    with SQLiteStore.open(store):
        for name in ("add", "sync", "forget", "repair"):
            arguments = (*ARGUMENTS.get(name, ()), "--wait", "0")
            error = failure(name, store, *arguments, stdin="text")
            assert f"process {os.getpid()} (" in error
            assert f"has {store} open for writing" in error
            assert "--wait SECONDS" in error
        assert output("verify", store) == "all is well\n"
    assert list(texts_in(store)) == ["diary"]


def test_a_damaged_block_is_reported(store: Path) -> None:
    db = apsw.Connection(str(store))
    db.execute("UPDATE blocks SET data = zeroblob(length(data)) WHERE level = 1")
    db.close()
    result = run("verify", store)
    assert result.exit_code == 1
    assert "checksum" in result.stdout
    assert "restore" in result.stderr
    faults = run("verify", store, "--json")
    assert faults.exit_code == 1
    assert '"ok": false' in faults.stdout
    error = failure("retrieve", store, "question")
    assert "checksum" in error
    assert output("repair", store) == "rebuilt diary\nall is well\n"
    nothing: dict[str, list[str]] = {"faults": [], "rebuilt": [], "lost": [], "unplaced": []}
    assert values("repair", store) == {"ok": True, **nothing}


def test_damaged_text_is_forgotten_on_demand_alone(store: Path) -> None:
    db = apsw.Connection(str(store))
    db.execute("UPDATE blocks SET data = zeroblob(length(data)) WHERE level = 0")
    db.close()
    before = store.read_bytes()
    error = failure("repair", store)
    assert "the text of diary is damaged; nothing was changed" in error
    assert "--forget-lost" in error
    assert store.read_bytes() == before
    assert output("repair", store, "--forget-lost") == "forgot diary\nall is well\n"
    assert output("verify", store) == "all is well\n"


# Models


def test_a_store_of_another_model_is_refused(
    store: Path, tokenizer_folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    new_llama(tokenizer_folder, seed=7).save_pretrained(other)
    before = store.read_bytes()
    for name in ("ask", "retrieve", "chat", "add"):
        arguments = (*ARGUMENTS.get(name, ()), "--model", other)
        error = failure(name, store, *arguments, stdin="text")
        assert "error: the store was written by another model:" in error
        assert "base_hash" in error
        assert f"you brought {str(other)!r}" in error
    assert store.read_bytes() == before


def test_a_model_that_has_moved(tiny_llama: BaseModel, tmp_path: Path) -> None:
    old, new, path = tmp_path / "old", tmp_path / "new", tmp_path / "life.lmos"
    tiny_llama.save_pretrained(old)
    output("new", path, "--model", old)
    old.rename(new)
    error = failure("ask", path, "question")
    assert f"no model folder at {old}" in error
    assert "--model" in error
    assert values("status", path)["model"] == str(old)
    output("retrieve", path, "question", "--model", new)


@pytest.mark.parametrize(
    ("without", "also", "message"),
    [
        ("tokenizer*", None, "no tokenizer in"),
        ("*.safetensors", "pytorch_model.bin", "only pickled weights (.bin)"),
        ("*.safetensors", None, "no weights in"),
        ("config.json", None, "no config.json in"),
    ],
)
def test_an_incomplete_model_is_refused(
    model_folder: Path, tmp_path: Path, without: str, also: str | None, message: str
) -> None:
    model = Path(shutil.copytree(model_folder, tmp_path / "model"))
    for path in model.glob(without):
        path.unlink()
    if also is not None:
        (model / also).write_bytes(b"pickle")
    error = failure("new", tmp_path / "life.lmos", "--model", model)
    assert error.startswith("error: ")
    assert message in error
    assert not (tmp_path / "life.lmos").exists()


def test_an_adapter_that_is_not_there(store: Path, tmp_path: Path) -> None:
    error = failure("ask", store, "question", "--adapter", tmp_path / "none")
    assert "no adapter in" in error


def test_an_adapter_that_was_remembered_is_still_compared(
    model_folder: Path, tmp_path: Path
) -> None:
    model = BaseModel.from_pretrained(model_folder)
    model.is_trained = True
    model.save_adapter(tmp_path / "adapter")
    store = tmp_path / "life.lmos"
    output("new", store, "--model", model_folder, "--adapter", tmp_path / "adapter")
    model.adapter.retrieval_RD.data[0, 0] += 1
    model.save_adapter(tmp_path / "adapter")
    error = failure("ask", store, "question")
    assert "adapter_hash: the store has" in error
    assert f"and the adapter '{tmp_path / 'adapter'}'" in error


# Questions


@pytest.mark.parametrize("name", ["retrieve", "ask"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("",), "expected a question, got an empty one"),
        ((" \n ",), "expected a question, got an empty one"),
        (("long " * 2000,), "expected a question of at most 256 tokens"),
        (("question", "--budget", "0"), "budget: expected at least 1, got 0"),
        (("question", "--budget", "-5"), "budget: expected at least 1, got -5"),
        (("question", "--top-c", "0"), "top_c: expected at least 1, got 0"),
        (("question", "--beam", "-1"), "beam: expected at least 0, got -1"),
        (("question", "--level", "-1"), "level: expected at least 0, got -1"),
        (("question", "--level", "3"), "level: expected 0..2 for this store, got 3"),
    ],
)
def test_questions_that_cannot_be_asked(
    store: Path, name: str, arguments: tuple[str, ...], message: str
) -> None:
    before = store.read_bytes()
    error = failure(name, store, *arguments)
    assert error.splitlines()[-1].startswith("error: ")
    assert message in error
    assert store.read_bytes() == before


def test_an_answer_that_does_not_fit(store: Path) -> None:
    error = failure("ask", store, "question", "--max-new-tokens", "511")
    assert "up to 512 positions" in error


@pytest.mark.parametrize(
    "arguments",
    [
        ("--strategy", "magic"),
        ("--budget", "many"),
        ("--max-new-tokens", "0"),
        ("--temperature", "nan"),
        ("--temperature", "inf"),
        ("--temperature", "warm"),
        ("--seed", "-1"),
        ("--seed", str(2**63)),
        ("--since", "spring"),
        ("--where", "owner"),
        ("--where", "a=1", "--where", "a=2"),
    ],
)
def test_wrong_usage_of_ask(store: Path, arguments: tuple[str, ...]) -> None:
    assert arguments[0] in failure("ask", store, "question", *arguments, code=2)


def test_sizes_that_are_no_sizes(store: Path) -> None:
    for size in ("much", "-5", "5TB"):
        assert "SIZE" in failure("quota", store, size, code=2)


def test_an_archive_that_is_none(store: Path, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("text")
    assert "there is no archive" in failure("import", tmp_path / "b.zip", tmp_path / "new.lmos")
    assert "not a whole archive" in failure("import", tmp_path / "a.zip", tmp_path / "new.lmos")
    assert "there is something at" in failure("export", store, tmp_path / "a.zip")
    assert not (tmp_path / "new.lmos").exists()


def test_a_new_store_needs_a_name(store: Path, model_folder: Path, tmp_path: Path) -> None:
    output("export", store, tmp_path / "a.zip")
    for arguments in (("new", "", "--model", model_folder), ("import", tmp_path / "a.zip", "")):
        assert "expected the path of a file for the new store" in failure(*arguments)

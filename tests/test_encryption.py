"""Encrypted stores: without the key nothing is read, nothing leaks beside them, nothing is lost."""

from __future__ import annotations

import importlib
import json
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ciphers import KEY, OTHER_KEY, PLAIN_HEAD, bytes_below
from commands import failure, output, run, values
from disks import Disk, Event
from lmos import RetrievalConfig, Session
from lmos.errors import (
    ConfigError,
    StoreCorrupt,
    StoreEncrypted,
    StoreError,
    StoreLocked,
)
from lmos.model.base import BaseModel
from lmos.store import keys
from lmos.store.files import PAGE_BYTES
from lmos.store.keys import Key, is_encrypted
from lmos.store.sqlite import SQLiteStore
from lmos.upkeep.rekeying import rekey
from trees import MANIFEST, observe, put_text

PAGE = Path(__file__).parents[1] / "docs" / "encryption.md"
SECRET = b"My password is swordfish. " * 60
TRACES = (b"swordfish", b"diary of Eva", b"password", b"CREATE TABLE", b"base_model")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where an encrypted store with one source lies, closed."""
    path = tmp_path / "life.lmos"
    with SQLiteStore.create(path, MANIFEST, KEY) as store:
        put_text(store, "diary of Eva", b"", SECRET)
    return path


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir()
    path = tmp_path / "keys" / "life.key"
    path.write_bytes(random.Random(0).randbytes(32))
    return path


# Keys


def test_a_passphrase_is_the_same_however_its_letters_are_composed(path: Path) -> None:
    salt = bytes(16)
    composed, decomposed = Key.from_passphrase("caf\u00e9"), Key.from_passphrase("cafe\u0301")
    assert composed.derive(salt) == decomposed.derive(salt) != KEY.derive(salt)
    assert composed.derive(salt) != composed.derive(b"x" * 16)
    with pytest.raises(ConfigError, match="got an empty one"):
        Key.from_passphrase("")
    with pytest.raises(ConfigError, match="Unicode"):
        Key.from_passphrase("\udcff")


def test_a_key_shows_its_secret_nowhere() -> None:
    assert "horse" not in f"{KEY!r} {KEY}"
    with pytest.raises(TypeError, match="not written anywhere"):
        KEY.__reduce__()


@pytest.mark.parametrize("content", [b"", b"short", b"x" * (1 << 20) + b"y", None])
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigError, match="key file"):
        Key.from_file(tmp_path / "key")


def test_the_documented_program_reads_an_encrypted_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # At the cost that real stores have.
    monkeypatch.setitem(keys.SCRYPT, "n", 1 << 17)
    path = tmp_path / "life.lmos"
    with SQLiteStore.create(path, MANIFEST, Key.from_passphrase("swordfish")) as store:
        put_text(store, "diary", b"", SECRET)
    program = re.findall(r"```python\n(import.*?)```", PAGE.read_text(), re.DOTALL)[0]
    program = program.replace("correct horse battery staple", "swordfish")
    ran = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=False
    )
    assert (ran.stdout, ran.stderr) == (f"diary {len(SECRET)}\n", "")


# Files


def test_no_text_name_or_table_is_in_any_file(path: Path) -> None:
    assert all(trace in bytes_below(path, KEY) for trace in TRACES)
    with SQLiteStore.open(path, key=KEY) as store:
        put_text(store, "diary of Eva, part 2", b"", SECRET)
        names = {file.name for file in path.parent.iterdir()}
        assert names >= {f"life.lmos{suffix}" for suffix in ("", "-wal", "-shm", "-holder")}
        for file in path.parent.iterdir():
            assert not [trace for trace in TRACES if trace in file.read_bytes()], file
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert not path.read_bytes().startswith(PLAIN_HEAD)


class _Spy(Disk):
    """Keeps all that is written, also to files without a name."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()

    def told(self, event: Event) -> None:
        self.written += event.data


@pytest.mark.parametrize("key", [None, KEY])
def test_nothing_plain_is_ever_written(tmp_path: Path, key: Key | None) -> None:
    path = tmp_path / "life.lmos"
    with _Spy() as disk:
        with SQLiteStore.create(path, MANIFEST, key) as store:
            put_text(store, "diary of Eva", b"", SECRET * 40)
            put_text(store, "gone", b"", SECRET)
            store.delete_source("gone")
            store.compact()
        if key is not None:
            rekey(path, key, OTHER_KEY)
    found = [trace for trace in TRACES if trace in disk.written]
    assert found == ([] if key else list(TRACES))


def test_the_command_that_writes_is_not_told_for_it_may_name_sources(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["lmos", "forget", "life.lmos", "letters to Ada"])
    with SQLiteStore.open(path, key=KEY):
        with pytest.raises(StoreLocked, match=r"process \d+ \(\S+, since") as caught:
            SQLiteStore.open(path, key=KEY)
        assert "Ada" not in str(caught.value)


def test_two_stores_of_one_passphrase_have_no_page_in_common(path: Path) -> None:
    other = path.with_name("other.lmos")
    with SQLiteStore.create(other, MANIFEST, KEY) as store:
        put_text(store, "diary of Eva", b"", SECRET)
    pages = [
        {whole[at : at + PAGE_BYTES] for at in range(0, len(whole), PAGE_BYTES)}
        for whole in (path.read_bytes(), other.read_bytes())
    ]
    assert len(pages[0]) == len(pages[1]) == path.stat().st_size // PAGE_BYTES
    assert pages[0].isdisjoint(pages[1])


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("key", [None, OTHER_KEY])
def test_without_the_key_nothing_is_read_or_changed(
    path: Path, key: Key | None, read_only: bool
) -> None:
    before = path.read_bytes()
    with pytest.raises(StoreEncrypted, match="is encrypted" if key is None else "does not open"):
        SQLiteStore.open(path, key=key, read_only=read_only)
    with pytest.raises(StoreEncrypted):
        SQLiteStore.open_shared(path, key=key)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_wrong_key_leaves_a_log_with_changes_alone(path: Path, tmp_path: Path) -> None:
    with SQLiteStore.open(path, key=KEY) as store:
        put_text(store, "more", b"", SECRET)
        expected = observe(store)
        crashed = tmp_path / "crashed"
        crashed.mkdir()
        for name in (path.name, f"{path.name}-wal"):
            (crashed / name).write_bytes((tmp_path / name).read_bytes())
    for key in (None, OTHER_KEY):
        for read_only in (False, True):
            with pytest.raises(StoreEncrypted):
                SQLiteStore.open(crashed / path.name, key=key, read_only=read_only)
    with SQLiteStore.open(crashed / path.name, key=KEY) as store:
        assert observe(store) == expected


def test_a_key_for_a_store_that_is_not_encrypted_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plain.lmos"
    SQLiteStore.create(path, MANIFEST).close()
    for read_only in (False, True):
        with pytest.raises(StoreError, match="is not encrypted, expected a store that the key"):
            SQLiteStore.open(path, key=KEY, read_only=read_only)
    (tmp_path / "notes").write_bytes(b"# A diary\n" * 200)
    with pytest.raises(StoreCorrupt, match="not an SQLite file"):
        SQLiteStore.open(tmp_path / "notes", key=KEY)


def test_every_flip_in_a_used_page_is_refused(path: Path) -> None:
    whole, dice = path.read_bytes(), random.Random(0)
    for page in range(0, len(whole), PAGE_BYTES):
        damaged = bytearray(whole)
        damaged[page + dice.randrange(PAGE_BYTES)] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        assert _faults_of(path), page


def _faults_of(path: Path) -> list[str]:
    """What is wrong with a store that may not even open."""
    try:
        with SQLiteStore.open(path, key=KEY) as store:
            return store.verify()
    except (StoreCorrupt, StoreEncrypted) as error:
        return [str(error)]


def test_pages_cannot_change_places(path: Path) -> None:
    whole = path.read_bytes()
    first, second = slice(PAGE_BYTES, 2 * PAGE_BYTES), slice(2 * PAGE_BYTES, 3 * PAGE_BYTES)
    swapped = bytearray(whole)
    swapped[first], swapped[second] = whole[second], whole[first]
    path.write_bytes(swapped)
    assert _faults_of(path)


# Sessions


def test_a_session_opens_with_its_key(tmp_path: Path, tiny_llama: BaseModel) -> None:
    path = tmp_path / "life.lmos"
    with Session.create(path, tiny_llama, key=KEY) as session:
        session.add("diary", "The code of the garage door is 5830.")
    with pytest.raises(StoreEncrypted):
        Session.open(path, tiny_llama)
    with Session.open(path, tiny_llama, key=KEY, read_only=True) as session:
        assert session.retrieve("Which code?").hits
        with pytest.raises(ConfigError, match="would not encrypt"):
            session.retrieve("Which code?", RetrievalConfig(strategy="index"))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


# Other keys


@pytest.mark.parametrize(("old", "new"), [(None, KEY), (KEY, OTHER_KEY), (KEY, None), (KEY, KEY)])
def test_a_store_gets_another_key(tmp_path: Path, old: Key | None, new: Key | None) -> None:
    path = tmp_path / "life.lmos"
    with SQLiteStore.create(path, MANIFEST, old) as store:
        put_text(store, "diary of Eva", b"", SECRET)
        expected = observe(store)
    before = path.read_bytes()
    rekey(path, old, new)
    assert is_encrypted(path) == (new is not None)
    assert path.read_bytes()[:16] != before[:16]
    for read_only in (False, True):
        with SQLiteStore.open(path, key=new, read_only=read_only) as store:
            assert (observe(store), store.version) == (expected, 1)
    with SQLiteStore.open(path, key=new) as store:
        put_text(store, "notes", b"", SECRET)
    if old is not new:
        with pytest.raises(StoreError):
            SQLiteStore.open(path, key=old)
    if new is not None:
        assert not [trace for trace in TRACES if trace in path.read_bytes()]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_store_that_is_read_or_damaged_keeps_its_key(path: Path) -> None:
    with SQLiteStore.open(path, key=KEY, read_only=True) as reader:
        assert len(reader.sources()) == 1
        with pytest.raises(StoreLocked, match="another process reads"):
            rekey(path, KEY, None)
    with pytest.raises(StoreEncrypted):
        rekey(path, OTHER_KEY, None)
    damaged = bytearray(path.read_bytes())
    damaged[3 * PAGE_BYTES + 5] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(StoreCorrupt):
        rekey(path, KEY, None)
    assert path.read_bytes() == damaged
    assert [file.name for file in path.parent.iterdir()] == [path.name]


# Commands


@pytest.fixture
def saved_model(tmp_path_factory: pytest.TempPathFactory, tiny_llama: BaseModel) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_llama.save_pretrained(folder)
    return folder


def test_every_command_takes_the_key_file(
    tmp_path: Path, key_file: Path, saved_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "diary.md").write_text("Greta keeps a blue bicycle. Its lock opens with 4812.")
    monkeypatch.chdir(tmp_path)
    with_key = ("--key-file", key_file)
    run("new", "life.lmos", "--model", saved_model, *with_key)
    assert is_encrypted(tmp_path / "life.lmos")
    output("add", "life.lmos", "notes", *with_key)
    output("sync", "life.lmos", "notes", *with_key)
    output("sync", "life.lmos", "notes", "--dry-run", *with_key)
    assert values("status", "life.lmos", *with_key)["encrypted"] is True
    assert values("sources", "life.lmos", *with_key)[0]["name"] == "notes/diary.md"
    assert values("retrieve", "life.lmos", "Which lock?", *with_key)["citations"]
    run("ask", "life.lmos", "Which lock?", *with_key)
    run("chat", "life.lmos", *with_key, stdin="Eva has a cat.\n")
    assert len(values("sources", "life.lmos", *with_key)) == 2
    output("verify", "life.lmos", *with_key)
    output("verify", "life.lmos", "--deep", *with_key)
    output("repair", "life.lmos", *with_key)
    output("compact", "life.lmos", *with_key)
    output("quota", "life.lmos", "1GB", *with_key)
    output("reencode", "life.lmos", "--model", saved_model, *with_key)
    output("forget", "life.lmos", "chat", "--yes", *with_key)
    assert "say --plain" in failure("export", "life.lmos", "a.zip", *with_key)
    output("export", "life.lmos", "a.zip", "--plain", *with_key)
    output("import", "a.zip", "again.lmos", *with_key)
    output("import", "a.zip", "plain.lmos")
    found = [is_encrypted(tmp_path / f"{name}.lmos") for name in ("life", "again", "plain")]
    assert found == [True, True, False]
    assert json.loads(output("sources", "again.lmos", "--json", *with_key))[0]["tokens"]
    assert "is not encrypted" in failure("sources", "plain.lmos", *with_key)


def test_the_key_comes_from_the_environment(
    path: Path, key_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = tmp_path / "plain.lmos"
    SQLiteStore.create(plain, MANIFEST).close()
    told = failure("sources", path)
    assert "LMOS_KEY_FILE or LMOS_PASSPHRASE" in told
    monkeypatch.setenv("LMOS_PASSPHRASE", "wrong")
    assert "the key does not open" in failure("sources", path)
    monkeypatch.setenv("LMOS_PASSPHRASE", "correct horse battery staple")
    assert len(values("sources", path)) == 1
    assert values("sources", plain) == []
    assert values("rekey", path, "--new-key-file", key_file) == {"encrypted": True}
    monkeypatch.setenv("LMOS_KEY_FILE", str(key_file))
    assert len(values("sources", path)) == 1
    monkeypatch.setenv("LMOS_KEY_FILE", str(tmp_path / "missing"))
    assert "cannot be read" in failure("sources", path)


def test_a_variable_alone_encrypts_nothing_and_that_is_told(
    tmp_path: Path, saved_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMOS_PASSPHRASE", "swordfish")
    told = run("new", tmp_path / "plain.lmos", "--model", saved_model)
    assert "is not encrypted; that takes --encrypt" in told.stderr
    run("new", tmp_path / "life.lmos", "--model", saved_model, "--encrypt")
    found = [is_encrypted(tmp_path / f"{name}.lmos") for name in ("plain", "life")]
    assert found == [False, True]


def test_a_passphrase_is_asked_for(
    tmp_path: Path, saved_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "life.lmos"
    new = ("new", path, "--encrypt", "--model", saved_model)
    assert "expected a key file, or a terminal" in failure(*new)
    # By its name in full: in the package stands the command of that name.
    module = importlib.import_module("lmos.cli.keys")
    monkeypatch.setattr(module, "is_interactive", lambda: True)
    made = run(*new, stdin="swordfish\nswordfisch\nswordfish\nswordfish\n")
    assert "do not match" in made.stderr
    assert is_encrypted(path)
    found = run("sources", path, "--json", stdin="swordfish\n")
    assert (found.exit_code, json.loads(found.stdout)) == (0, [])
    assert f"Passphrase of {path}:" in found.stderr
    assert "swordfish" not in made.output + found.output
    assert "the passphrase is mistyped" in failure("sources", path, stdin="wrong\n")
    told = output("rekey", path, stdin="swordfish\nnew\nnew\n")
    assert "encrypted with the new key" in told
    assert "no longer encrypted" in output("rekey", path, "--decrypt", stdin="new\n")
    assert values("sources", path) == []
    assert "is not encrypted" in failure("rekey", path, "--decrypt")


def test_piped_text_that_an_encrypted_store_cannot_take_is_kept_nowhere(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMOS_PASSPHRASE", "correct horse battery staple")
    arguments = ("add", path, "-", "--source", "diary", "--wait", "0")
    with SQLiteStore.open(path, key=KEY):
        told = failure(*arguments, stdin="Nobody may know.")
        assert "is not kept" in told
        for file in path.parent.iterdir():
            assert b"Nobody" not in file.read_bytes()

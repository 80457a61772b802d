"""Folders: which files they have, their names, and what makes a store equal to them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmos.documents.base import Reading
from lmos.errors import DataError
from lmos.nodes import Source
from lmos.text.files import TextFile, digest_of
from lmos.upkeep.folders import (
    Choice,
    FolderTexts,
    Plan,
    names_like,
    plan_sync,
    read_folder,
    source_name,
)

READING = Reading(max_bytes=1000)


@pytest.fixture(autouse=True)
def current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def write(**texts: str) -> None:
    """Files of the vault; `__` in a name stands for a folder."""
    for name, text in texts.items():
        path = Path("vault", *f"{name}.md".split("__"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def sources_of(texts: dict[str, str]) -> list[Source]:
    return [
        Source(number, name, 1.0, {}, len(text.encode()), 1, (1,))
        for number, (name, text) in enumerate(texts.items())
    ]


def plan_of(found: FolderTexts, store: dict[str, str]) -> Plan:
    return plan_sync(
        found, sources_of(store), lambda source: digest_of(store[source.name].encode())
    )


def steps_of(
    store: dict[str, str], folder: str = "vault", choice: Choice | None = None
) -> list[tuple[str, ...]]:
    """What there is to do, as words."""
    plan = plan_of(read_folder(Path(folder), choice or Choice(), READING), store)
    return [
        (step.action, *([step.old_name] if step.old_name else []), step.name) for step in plan.steps
    ]


# Names


def test_one_file_has_one_name_however_it_is_typed(current: Path, tmp_path: Path) -> None:
    write(a="one", deep__b="two")
    (tmp_path / "elsewhere").symlink_to(current)
    for typed in (
        "vault",
        "./vault",
        "vault/",
        "vault/deep/..",
        f"{current}/vault",
        f"../{current.name}/vault",
        "../elsewhere/vault",
    ):
        found = read_folder(Path(typed), Choice(), READING)
        assert [file.name for file in found.files] == ["vault/a.md", "vault/deep/b.md"], typed
        assert source_name(Path(typed) / "a.md") == "vault/a.md", typed
    assert source_name(Path("a.md")) == "a.md"


def test_what_does_not_lie_below_the_current_folder_has_an_absolute_name(
    current: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(a="one")
    monkeypatch.chdir(current.parent)
    (current.parent / "other").mkdir()
    monkeypatch.chdir("other")
    (file,) = read_folder(Path("../home/vault"), Choice(), READING).files
    assert file.name == str(Path(os.path.realpath(current)) / "vault" / "a.md")


def test_a_link_to_a_file_keeps_its_own_name() -> None:
    write(a="one")
    Path("vault/link.md").symlink_to("a.md")
    assert source_name(Path("vault/link.md")) == "vault/link.md"
    found = read_folder(Path("vault"), Choice(), READING)
    assert [file.name for file in found.files] == ["vault/a.md", "vault/link.md"]


# Files


def test_a_folder_has_texts_problems_and_others() -> None:
    write(a="one", b="", c=" \n", deep__d="two", e="x")
    Path("vault/.hidden.md").write_text("hidden")
    Path("vault/.git").mkdir()
    Path("vault/.git/e.md").write_text("hidden")
    Path("vault/photo.png").write_bytes(b"\x89PNG")
    Path("vault/latin.txt").write_bytes("café".encode("latin1"))
    Path("vault/gone.md").symlink_to("nowhere")
    os.utime("vault/a.md", (5, 7))
    found = read_folder(Path("vault"), Choice(), READING)
    assert [file.name for file in found.files] == [
        "vault/a.md",
        "vault/e.md",
        "vault/deep/d.md",
    ]
    assert found.files[0] == TextFile("vault/a.md", Path("vault/a.md"), 3, 7.0, digest_of(b"one"))
    assert (found.num_other, found.num_empty) == (1, 2)
    assert [problem.message.partition(": ")[0] for problem in found.problems] == [
        "vault/gone.md",
        "vault/latin.txt",
    ]
    assert "a link to nowhere, which is not there" in found.problems[0].message


@pytest.mark.skipif(os.name == "nt", reason="nobody is refused by mode bits")
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_listed_is_a_problem() -> None:
    write(a="one", deep__b="two")
    Path("vault/deep").chmod(0)
    try:
        found = read_folder(Path("vault"), Choice(), READING)
        without = read_folder(Path("vault"), Choice(exclude=("deep",)), READING)
    finally:
        Path("vault/deep").chmod(0o700)
    assert [problem.message for problem in found.problems] == ["vault/deep: Permission denied"]
    assert without.problems == ()
    assert [step.action for step in plan_of(found, {"vault/deep/b.md": "two"}).steps] == ["add"]


@pytest.mark.parametrize("folder", ["none", "vault/a.md"])
def test_what_is_no_folder_is_refused(folder: str) -> None:
    write(a="one")
    with pytest.raises(DataError, match="expected a folder"):
        read_folder(Path(folder), Choice(), READING)


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ((), (), "a.md b.TXT deep/drafts/c.md deep/d.rst"),
        (("*.abc",), (), "e.abc"),
        (("deep/*",), (), "deep/drafts/c.md deep/d.rst deep/photo.png"),
        (("**/*.md",), (), "a.md deep/drafts/c.md"),
        ((), ("drafts",), "a.md b.TXT deep/d.rst"),
        ((), ("drafts/",), "a.md b.TXT deep/d.rst"),
        ((), ("deep/drafts",), "a.md b.TXT deep/d.rst"),
        ((), ("./deep/*",), "a.md b.TXT"),
        ((), ("*.md", "?.TXT"), "deep/d.rst"),
        (("*.md",), ("[ab].*",), "deep/drafts/c.md"),
        (("nothing",), (), ""),
    ],
)
def test_patterns_choose_files(
    include: tuple[str, ...], exclude: tuple[str, ...], expected: str
) -> None:
    choice = Choice(include, exclude)
    paths = "a.md b.TXT deep/drafts/c.md deep/d.rst deep/photo.png e.abc .x.md .x/y.md"
    taken = [path for path in paths.split() if choice.takes(PurePosixPath(path))]
    assert " ".join(taken) == expected


# Plans


def test_a_store_that_is_equal_needs_nothing() -> None:
    write(a="one", deep__b="two")
    assert steps_of({"vault/a.md": "one", "vault/deep/b.md": "two", "chat": "x"}) == []


def test_what_is_new_changed_renamed_and_gone() -> None:
    write(a="one", b="changed", deep__c="three", d="new")
    store = {"vault/a.md": "one", "vault/b.md": "two", "vault/c.md": "three", "vault/e.md": "e"}
    assert steps_of(store) == [
        ("rename", "vault/c.md", "vault/deep/c.md"),
        ("update", "vault/b.md"),
        ("add", "vault/d.md"),
        ("forget", "vault/e.md"),
    ]


def test_a_change_of_the_same_length_is_a_change() -> None:
    write(a="one")
    assert steps_of({"vault/a.md": "two"}) == [("update", "vault/a.md")]


def test_a_copy_is_no_renaming() -> None:
    write(a="one", b="one")
    assert steps_of({"vault/a.md": "one"}) == [("add", "vault/b.md")]


def test_of_several_with_the_same_text_each_is_renamed_once() -> None:
    write(x__a="same", x__b="same", x__c="same")
    assert steps_of({"vault/b.md": "same", "vault/a.md": "same"}) == [
        ("rename", "vault/a.md", "vault/x/a.md"),
        ("rename", "vault/b.md", "vault/x/b.md"),
        ("add", "vault/x/c.md"),
    ]


def test_only_what_would_come_from_the_folder_is_touched(current: Path) -> None:
    write(a="one")
    store = {
        "chat": "x",
        "vault": "x",
        "vault/diary": "x",
        "vault/.hidden.md": "x",
        "vault/drafts/b.md": "x",
        "vaults/a.md": "x",
        "other/a.md": "x",
        "../vault/c.md": "x",
        "/vault/a.md": "x",
        "vault/../other/b.md": "x",
        "vault/gone.md": "x",
    }
    assert steps_of(store, choice=Choice(exclude=("drafts",))) == [
        ("add", "vault/a.md"),
        ("forget", "vault/gone.md"),
    ]
    assert steps_of({"chat": "x", "diary": "x", "/a.md": "x"}, ".") == [("add", "vault/a.md")]


def test_a_name_of_another_kind_becomes_the_one_name(current: Path) -> None:
    write(a="one")
    absolute = str(Path(os.path.realpath("vault")) / "a.md")
    assert steps_of({absolute: "one"}) == [("rename", absolute, "vault/a.md")]


def test_what_cannot_be_read_stays() -> None:
    write(a="one")
    Path("vault/b.md").write_bytes(b"\xff\x01")
    Path("vault/c.md").symlink_to("nowhere")
    assert steps_of({"vault/a.md": "one", "vault/b.md": "two", "vault/c.md": "three"}) == []


def test_a_file_that_was_emptied_is_gone() -> None:
    write(a="one", b="")
    assert steps_of({"vault/a.md": "one", "vault/b.md": "two"}) == [("forget", "vault/b.md")]


@pytest.mark.parametrize(
    ("num_left", "num_gone", "is_drastic"),
    [(0, 1, True), (0, 0, False), (1, 9, False), (9, 10, True), (10, 10, False), (1, 10, True)],
)
def test_a_plan_that_forgets_most_is_drastic(
    num_left: int, num_gone: int, is_drastic: bool
) -> None:
    Path("vault").mkdir()
    write(**{f"left{number}": "one" for number in range(num_left)})
    store = {f"vault/left{number}.md": "one" for number in range(num_left)}
    store |= {f"vault/gone{number}.md": f"{number}" for number in range(num_gone)}
    found = read_folder(Path("vault"), Choice(), READING)
    assert plan_of(found, store).is_drastic is is_drastic


_TEXTS = st.dictionaries(
    st.sampled_from([f"vault/{name}.md" for name in "abcdef"]), st.sampled_from(["x", "y", "zz"])
)


@given(_TEXTS, _TEXTS)
@settings(deadline=None)
def test_carrying_a_plan_out_makes_them_equal(files: dict[str, str], store: dict[str, str]) -> None:
    folder = Path(os.path.realpath("vault"))
    texts = tuple(
        TextFile(name, Path(name), len(text), 1.0, digest_of(text.encode()))
        for name, text in files.items()
    )
    found = FolderTexts(folder, Choice(), texts, (), 0, 0)
    plan = plan_of(found, store)
    result = dict(store)
    for step in plan.steps:
        if step.action == "rename":
            assert step.old_name is not None
            assert step.name not in result
            assert step.old_name not in files
            result[step.name] = result.pop(step.old_name)
            assert result[step.name] == files[step.name]
        elif step.action == "forget":
            del result[step.name]
        else:
            assert (step.name in result) is (step.action == "update")
            result[step.name] = files[step.name]
    assert result == files
    assert plan.num_unchanged == sum(store.get(name) == text for name, text in files.items())


# Patterns of names


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("notes/2023-*", ["notes/2023-a.md", "notes/2023-b/c.md"]),
        ("*", ["notes/2023-a.md", "notes/2023-b/c.md", "diary", "a[b]", "ab"]),
        ("diary", ["diary"]),
        ("a[b]", ["a[b]"]),
        ("a[b-c]", ["ab"]),
        ("Diary", []),
        ("", []),
    ],
)
def test_names_like_a_pattern(pattern: str, expected: list[str]) -> None:
    names = ["notes/2023-a.md", "notes/2023-b/c.md", "diary", "a[b]", "ab"]
    assert names_like(pattern, names) == expected


def test_folders_need_no_torch() -> None:
    code = "import sys, lmos.upkeep.folders; sys.exit('torch' in sys.modules)"
    source = Path(__file__).parent.parent / "src"
    environment = {**os.environ, "PYTHONPATH": str(source)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0

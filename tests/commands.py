"""Runs commands of `lmos` in this process and looks at what they leave behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from lmos.cli import main
from lmos.store.sqlite import SQLiteStore

TEXTS = {
    "bicycle.txt": "Greta keeps a blue bicycle. Its lock opens with 4812. " * 12,
    "piano.md": "# Piano\n\nThe piano of Hugo is out of tune.\nEva will come on Monday.\n" * 9,
    "deep/café.rst": "Le café de Clara ferme à midi. 世界 🌍 " * 10,
}


def run(*arguments: object, stdin: str | bytes | None = None) -> Result:
    """A command in this process; what is not meant for users is raised."""
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(main, words, input=stdin, catch_exceptions=False)


def output(*arguments: object, stdin: str | bytes | None = None) -> str:
    """What a command that succeeds prints on standard output."""
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == 0, result.output
    return result.stdout


def values(*arguments: object, stdin: str | bytes | None = None) -> Any:
    """What a command that succeeds prints with `--json`."""
    return json.loads(output(*arguments, "--json", stdin=stdin))


def answered(*arguments: object) -> Any:
    """What `ask` prints with `--json`; its exit status says whether an answer was found."""
    result = run("ask", *arguments, "--json")
    answer = json.loads(result.stdout)
    assert result.exit_code == (0 if answer["is_found"] else 1), result.output
    return answer


def failure(*arguments: object, code: int = 1, stdin: str | bytes | None = None) -> str:
    """What a command that fails says; it has printed no result."""
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    return result.stderr


def write_notes(folder: Path) -> Path:
    """A folder with text at two depths, and files that are not text."""
    for name, text in TEXTS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (folder / "photo.png").write_bytes(b"\x89PNG\0")
    (folder / ".hidden.txt").write_text("not for lmos")
    (folder / "empty.md").write_text("\n \n")
    return folder


def texts_in(store_path: Path) -> dict[str, str]:
    """Every source of a store and its text; the store has no faults."""
    with SQLiteStore.open(store_path, read_only=True) as store:
        assert store.verify() == []
        return {source.name: store.text(source.source_id).decode() for source in store.sources()}

"""The benchmark of documents: places that are right are counted, one that is not is found."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.documents import CHECKS, outcome_of
from lmos.documents.base import Composer
from lmos.documents.formats import READERS
from originals import (
    PAGES,
    anthropic_export,
    message,
    notebook,
    openai_export,
    write_book,
    write_mailbox,
    write_pdf,
    write_sheets,
    write_slides,
    write_word,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A file of each kind."""
    texts = {
        "plain.txt": "Tea is 3.",
        "note.md": "---\ntitle: Fox\n---\nIt sleeps.",
        "code.py": "a = 1\n\nb = 2\n",
        "table.csv": "Item;Price\nTea;3\nCoffee, black;4\n",
        "record.json": '{"shop": "Eva", "shops": [{"n": 1}, {"n": [2, 3]}]}',
        "lines.jsonl": '{"a": 1}\n\n{"a": "b"}\n',
        "page.html": "<title>T</title><h1 id=top>Top</h1><p>One.<h2 id=low>Low</h2><p>Two.",
        "said.vtt": "WEBVTT\n\n0:1.5 --> 0:2.5\n<v Eva>Where?\n",
        "openai.json": openai_export(),
        "anthropic.json": anthropic_export(),
        "cells.ipynb": notebook(),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "one.eml").write_bytes(message("Lunch", "At noon.").as_bytes())
    write_mailbox(tmp_path / "all.mbox", message("A", "At one."), message("B", "At two."))
    write_pdf(tmp_path / "pages.pdf", PAGES)
    write_word(tmp_path / "garden.docx")
    write_slides(tmp_path / "plans.pptx")
    write_sheets(tmp_path / "costs.xlsx")
    write_book(tmp_path / "book.epub", ("The fox", "It sleeps."), ("The end", "It woke."))
    return tmp_path


def test_every_kind_is_read_and_every_place_found(folder: Path) -> None:
    outcomes = [outcome_of(path) for path in sorted(folder.iterdir())]
    assert [each.reason for each in outcomes if each.result != "read"] == []
    assert all(each.places for each in outcomes)
    assert {each.kind for each in outcomes} == set(CHECKS)
    assert {reader.kind for reader in READERS} <= set(CHECKS)


def test_a_wrong_place_is_found_whatever_the_kind(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = Composer.add
    last = ""

    def add_late(composer: Composer, text: str, label: str | None = None) -> None:
        # Each text comes under the place of the one before it.
        nonlocal last
        add(composer, text, label and last)
        last = label or last

    names = ("table.csv", "lines.jsonl", "cells.ipynb", "pages.pdf", "garden.docx", "costs.xlsx")
    for name in names:
        last = "nowhere"
        with monkeypatch.context() as patch:
            patch.setattr(Composer, "add", add_late)
            assert outcome_of(folder / name).result == "wrong", name


def test_a_broken_file_is_told_from_one_that_is_refused(folder: Path) -> None:
    (folder / "bad.json").write_text("{", encoding="utf-8")
    (folder / "bad.pdf").write_bytes(b"%PDF-1.7\nnothing")
    (folder / "none.csv").write_text("\n", encoding="utf-8")
    result = CliRunner().invoke(main, ["documents", "--folder", str(folder)])
    assert result.exit_code == 0, result.output
    rows = {
        line.split("|")[1].strip(): line.split("|")[2:-1] for line in result.stdout.splitlines()
    }
    assert [cell.strip() for cell in rows["JSON"]][:6] == ["2", "1", "0", "1", "0", "0"]
    assert [cell.strip() for cell in rows["a PDF document"]][:6] == ["2", "1", "0", "0", "1", "0"]
    assert [cell.strip() for cell in rows["a table (CSV)"]][:6] == ["2", "1", "1", "0", "0", "0"]
    assert "bad.json: line 1: expected JSON" in result.stderr

"""Passages on a screen and in JSON: where they are from, and what they stand under."""

from __future__ import annotations

import io

from rich.console import Console

from lmos.cli.show.passages import draw_passages, passage_json
from lmos.reading.citations import Citation


def citation(text: str, headings: tuple[str, ...] = (), columns: str | None = None) -> Citation:
    return Citation(
        "diary.md", None, 8, 40, text, 0, 1.5, 0.5, (), headings=headings, columns=columns
    )


def drawn(passage: Citation) -> list[str]:
    console = Console(file=io.StringIO(), width=200)
    console.print(draw_passages([passage]))
    assert isinstance(console.file, io.StringIO)
    return [line.strip() for line in console.file.getvalue().splitlines()]


def test_headings_follow_the_name_of_the_source_and_are_not_repeated() -> None:
    first, *body = drawn(citation("## 15 February\n\nI met Ana.", ("Diary", "15 February")))
    assert first.startswith("1  diary.md › Diary › 15 February 8–40")
    assert body == ["I met Ana."]


def test_a_row_is_shown_below_its_columns() -> None:
    first, *body = drawn(citation("Ana,3,Oslo", columns="name | age | city"))
    assert first.startswith("1  diary.md 8–40")
    assert body == ["name | age | city", "Ana,3,Oslo"]


def test_json_has_the_exact_text_and_what_it_stands_under() -> None:
    told = passage_json(citation("15 February\nI met Ana.", ("15 February",), "a | b"))
    assert told["text"] == "15 February\nI met Ana."
    assert told["headings"] == ["15 February"]
    assert told["columns"] == "a | b"


def test_what_steers_a_terminal_is_not_in_headings() -> None:
    first, *_ = drawn(citation("Hi.", ("\x1b[31mred",)))
    assert "\x1b" not in first

"""What the reader is given: text as it is seen, with what it stands under."""

from __future__ import annotations

from building import filled_store
from lmos.model.base import BaseModel
from lmos.model.formats import ReadPassage
from lmos.nodes import Span
from lmos.search.passages import passage_of

NOTES = """# House

## 3 May
The boiler\u00adman came.  He left at\u00a0four.

## Shelves

| thing | shelf |
|---|---|
| rope | D4 |
"""
CSV = "item,shelf,count\nanchor,C1,3\nrope,D4,19\n"


def read(model: BaseModel, text: str, part: str) -> ReadPassage:
    store = filled_store(model, a=text)
    start = text.encode().index(part.encode())
    return passage_of(store, store.source("a"), Span(start, start + len(part.encode())))


def test_a_heading_is_told_once(tiny_llama: BaseModel) -> None:
    passage = read(tiny_llama, NOTES, "## 3 May\nThe boiler\u00adman came.")
    assert passage.text == "The boilerman came."
    assert passage.headings == ("House", "3 May")
    assert passage.source == "a"


def test_spaces_are_plain(tiny_llama: BaseModel) -> None:
    assert read(tiny_llama, NOTES, "He left at\u00a0four.").text == "He left at four."


def test_a_row_comes_with_the_head_of_its_table(tiny_llama: BaseModel) -> None:
    passage = read(tiny_llama, NOTES, "| rope | D4 |")
    assert (passage.text, passage.columns) == ("| rope | D4 |", "| thing | shelf |")
    row = read(tiny_llama, CSV, "rope,D4,19")
    assert (row.text, row.columns) == ("rope,D4,19", "item,shelf,count")


def test_nothing_is_nothing(tiny_llama: BaseModel) -> None:
    assert read(tiny_llama, NOTES, "\n\n").text == ""

"""Headings: what a place in a source stands under."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from building import filled_store
from lmos.model.base import BaseModel
from lmos.nodes import Span
from lmos.store import AbstractStore
from lmos.tree.headings import Outline, Place, find_outline, place_of, without_headings

NOTES = """\ufeff# Diary

Intro here.

## 15 February

I met Ana. We ate.

16 February
It snowed.

Garden
======

To buy:
- seeds
- a rake

Then rest.

| tool | price |
|------|-------|
| rake | 12 €  |

After the table.

```
# no heading
```

## Letters:

### To Ben

Dear Ben.
"""
CSV = "name,age,city\nAna,3,Oslo\nBen,4,Rome\n\nIt ended.\n"


def place_in(text: str, part: str, outline: Outline | None = None) -> Place:
    start = text.encode().index(part.encode())
    outline = find_outline(text.encode()) if outline is None else outline
    return outline.place(Span(start, start + len(part.encode())))


@pytest.mark.parametrize(
    ("part", "headings"),
    [
        ("Intro here.", ("Diary",)),
        ("I met Ana.", ("Diary", "15 February")),
        ("We ate.", ("Diary", "15 February")),
        ("It snowed.", ("Diary", "15 February", "16 February")),
        ("## 15 February\n\nI met Ana.", ("Diary", "15 February")),
        ("seeds", ("Garden", "To buy")),
        ("- a rake", ("Garden", "To buy")),
        ("Then rest.", ("Garden",)),
        ("| rake |", ("Garden",)),
        ("# no heading", ("Garden",)),
        ("Dear Ben.", ("Garden", "Letters", "To Ben")),
        ("## Letters:\n\n### To Ben\n\nDear", ("Garden", "Letters", "To Ben")),
        ("Ben\n\nDear", ("Garden", "Letters", "To Ben")),
    ],
)
def test_a_place_stands_under_its_headings(part: str, headings: tuple[str, ...]) -> None:
    assert place_in(NOTES, part).headings == headings


@pytest.mark.parametrize(
    ("text", "part", "columns"),
    [
        (NOTES, "| rake |", "tool | price"),
        (NOTES, "| tool |", None),
        (NOTES, "After the table.", None),
        (CSV, "Ana", "name | age | city"),
        (CSV, "Ben,4,Rome", "name | age | city"),
        (CSV, "name,age", None),
        (CSV, "It ended.", None),
        ("Ana, Ben and Eve came.\nThey ate.\n", "They", None),
        ("a;b\n1;2\n", "1;2", "a | b"),
        ("- item: Milk; price: 1,20; shelf: A\n- item: Rye; price: 3,10; shelf: B\n", "Rye", None),
        ('who\twhat\nAna\t"a\tb"\n', "Ana", "who | what"),
    ],
)
def test_a_row_has_the_columns_of_its_table(text: str, part: str, columns: str | None) -> None:
    assert place_in(text, part).columns == columns


def test_a_fence_that_nothing_closes_hides_no_headings() -> None:
    assert place_in("```\n# A\n\nText.", "Text.").headings == ("A",)


def test_prose_is_under_nothing() -> None:
    text = "It was 15 February. We met.\nMonday was better: it rained.\n\n- one\n- two\n"
    for part in ("We met.", "it rained", "- two"):
        assert place_in(text, part) == Place()


def test_titles_are_read_as_they_are_seen() -> None:
    assert place_in("# Cafe\u0301\u00a0au lait\n\nGood.", "Good.").headings == ("Café au lait",)


def test_a_line_of_signs_is_no_heading() -> None:
    assert place_in(":\n==\nText.", "Text.") == Place()


@given(st.text("#ab1. \n|,-=`:", max_size=60), st.integers(0, 60), st.integers(0, 60))
@settings(deadline=None, max_examples=300)
def test_every_place_of_every_text_stands_somewhere(text: str, start: int, length: int) -> None:
    place = find_outline(text.encode()).place(Span(start, start + length))
    assert all(place.headings)


# In stores


@pytest.fixture(scope="module")
def store(tiny_llama: BaseModel) -> AbstractStore:
    rows = "".join(f"Ana{number},{number},Oslo\n" for number in range(4_000))
    filler = "It rained and nothing else was to be told of it.\n" * 800
    return filled_store(
        tiny_llama,
        csv="name,age,city\n" + rows,
        text="# Far\n\n" + filler + "# Near\n\nIt ended.\n",
    )


def test_places_of_a_long_source_are_found_near_them(store: AbstractStore) -> None:
    source = store.find_source("text")
    assert source is not None
    end = Span(source.num_bytes - 10, source.num_bytes)
    assert place_of(store, source, end).headings == ("Near",)
    assert place_of(store, source, Span(1_000, 1_010)).headings == ("Far",)
    middle = Span(source.num_bytes - 100, source.num_bytes - 90)
    assert place_of(store, source, middle) == Place()


def test_rows_far_below_the_head_of_a_source_have_its_columns(store: AbstractStore) -> None:
    source = store.find_source("csv")
    assert source is not None
    for start in (20, 30_000, source.num_bytes - 12):
        assert place_of(store, source, Span(start, start + 5)).columns == "name | age | city"


# Without them


@pytest.mark.parametrize(
    ("text", "headings", "rest"),
    [
        ("## 15 February\n\nI met Ana.", ("Diary", "15 February"), "I met Ana."),
        ("Garden\n======\n\nTo buy:\n- seeds", ("Garden",), "To buy:\n- seeds"),
        ("15 February", ("15 February",), "15 February"),
        ("I met Ana.", ("15 February",), "I met Ana."),
        ("", ("A",), ""),
    ],
)
def test_a_text_is_shown_without_the_headings_above_it(
    text: str, headings: tuple[str, ...], rest: str
) -> None:
    assert without_headings(text, headings) == rest

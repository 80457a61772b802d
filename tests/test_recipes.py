"""What the recipes make of notes that people wrote."""

from __future__ import annotations

import pytest

from recipes.reader.sources import structure

CHAT = "Ana: bread, milk, and tea\nBen: red, blue, or green?\n"
STAMPED = "[10:02] Ana: bread, milk, and tea\n[10:03] Ben: red, blue, or green?\n"
TABLE = "name,age,city\nAna,3,Oslo\nBen,4,Rome\n"


@pytest.mark.parametrize("text", [CHAT, STAMPED])
def test_what_is_said_is_no_row_however_many_commas_it_has(text: str) -> None:
    lines = structure(text)
    assert [line.text for line in lines] == text.splitlines()
    assert [line.columns for line in lines] == [None, None]


def test_rows_have_the_columns_above_them() -> None:
    assert [(line.text, line.columns) for line in structure(TABLE)] == [
        ("Ana,3,Oslo", "name,age,city"),
        ("Ben,4,Rome", "name,age,city"),
    ]

"""What the recipes make of notes that people wrote."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from lmos.model.prompts import UNKNOWN_ANSWER
from recipes.reader.pages import Pages, read_pages
from recipes.reader.samples import Sample
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


COUNTRIES = {
    "Alba": {"Coastline": "12 km", "Capital - name": "Ora (2024 est.)"},
    "Bora": {"Coastline": "34 km", "Capital - name": "Pel; the old one is Quo"},
    "Cala": {"Coastline": "56 km", "Capital - name": "Rim"},
    "Dora": {"Coastline": "78 km"},
}


def test_pages_of_one_kind_are_told_apart(tmp_path: Path) -> None:
    sections = {"Coastline": "Geography", "Capital - name": "Government"}
    for number, (country, told) in enumerate(COUNTRIES.items()):
        lines = [f"{sections[label]} - {label}: {value}" for label, value in told.items()]
        text = "\n".join([f"Country: {country}", "", *lines, "Geography - Climate: mild"])
        (tmp_path / f"europe_{number}.txt").write_text(text + "\n", encoding="utf-8")
    pages = read_pages(tmp_path, held_out=False) | read_pages(tmp_path, held_out=True)
    assert pages["Alba"] == {"Geography - Coastline": "12 km", "Government - Capital - name": "Ora"}
    assert pages["Bora"]["Government - Capital - name"] == "Pel"
    values = {value for told in pages.values() for value in told.values()}
    rng = random.Random(0)
    samples: list[Sample] = []
    while len(samples) < 100:
        if (sample := Pages(pages).draw(rng)) is not None:
            samples.append(sample)
    said = {asked.answer for sample in samples for asked in sample.asked}
    assert said <= {*values, *COUNTRIES, UNKNOWN_ANSWER}
    assert UNKNOWN_ANSWER in said
    for sample in samples:
        text = "\n".join(each.label + each.text for each in sample.passages)
        assert all(each.answer in text for each in sample.asked if each.answer != UNKNOWN_ANSWER)

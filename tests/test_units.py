"""Units: sentences, items, rows, turns and code, each opened by what stands above it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmos.lines import Kind
from lmos.units import find_unit, iter_units, may_join

PIECES = [
    "# A", "## 1 March", "### B. C", "Tuesday.", "15 February", "3. März", "2024-05-03", "May",
    "To start the pump:", "Dr. Ana Moss: hi", "Ana: I came. I left.", "[10:02] Ana: hi", "Q:", "1.",
    "- one. Two", "- To do:", "  - b", "2. open. Close", "1.2. Foo", "| a | b. C |", "|---|---|",
    "a | b | c", "---|---", "---", "===", "--", "```", "```py", "~~~", "# comment", "x = 1", "key:",
    "name: value", "Ana,3,Oslo", "a, b, c", '"He came. Then left",5', '"I came. Then left," he said',
    "**Bold. One**", "**Note.** It", "__x__", "The cat is black", "our neighbour Henrik last",
    "Henrik Moss lives in", "the", "of the", "Sunday.", "Mrs.", "No. 5", "He said No.", "vol. II",
    "vitamin C.", "J. S. Bach", "U.S.", "a.m.", "z. B.", "d. h. so", "p. 12", "e.g.", "etc.", "I",
    "世界。你好", "。", "．5", "नमस्ते।", "Եվ։", "مرحبا؟", "wait…", "so!", '"Stop!"', "(see p. 5.)",
    "réunion", "e\u0301", "🌍", "12:30", "12", "2024", "{", "a;", "*", "#", "`", "“", "x,", "am 3.",
]  # fmt: skip
GAPS = [
    " ", "  ", "\n", "\n\n", "\n  ", "\n    ", "\r\n", "\n \n", "", ". ", ".\n", ":\n", "\t",
    "\xa0", ",\n", "? ",
]  # fmt: skip
TEXTS = st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(GAPS)), max_size=14).map(
    lambda pairs: "".join(piece + gap for piece, gap in pairs)
)
SIZES = st.sampled_from([7, 20, 40, 90, 256])


def units(text: str, max_bytes: int = 256) -> list[str]:
    return list(iter_units(text, max_bytes))


@given(TEXTS, SIZES)
@settings(deadline=None, max_examples=500)
def test_units_concatenate_to_the_text_and_keep_their_size(text: str, size: int) -> None:
    found = units(text, size)
    assert "".join(found) == text
    assert all(len(unit.encode()) <= size or len(unit) == 1 for unit in found)


@given(TEXTS, st.data(), SIZES)
@settings(deadline=None, max_examples=1500)
def test_all_units_but_the_last_stay_when_text_is_appended(
    text: str, data: st.DataObject, size: int
) -> None:
    place = data.draw(st.integers(0, len(text)))
    *final, _ = units(text[:place], size) or [""]
    assert units(text, size)[: len(final)] == final


@given(TEXTS, SIZES)
@settings(deadline=None, max_examples=300)
def test_cutting_anew_from_any_unit_gives_the_same_units(text: str, size: int) -> None:
    found = units(text, size)
    for number in range(len(found)):
        assert units("".join(found[number:]), size) == found[number:]

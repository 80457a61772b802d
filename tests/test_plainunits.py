"""Plain units: stores that were cut by them go on as they began, so no cut may ever change."""

from __future__ import annotations

import pytest

from lmos.text.plainunits import find_plain_stop


def plain_units(text: str, max_bytes: int = 256) -> list[str]:
    found, start = [], 0
    while start < len(text):
        stop = find_plain_stop(text, start, max_bytes)
        found.append(text[start:stop])
        start = stop
    return found


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("One. Two! Three? Four", ["One. ", "Two! ", "Three? ", "Four"]),
        ('He said "yes." Then left.', ['He said "yes." ', "Then left."]),
        ("Dr. Who met Mr. A. Smith. Then", ["Dr. Who met Mr. A. Smith. ", "Then"]),
        ("On Feb. 12. He said No. Yes", ["On Feb. ", "12. ", "He said No. Yes"]),
        ("# A\n\nHi. Ho", ["# A\n\n", "Hi. ", "Ho"]),
        ("one line\nand more", ["one line\n", "and more"]),
        ("a\n\n  b\nc", ["a\n\n  ", "b\n", "c"]),
        ("你好。世界！好", ["你好。", "世界！", "好"]),
        ("नमस्ते। हाँ", ["नमस्ते। हाँ"]),
        ("\n\n\n", ["\n\n\n"]),
        ("", []),
    ],
)
def test_units_are_those_of_earlier_versions(text: str, units: list[str]) -> None:
    assert plain_units(text) == units


def test_a_long_sentence_is_cut_at_spaces_and_a_long_word_anywhere() -> None:
    assert plain_units("aa bb cc dd", 7) == ["aa bb ", "cc dd"]
    assert plain_units("🌍🌍🌍", 5) == ["🌍", "🌍", "🌍"]

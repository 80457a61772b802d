"""Normal form: what looks the same is read the same."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmos.normal import readable

CHARS = "aé \n\t\xa0\xad\r\u200b\u200c\u200d\ufeff\u2028\u3000e\u0301کमी👩"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("cafe\u0301", "café"),
        ("Rasen\xadmäher", "Rasenmäher"),
        ("\ufeffIt\u200b rained.", "It rained."),
        ("one  two\t three\xa0four", "one two three four"),
        ("one \ntwo\t\r\nthree\rfour", "one\ntwo\nthree\nfour"),
        ("- a\n\t- b\n  - c", "- a\n    - b\n  - c"),
        ("a\n\n\nb", "a\n\n\nb"),
        ("f\u200di", "fi"),
        ("می\u200cخواهم 👩\u200d🔬", "می\u200cخواهم 👩\u200d🔬"),
        ("", ""),
    ],
)
def test_what_cannot_be_seen_is_not_read(text: str, read: str) -> None:
    assert readable(text) == read


@given(st.text(st.sampled_from(CHARS), max_size=30))
@settings(deadline=None, max_examples=500)
def test_a_text_that_was_made_readable_stays(text: str) -> None:
    read = readable(text)
    assert readable(read) == read
    assert unicodedata.is_normalized("NFC", read)
    assert "  " not in "".join(line.lstrip() for line in read.split("\n"))
    assert all(line == line.rstrip() for line in read.split("\n"))


@given(st.text(max_size=60))
@settings(deadline=None, max_examples=300)
def test_words_stay(text: str) -> None:
    seen = "".join(char for char in text if char.isalnum())
    read = "".join(char for char in readable(text) if char.isalnum())
    assert unicodedata.normalize("NFC", seen) == unicodedata.normalize("NFC", read)

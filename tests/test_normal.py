"""Normal form: what looks the same is read the same."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmos.text.normal import readable, see, trim

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


@given(st.text(st.sampled_from("\r\n a\u0301\xad\ufeff"), max_size=12))
@settings(deadline=None, max_examples=500)
def test_what_is_read_is_what_is_seen(text: str) -> None:
    assert readable(text) == readable(see(text).text)


@given(st.text(max_size=60))
@settings(deadline=None, max_examples=300)
def test_words_stay(text: str) -> None:
    seen = "".join(char for char in text if char.isalnum())
    read = "".join(char for char in readable(text) if char.isalnum())
    assert unicodedata.normalize("NFC", seen) == unicodedata.normalize("NFC", read)


# What is seen


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain  text\n\twith tabs", "plain  text\n\twith tabs"),
        ("cafe\u0301\xa0a\u00adu\r\nlait\u2028", "café au\nlait\n"),
        ("\ufeffIt", "It"),
        ("\ufeff\u200b", ""),
        ("e\u00ad\u0301", "é"),
        ("\u1112\u1161\u11ab", "한"),
        ("\u0958", "\u0915\u093c"),
    ],
)
def test_a_text_is_seen_without_what_cannot_be_seen(text: str, seen: str) -> None:
    assert see(text).text == seen


@given(st.one_of(st.text(st.sampled_from(CHARS), max_size=30), st.text(max_size=40)))
@settings(deadline=None, max_examples=500)
def test_every_byte_that_is_seen_has_its_place_in_the_text(text: str) -> None:
    seen, origins = see(text)
    assert len(origins) == len(seen.encode()) + 1
    assert origins[0] == 0
    assert list(origins) == sorted(origins)
    assert not seen or origins[-1] == len(text.encode())
    for count in range(len(seen) + 1):
        # Whole characters stand before each place between two.
        text.encode()[: origins[len(seen[:count].encode())]].decode()


def test_origins_are_those_of_what_was_composed_or_left_out() -> None:
    text = "\ufeffCafe\u0301\xa0au\xad"
    seen, origins = see(text)
    start = len("Café".encode())
    assert seen == "Café au"
    assert text.encode()[origins[start - 2] : origins[start]].decode() == "e\u0301"
    assert text.encode()[origins[start + 1] :].decode() == "au\xad"


@given(st.text(st.sampled_from(CHARS), max_size=20))
@settings(deadline=None, max_examples=300)
def test_text_is_trimmed_of_all_that_is_blank(text: str) -> None:
    start, stop = trim(text)
    assert not text[:start].strip(" \n\t\xa0\xad\r\u200b\ufeff\u2028\u3000")
    assert not text[stop:].strip(" \n\t\xa0\xad\r\u200b\ufeff\u2028\u3000")
    assert start == stop or text[start : start + 1].strip(" \n\xa0\xad\ufeff")

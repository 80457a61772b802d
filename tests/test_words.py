"""Words: two spellings that mean the same are the same, whatever the script."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmos.store.words import plain, words_of


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Déjà VU", "deja vu"),
        ("STRASSE", "straße"),
        ("ﬁle ｆｕｌｌ", "file full"),
        ("soft\u00adhy\u200bphen", "softhyphen"),
        ("Ångström", "A\u030angstro\u0308m"),
        ("cities, dogs!", "city dog"),
        ("walked walking walks", "walk walk walk"),
        ("internationally", "international"),
        ("ΑΘΉΝΑ", "αθηνα"),
        ("ﾄｳｷｮｳ", "トウキョウ"),
    ],
)
def test_spellings_that_mean_the_same_are_the_same_words(left: str, right: str) -> None:
    assert words_of(left) == words_of(right) != []


@pytest.mark.parametrize(
    ("left", "right"), [("glass", "glas"), ("car", "cat"), ("か", "が"), ("1912", "1913")]
)
def test_words_that_differ_stay_apart(left: str, right: str) -> None:
    assert words_of(left) != words_of(right)


def test_scripts_without_spaces_are_found_by_characters_and_pairs() -> None:
    assert words_of("東京は") == ["東", "京", "は", "東京", "京は"]
    assert set(words_of("東京")) < set(words_of("私は東京へ行く"))
    assert words_of("GPUは") == ["gpu", "は"]
    assert set(words_of("กรุงเทพ")) < set(words_of("ไปกรุงเทพกัน"))
    assert set(words_of("서울")) < set(words_of("서울에서"))


def test_vowel_signs_do_not_cut_a_word() -> None:
    assert words_of("हिन्दी में") == ["हिन्दी", "में"]


def test_what_is_not_a_word_is_a_gap() -> None:
    assert words_of("a.b_c-d\x00e\t(f)'g") == list("abcdefg")
    assert words_of(" \n… !?") == []


@given(st.text())
def test_words_are_such_as_the_index_takes(text: str) -> None:
    words = words_of(text)
    assert all(words)
    assert all(char.isalnum() or not char.isascii() for word in words for char in word)
    assert words_of(plain(text)) == words

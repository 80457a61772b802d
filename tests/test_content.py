"""Answers are compared by what they say."""

from __future__ import annotations

import pytest

from lmos.text.content import f1, is_exact, is_same, rest_of_word, words_of


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("The code is 4812.", "4812"),
        ("in Hull", "Hull"),
        ("She works as a baker in Hull.", "Hull"),
        ("710 pounds", "710 pounds a month"),
        ("No, it is closed.", "no"),
        ("Besançon", "besançon"),
        ("the old mill", "The old mill!"),
        ("oskar@posteo.net", "oskar@posteo.net."),
    ],
)
def test_the_same_in_other_words_is_the_same(said: str, wanted: str) -> None:
    assert is_same(said, wanted)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("oskar@posteo", "oskar@posteo.net"),
        ("1,250", "1,250.50"),
        ("yes", "no"),
        ("I have no idea", "no"),
        ("", "no"),
        ("12 March", "2 March"),
        ("word " * 30 + "Hull", "Hull"),
        ("Leeds", "Hull"),
    ],
)
def test_something_else_is_something_else(said: str, wanted: str) -> None:
    assert not is_same(said, wanted)


def test_exact_match_and_f1_are_those_of_squad() -> None:
    assert is_exact("The Mill.", "mill")
    assert not is_exact("old mill", "mill")
    assert f1("the old mill", "mill") == pytest.approx(2 / 3)
    assert f1("leeds", "mill") == 0.0
    assert f1("", "") == 1.0


def test_marks_inside_of_words_stay() -> None:
    assert words_of('"The rent is 1,250.50 €," she said.') == [
        "rent", "is", "1,250.50", "€", "she", "said",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "text", "rest"),
    [
        ("ida@mail", "Write to ida@mail.example, please.", ".example"),
        ("2,480", "The fee (2,480.75) is due.", ".75"),
        ("8.25", "The rate is 8.25%.", "%"),
        ("0171 555", "Ring 0171 555 0199 tonight.", " 0199"),
        ("Hull", "She lives in Hull.", ""),
        ("Hull", "Hull, or Hullavington", ""),
        ("Leeds", "She lives in Hull.", ""),
        ("in 1984", "Born in 1984 12 miles away.", ""),
        ("Dr", "Drummond saw Dr. Amara Lindqvist today.", ". Amara Lindqvist"),
        ("Prof. Dr.", "Prof. Dr. A. Weiß-Kern spricht.", " A. Weiß-Kern"),
        ("Dr. Amara Lindq", "Dr. Amara Lindqvist came.", "vist"),
        ("Main St", "On Main St. She lives there.", ""),
        ("", "anything", ""),
        ("no", "Rosa does not eat fish.", ""),
        ("D4", "rope,D4,19", ""),
        ("16:50", "3,16:50,yes", ""),
        ("7", "shelf 7,blue", ""),
        ("£1", "It costs £1,250 a year.", ",250"),
    ],
)
def test_a_value_that_was_cut_is_grown(said: str, text: str, rest: str) -> None:
    assert rest_of_word(said, [text]) == rest

"""Words of an answer are spelt as in what was read, where the model is in two minds."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from lmos.reading.copying import CopiedWords

PIECES = ["", "C", "aval", "anal", " Road", "not", " found", "es", "s", "yes", "Ber", "Bes"]
PIECES += ["ançon", "no", "t", "te"]
TEXT = (
    "[notes.txt]\nThe car is on Canal Road. Zoë lives in Besançon with two hens. A note: not now."
)


def decode(ids: Sequence[int]) -> str:
    return "".join(PIECES[number] for number in ids)


def choose(said: Sequence[str], **likely: float) -> str:
    """What is said next, where these pieces are so likely; spaces are written `_`."""
    probabilities = torch.full((len(PIECES),), 1e-6)
    for piece, probability in likely.items():
        probabilities[PIECES.index(piece.replace("_", " ").replace("END", ""))] = probability
    copied = CopiedWords(decode, {0}, [TEXT])
    return PIECES[copied([PIECES.index(piece) for piece in said], probabilities.log())]


@pytest.mark.parametrize(
    ("said", "likely", "expected"),
    [
        ([], {"C": 0.9}, "C"),
        (["C"], {"aval": 0.5, "anal": 0.2}, "anal"),
        # Too unlikely: the model may know better.
        (["C"], {"aval": 0.9, "anal": 0.01}, "aval"),
        (["C", "anal"], {"_Road": 0.9, "s": 0.1}, " Road"),
        # A name is held to the text from its beginning.
        ([], {"Ber": 0.5, "Bes": 0.2}, "Bes"),
        (["Bes"], {"END": 0.6, "ançon": 0.3}, "ançon"),
        # What is no name, and no word of the text, stays what it was.
        ([], {"yes": 0.5, "Bes": 0.2}, "yes"),
        (["not"], {"_found": 0.99, "es": 0.001}, " found"),
        (["C", "anal", " Road"], {"END": 0.9}, ""),
        # A mere yes or no is whole, whatever the text has.
        (["no"], {"END": 0.6, "te": 0.3}, ""),
        (["no"], {"t": 0.6, "END": 0.3}, "t"),
    ],
)
def test_a_word_goes_on_as_in_the_text(
    said: list[str], likely: dict[str, float], expected: str
) -> None:
    assert choose(said, **likely) == expected

"""Samples whose lines stand in the midst of prose, as a book's leaves hold them.

Wraps another source of samples: each of its passages is read with prose around it, and other
prose is read beside. Knows text and samples; knows no tokens.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lmos.model.formats import ReadPassage
from lmos.training.corpus import read_documents
from lmos.tree.segments import iter_units
from recipes.reader.samples import Sample
from recipes.reader.sources import Draw

_WORD = re.compile(r"\w+")
_MAX_SENTENCE = 220
_CHARS_OF_A_BOOK = 60_000
_COMMON = frozenset(
    "a an and as at by for from he her his i in is it of on she that the to".split()
)


def read_prose(folder: Path, *, held_out: bool) -> list[list[str]]:
    """Sentences of every book, in order; long ones are left out."""
    books = read_documents(folder, held_out=held_out, max_document_chars=_CHARS_OF_A_BOOK)
    return [
        [
            sentence
            for unit in iter_units(" ".join(book.text.split()), 400)
            if 12 < len(sentence := unit.strip()) < _MAX_SENTENCE
        ]
        for book in books
    ]


class Scattered:
    """Samples of another source, scattered through books.

    Args:
        inner: Sources of samples, with their weights.
        books: Sentences of each book.
        kind: Of the samples.
        max_chars: Of all passages together, about.
    """

    def __init__(
        self,
        inner: Sequence[tuple[Draw, float]],
        books: Sequence[Sequence[str]],
        kind: str = "scattered",
        max_chars: int = 1600,
    ) -> None:
        self._draws = [draw for draw, _ in inner]
        self._weights = [weight for _, weight in inner]
        self._books = [book for book in books if len(book) > 100]
        self._kind, self._max_chars = kind, max_chars

    def draw(self, rng: random.Random) -> Sample | None:
        """Draw a sample; `None` if it came out empty or too long."""
        sample = rng.choices(self._draws, self._weights)[0](rng)
        if sample is None or sum(len(each.text) for each in sample.passages) > self._max_chars:
            return None
        book = rng.choice(self._books)
        names = _names(sample)
        width = rng.choice((0, 60, 120))
        passages = [
            replace(each, text=_wrap(rng, book, each.text, width, names))
            for each in sample.passages
        ]
        spare = self._max_chars - sum(len(each.text) for each in passages)
        for text in _distractors(rng, book, sample, names, rng.choice((0, 2, 4, 8))):
            if (spare := spare - len(text)) < 0:
                break
            place = rng.randint(0, len(passages))
            beside = passages[min(place, len(passages) - 1)]
            passages.insert(place, ReadPassage(text, beside.source, beside.time))
        return Sample(tuple(passages), sample.asked, self._kind)


def _names(sample: Sample) -> frozenset[str]:
    """Words of the questions that no prose may hold: names, and what else has a capital."""
    found = (
        word
        for asked in sample.asked
        for word in _WORD.findall(asked.question)[1:]
        if word[0].isupper()
    )
    return frozenset(found)


def _stretch(rng: random.Random, book: Sequence[str], names: frozenset[str]) -> str:
    """A sentence of the book, without those names; empty after a few tries."""
    for _ in range(8):
        sentence = rng.choice(book)
        if names.isdisjoint(_WORD.findall(sentence)):
            return sentence
    return ""


def _wrap(
    rng: random.Random, book: Sequence[str], text: str, width: int, names: frozenset[str]
) -> str:
    """The text with the end of a sentence before it and the begin of one after it, by chance."""
    before = _stretch(rng, book, names) if rng.random() < 0.6 else ""
    after = _stretch(rng, book, names) if rng.random() < 0.6 else ""
    if len(before) > width:
        before = before[len(before) - width :].partition(" ")[2]
    if len(after) > width:
        after = after[:width].rpartition(" ")[0]
    return " ".join(part for part in (before, text, after) if part)


def _distractors(
    rng: random.Random, book: Sequence[str], sample: Sample, names: frozenset[str], count: int
) -> list[str]:
    """Sentences of the book that share words with the questions, best first."""
    words = {
        word.casefold()
        for asked in sample.asked
        for word in _WORD.findall(asked.question)
        if word not in names
    } - _COMMON
    some = [each for _ in range(40 if count else 0) if (each := _stretch(rng, book, names))]
    some.sort(key=lambda text: -len(words & {each.casefold() for each in _WORD.findall(text)}))
    return some[:count]

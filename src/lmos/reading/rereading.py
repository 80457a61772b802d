"""Reading again: what single passages and statements say of the same question, each read alone.

An answer that was made of several passages is not to be trusted where its own passage alone does
not give it: then the passages that fit best are read alone as well, and the surest answer is
given. And a fact that changed stands in the context twice, of which an answer gives one. Knows the
model and passages; knows neither stores nor how passages were chosen.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch

from lmos.model.base import BaseModel
from lmos.model.confidence import SecondReading, find_words
from lmos.model.formats import ReadPassage, Turn, is_unknown
from lmos.reading.citations import Citation, Passage
from lmos.reading.generation import AnswerStream, embed_ids, stream_answer
from lmos.text.content import is_polar, is_same, rest_of_word, words_of
from lmos.text.units import iter_units

_LEAST_SHARED = 0.5
"""Share of the words beside the answer that a passage about the same has in common with it."""
_LEAST_PROBABILITY = 0.5
"""Of the answer's tokens, and of not saying that there is none."""
_SURE = 0.9
"""From here on an answer is shown at once, and what its passage says alone is looked at later."""
_NUM_ALONE = 3
"""Passages that are read alone where readings differ."""
_UNIT_BYTES = 400
_MAX_READ = 2
_MAX_TOKENS = 32


@dataclass(frozen=True)
class Differing:
    """Another answer to the question.

    Attributes:
        text: The answer, as it stands in its passage.
        is_earlier: Whether its passage is older than the one that the answer stands in, by the
            times of their sources, or else by their places in one source; `None` if neither tells.
        citation: The passage.
    """

    text: str
    is_earlier: bool | None
    citation: Citation


@dataclass(frozen=True)
class _Statement:
    """A sentence, row or item of a passage, and the number of the passage."""

    text: str
    number: int


class Reading(NamedTuple):
    """An answer, and how likely its tokens were.

    Attributes:
        text: The answer.
        log_probabilities: Of its tokens, natural logarithms.
        unknown_log_probability: Of `UNKNOWN_ANSWER` in its place; see `AnswerStream`.
    """

    text: str
    log_probabilities: Sequence[float]
    unknown_log_probability: float

    @property
    def sureness(self) -> float:
        """Mean probability of a token, times that of there being an answer; 0 if it says none."""
        if is_unknown(self.text):
            return 0.0
        mean = sum(self.log_probabilities) / max(len(self.log_probabilities), 1)
        return math.exp(mean) * (1 - math.exp(min(0.0, self.unknown_log_probability)))

    def says(self, other: str) -> bool:
        """Whether it is the same answer as another."""
        return is_same(self.text, other) or is_same(other, self.text)

    def seconds(self, other: str) -> SecondReading:
        """It as a second reading of a question that was answered so."""
        return SecondReading(self.says(other), self.log_probabilities, self.unknown_log_probability)


@dataclass(frozen=True)
class Reader:
    """Asks a model about single passages and statements.

    Attributes:
        model: The one that answered.
        question: As it was asked.
        turns: The questions before it, and their answers.
        read: The passages as the model was given them, one for each that was found.
        scores: How well each of them fits the question, larger is better.
        max_new_tokens: An answer has at most so many tokens.
    """

    model: BaseModel
    question: str
    turns: Sequence[Turn]
    read: Sequence[ReadPassage]
    scores: Sequence[float] = ()
    max_new_tokens: int = _MAX_TOKENS
    _readings: dict[ReadPassage, Reading] = field(default_factory=dict, repr=False)

    def read_again(self, said: str) -> SecondReading | None:
        """What the passage that holds an answer says without the others.

        `None` if there are no others, none holds it word for word, or it is a mere yes or no.

        Args:
            said: The answer.
        """
        own = self._read_own(said)
        return None if own is None else own.seconds(said)

    def settle(self, first: Reading) -> tuple[Reading, SecondReading | None]:
        """The answer to give, and another reading to judge it by.

        That is the first one as long as its own passage alone says the same. Else the passages
        that fit best are read alone, and of all answers the one that is said most surely is
        given; those that several say count together.

        Args:
            first: What all passages together said.
        """
        said = first.text + rest_of_word(first.text, [passage.words for passage in self.read])
        if is_unknown(said) or is_polar(said) or len(self.read) < 2:
            return first, None
        own = self._read_own(said)
        if own is not None and own.says(said):
            return first, own.seconds(said)
        order = sorted(range(len(self.scores)), key=lambda number: -self.scores[number])
        others = [self.read_alone(self.read[number]) for number in order[:_NUM_ALONE]]
        if own is not None and own not in others:
            others.append(own)
        best = _surest([first, *others])
        if best.says(said):
            return first, None if own is None else own.seconds(said)
        return best, first.seconds(best.text)

    def _read_own(self, said: str) -> Reading | None:
        holding = [passage for passage in self.read if find_words(said, passage.text)]
        if not holding or len(self.read) < 2 or is_polar(said):
            return None
        return self.read_alone(holding[0])

    def differing(self, said: str, passages: Sequence[Passage]) -> tuple[Differing, ...]:
        """Answers of other statements about the same that say something else.

        Only statements that resemble one with the answer are read, two at most.

        Args:
            said: The answer.
            passages: What was found, in the order of `read`.
        """
        statements = [
            _Statement(unit.strip(), number)
            for number, passage in enumerate(self.read)
            for unit in iter_units(passage.text, _UNIT_BYTES)
        ]
        holding = [each for each in statements if find_words(said, each.text)]
        others = [each for each in statements if each not in holding]
        if not holding:
            return ()
        shared = {
            each: max(_shared(own.text, each.text, said) for own in holding) for each in others
        }
        alike = [each for each in others if shared[each] >= _LEAST_SHARED]
        alike.sort(key=lambda each: -shared[each])
        found: dict[str, Differing] = {}
        for each in alike[:_MAX_READ]:
            other = self._answer(replace(self.read[each.number], text=each.text))
            if other and find_words(other, each.text) and not is_same(other, said):
                passage, own = passages[each.number], passages[holding[0].number]
                is_earlier = _is_earlier(passage, own)
                if each.number == holding[0].number:
                    is_earlier = statements.index(each) < statements.index(holding[0])
                found.setdefault(other, Differing(other, is_earlier, passage.cite(other)))
        return tuple(found.values())

    def _answer(self, passage: ReadPassage) -> str:
        """What the passage alone says; nothing if the model is not sure."""
        reading = self.read_alone(passage)
        return "" if is_unknown(reading.text) or not _is_sure(reading) else reading.text

    @torch.no_grad()
    def read_alone(self, passage: ReadPassage) -> Reading:
        """What a passage says of the question without others; read once."""
        if passage not in self._readings:
            ids = self.model.format.prompt_ids(self.question, [passage], self.turns)
            prompt_TD = embed_ids(self.model, ids).float()
            limit = min(self.max_new_tokens, _MAX_TOKENS)
            stream = stream_answer(self.model, prompt_TD, limit, texts=[passage.words])
            self._readings[passage] = reading_of("".join(stream), stream)
        return self._readings[passage]


class SettledStream:
    """An answer that was read from several passages, checked against what they say alone.

    It is shown when it is settled; one that is sure or long, or that was cut off, is shown as it is
    generated.

    Attributes:
        log_probabilities: Of the tokens of the answer that is given.
        unknown_log_probability: See `AnswerStream`.
        second: The other reading to judge it by, once all is read; see `Reader.settle`.

    Args:
        stream: Of the answer from all passages.
        reader: Of the same question.
        may_change: Whether another answer may be given in its place; an answer that was drawn by
            chance stays.
    """

    def __init__(self, stream: AnswerStream, reader: Reader, *, may_change: bool = True) -> None:
        self.second: SecondReading | None = None
        self._stream, self._reader, self._may_change = stream, reader, may_change
        self._given: Reading | None = None

    @property
    def log_probabilities(self) -> Sequence[float]:
        """See the class."""
        return (self._given or self._stream).log_probabilities

    @property
    def unknown_log_probability(self) -> float:
        """See the class."""
        return (self._given or self._stream).unknown_log_probability

    def __iter__(self) -> Iterator[str]:
        pieces, coming = [], iter(self._stream)
        if self._may_change and len(self._reader.read) > 1:
            for piece in coming:
                pieces.append(piece)
                if len(self._stream.log_probabilities) >= _MAX_TOKENS:
                    break
        first = reading_of("".join(pieces), self._stream)
        is_whole = len(first.log_probabilities) < min(_MAX_TOKENS, self._reader.max_new_tokens)
        if pieces and is_whole and first.sureness < _SURE:
            self._given, self.second = self._reader.settle(first)
            yield from pieces if self._given is first else [self._given.text]
            return
        yield from pieces
        for piece in coming:
            pieces.append(piece)
            yield piece
        self.second = self._reader.read_again("".join(pieces).strip())


def reading_of(text: str, stream: AnswerStream) -> Reading:
    """A stream that has ended, as a reading."""
    return Reading(text.strip(), stream.log_probabilities, stream.unknown_log_probability)


def _surest(readings: Sequence[Reading]) -> Reading:
    """The first of those that say what is said most surely."""
    totals = [
        sum(each.sureness for each in readings if each.text.casefold() == one.text.casefold())
        for one in readings
    ]
    return readings[max(range(len(readings)), key=totals.__getitem__)]


def _is_sure(reading: Reading) -> bool:
    mean = sum(reading.log_probabilities) / max(len(reading.log_probabilities), 1)
    is_known = 1 - math.exp(min(0.0, reading.unknown_log_probability))
    return math.exp(mean) >= _LEAST_PROBABILITY and is_known >= _LEAST_PROBABILITY


def _shared(own: str, other: str, said: str) -> float:
    """Share of the words of the shorter of two texts, but for the answer, that both have."""
    apart = set(words_of(said))
    mine, theirs = (set(map(_stem, words_of(text))) - apart for text in (own, other))
    return len(mine & theirs) / max(1, min(len(mine), len(theirs)))


def _stem(word: str) -> str:
    return re.sub(r"(?:'s|ed|s)$", "", word) if len(word) > 3 else word


def _is_earlier(passage: Passage, own: Passage) -> bool | None:
    mine, other = own.hit.source, passage.hit.source
    if mine.source_id == other.source_id:
        return passage.hit.byte_span.start < own.hit.byte_span.start
    if mine.time is None or other.time is None or mine.time == other.time:
        return None
    return other.time < mine.time

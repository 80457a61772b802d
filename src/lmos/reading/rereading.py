"""Reading again: what single passages and statements say of the same question, each read alone.

An answer that was made of several passages is not to be trusted where its own passage alone does
not give it; and a fact that changed stands in the context twice, of which an answer gives one.
Knows the model and passages; knows neither stores nor how passages were chosen.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from lmos.model.base import BaseModel
from lmos.model.confidence import SecondReading, find_words
from lmos.model.formats import ReadPassage, Turn, is_unknown
from lmos.reading.citations import Citation, Passage
from lmos.reading.generation import AnswerStream, embed_ids, stream_answer
from lmos.text.content import is_polar, is_same, words_of
from lmos.text.units import iter_units

_LEAST_SHARED = 0.5
"""Share of the words beside the answer that a passage about the same has in common with it."""
_LEAST_PROBABILITY = 0.5
"""Of the answer's tokens, and of not saying that there is none."""
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


@dataclass(frozen=True)
class Reader:
    """Asks a model about single statements.

    Attributes:
        model: The one that answered.
        question: As it was asked.
        turns: The questions before it, and their answers.
        read: The passages as the model was given them, one for each that was found.
    """

    model: BaseModel
    question: str
    turns: Sequence[Turn]
    read: Sequence[ReadPassage]

    def read_again(self, said: str) -> SecondReading | None:
        """What the passage that holds an answer says without the others.

        `None` if there are no others, none holds it word for word, or it is a mere yes or no.

        Args:
            said: The answer.
        """
        holding = [passage for passage in self.read if find_words(said, passage.text)]
        if not holding or len(self.read) == 1 or is_polar(said):
            return None
        text, stream = self._read_alone(holding[0])
        return SecondReading(
            is_same(text, said) or is_same(said, text),
            stream.log_probabilities,
            stream.unknown_log_probability,
        )

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
        text, stream = self._read_alone(passage)
        return "" if is_unknown(text) or not _is_sure(stream) else text

    @torch.no_grad()
    def _read_alone(self, passage: ReadPassage) -> tuple[str, AnswerStream]:
        ids = self.model.format.prompt_ids(self.question, [passage], self.turns)
        prompt_TD = embed_ids(self.model, ids).float()
        stream = stream_answer(self.model, prompt_TD, _MAX_TOKENS, texts=[passage.words])
        return "".join(stream).strip(), stream


def _is_sure(stream: AnswerStream) -> bool:
    mean = sum(stream.log_probabilities) / max(len(stream.log_probabilities), 1)
    is_known = 1 - math.exp(min(0.0, stream.unknown_log_probability))
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

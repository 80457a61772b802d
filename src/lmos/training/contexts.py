"""Contexts: long texts with questions and the places that answer them.

Facts hidden in books, real articles and stories with their questions, and words quoted from the
text itself. Knows text and byte spans; knows no tokens.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from lmos.nodes import Span
from lmos.segments import iter_units
from lmos.training.corpus import PassageSampler
from lmos.training.facts import TRAINING_FAMILIES, Family, make_facts
from lmos.training.questions import PassageQuestion
from lmos.training.words import WordBank

_UNIT_BYTES = 256
_QUOTE_FORMS = (
    "{}",
    "{}?",
    "What about {}?",
    "Where is {} mentioned?",
    "What is said of {}?",
    "Find the passage with {}.",
)


@dataclass(frozen=True)
class GoldQuestion:
    """A question and the sentence of its context that answers it.

    Attributes:
        question: As a user would ask it.
        answer: `None` when only the place is known.
        gold: Bytes of the context.
    """

    question: str
    answer: str | None
    gold: Span


@dataclass(frozen=True)
class Context:
    """A text and questions about it."""

    text: str
    questions: tuple[GoldQuestion, ...]


def hide_facts(
    rng: random.Random,
    haystack: str,
    words: WordBank,
    families: Sequence[Family],
    num_facts: int,
) -> Context:
    """Scatter one-sentence facts between the sentences of a text, at places drawn evenly."""
    units = list(iter_units(haystack, _UNIT_BYTES))
    facts = make_facts(rng, words, families, num_facts)
    places = sorted(rng.randrange(len(units) + 1) for _ in facts)
    parts: list[str] = []
    questions = []
    offset = 0
    waiting = list(zip(places, facts, strict=True))
    for index in range(len(units) + 1):
        while waiting and waiting[0][0] == index:
            _, fact = waiting.pop(0)
            if parts and not parts[-1][-1].isspace():
                parts.append(" ")
                offset += 1
            size = len(fact.statement.encode())
            questions.append(GoldQuestion(fact.question, fact.answer, Span(offset, offset + size)))
            parts.append(fact.statement + " ")
            offset += size + 1
        if index < len(units):
            parts.append(units[index])
            offset += len(units[index].encode())
    return Context("".join(parts), tuple(questions))


def quote_questions(rng: random.Random, text: str, count: int) -> list[GoldQuestion]:
    """Questions made of a few words of one sentence: they can be asked of any text."""
    units = []
    offset = 0
    for unit in iter_units(text, _UNIT_BYTES):
        units.append((unit, offset))
        offset += len(unit.encode())
    questions = []
    for unit, start in rng.sample(units, min(count, len(units))):
        words = [word.strip(".,;:!?\"'()-_“”‘’") for word in unit.split()]
        words = list(dict.fromkeys(word for word in words if len(word) > 3))
        if len(words) < 4:
            continue
        longest = sorted(words, key=len, reverse=True)[: max(3, len(words) // 2)]
        kept = set(rng.sample(longest, min(len(longest), rng.randint(2, 4))))
        quoted = " ".join(word for word in words if word in kept)
        span = Span(start, start + len(unit.encode()))
        questions.append(GoldQuestion(rng.choice(_QUOTE_FORMS).format(quoted), None, span))
    return questions


class ContextSampler:
    """Draws training contexts: books with hidden facts, articles and stories with questions.

    Args:
        passages: Books.
        questions: Real passages with questions, in document order.
        passage_share: Share of contexts made of real passages.
    """

    def __init__(
        self,
        passages: PassageSampler,
        questions: Sequence[PassageQuestion],
        passage_share: float = 0.4,
    ) -> None:
        self._passages = passages
        self._words = WordBank(held_out=False, wild=passages.words())
        by_title: dict[str, list[PassageQuestion]] = defaultdict(list)
        for question in questions:
            by_title[question.title].append(question)
        self._articles = list(by_title.values())
        self._passage_share = passage_share if self._articles else 0.0

    def sample(self, rng: random.Random, num_chars: int, num_questions: int) -> Context:
        """A context of about `num_chars` characters with about `num_questions` questions."""
        if rng.random() < self._passage_share:
            return self._article(rng, num_chars, num_questions)
        num_facts = max(1, round(num_questions * rng.uniform(0.5, 0.9)))
        haystack = self._passages.sample(rng, num_chars - 55 * num_facts)
        context = hide_facts(rng, haystack, self._words, TRAINING_FAMILIES, num_facts)
        quotes = quote_questions(rng, context.text, num_questions - num_facts)
        return Context(context.text, (*context.questions, *quotes))

    def _article(self, rng: random.Random, num_chars: int, num_questions: int) -> Context:
        """Consecutive passages of one article, then of others until the length is reached."""
        parts: list[str] = []
        questions: list[GoldQuestion] = []
        size = 0
        while size < num_chars:
            article = rng.choice(self._articles)
            for passage in article[rng.randrange(len(article)) :]:
                text = " ".join(passage.passage.split()) + "\n"
                questions.extend(_located(passage, text, sum(len(part.encode()) for part in parts)))
                parts.append(text)
                size += len(text)
                if size >= num_chars:
                    break
        rng.shuffle(questions)
        text = "".join(parts)
        num_quotes = num_questions // 4
        quotes = quote_questions(rng, text, num_quotes)
        return Context(text, (*questions[: num_questions - num_quotes], *quotes))


def _located(passage: PassageQuestion, text: str, offset: int) -> list[GoldQuestion]:
    """The passage's questions whose answer stands in it word for word, with its sentence."""
    located = []
    for question, answer in passage.pairs:
        place = text.find(answer)
        if place < 0:
            continue
        place_bytes = len(text[:place].encode())
        start = 0
        for unit in iter_units(text, _UNIT_BYTES):
            stop = start + len(unit.encode())
            if start <= place_bytes < stop:
                gold = Span(offset + start, offset + stop)
                located.append(GoldQuestion(question, answer, gold))
                break
            start = stop
    return located

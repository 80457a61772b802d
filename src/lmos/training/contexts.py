"""Contexts: long texts with questions and the places that answer them.

Facts, stories and examples of rules hidden in books, real articles with their questions, and words
quoted from the text itself. Knows text and byte spans; knows no tokens.
"""

from __future__ import annotations

import abc
import random
from collections.abc import Sequence
from dataclasses import dataclass

from lmos.nodes import Span
from lmos.settings import PASSAGE_SHARE
from lmos.training.classification import make_episode
from lmos.training.corpus import PassageSampler
from lmos.training.facts import Fact, make_facts, make_update
from lmos.training.families import TRAINING_FAMILIES, WILD_FAMILIES, Family
from lmos.training.questions import PassageQuestion, group_by_title
from lmos.training.stories import make_story
from lmos.training.words import WordBank
from lmos.tree.segments import iter_units

_UNIT_BYTES = 256
_STORY_SHARE = 0.4
_EPISODE_SHARE = 0.15
_UPDATE_SHARE = 0.08
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
    """A question and the sentences of its context that answer it.

    Attributes:
        question: As a user would ask it.
        answer: As the model is taught to say it; `None` when only the places are known.
        golds: Bytes of the context, in order; all are needed.
    """

    question: str
    answer: str | None
    golds: tuple[Span, ...]


@dataclass(frozen=True)
class Context:
    """A text and questions about it."""

    text: str
    questions: tuple[GoldQuestion, ...]


@dataclass(frozen=True)
class Hidden:
    """Sentences to be hidden in a text in their order.

    Attributes:
        sentences: Whole sentences.
        questions: `(question, answer, indices of the sentences that are needed)`.
    """

    sentences: tuple[str, ...]
    questions: tuple[tuple[str, str, tuple[int, ...]], ...]


def hide(rng: random.Random, haystack: str, hidden: Sequence[Hidden]) -> Context:
    """Scatter sentences between the sentences of a text, at places drawn evenly."""
    units = list(iter_units(haystack, _UNIT_BYTES))
    waiting: list[tuple[int, int, int]] = []
    for number, group in enumerate(hidden):
        places = sorted(rng.randrange(len(units) + 1) for _ in group.sentences)
        waiting += [(place, number, index) for index, place in enumerate(places)]
    waiting.sort(reverse=True)
    parts: list[str] = []
    spans: dict[tuple[int, int], Span] = {}
    offset = 0
    for place, unit in enumerate([*units, ""]):
        while waiting and waiting[-1][0] == place:
            _, number, index = waiting.pop()
            gap = " " if parts and not parts[-1][-1].isspace() else ""
            sentence = hidden[number].sentences[index]
            start = offset + len(gap)
            spans[number, index] = Span(start, start + len(sentence.encode()))
            parts.append(f"{gap}{sentence} ")
            offset += len(parts[-1].encode())
        if unit:
            parts.append(unit)
            offset += len(unit.encode())
    questions = [
        GoldQuestion(question, answer, tuple(spans[number, index] for index in needed))
        for number, group in enumerate(hidden)
        for question, answer, needed in group.questions
    ]
    return Context("".join(parts), tuple(questions))


def hide_facts(
    rng: random.Random,
    haystack: str,
    words: WordBank,
    families: Sequence[Family],
    num_facts: int,
) -> Context:
    """Scatter one-sentence facts through a text."""
    facts = make_facts(rng, words, families, num_facts)
    return hide(rng, haystack, [_hidden_fact(fact) for fact in facts])


def _hidden_fact(fact: Fact) -> Hidden:
    return Hidden((fact.statement,), ((fact.question, fact.answer, (0,)),))


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
        questions.append(GoldQuestion(rng.choice(_QUOTE_FORMS).format(quoted), None, (span,)))
    return questions


class AbstractSampler(abc.ABC):
    """Where the contexts of a training come from."""

    @abc.abstractmethod
    def sample(self, rng: random.Random, num_chars: int, num_questions: int) -> Context:
        """A context of about `num_chars` characters with about `num_questions` questions."""


class ContextSampler(AbstractSampler):
    """Draws training contexts: books with facts, stories and examples hidden in them, articles.

    Args:
        passages: Books.
        questions: Real passages with questions, in document order.
        passage_share: Share of contexts made of real passages.
    """

    def __init__(
        self,
        passages: PassageSampler,
        questions: Sequence[PassageQuestion],
        passage_share: float = PASSAGE_SHARE,
    ) -> None:
        self._passages = passages
        self._words = WordBank(held_out=False, wild=passages.words())
        self._articles = group_by_title(questions)
        self._passage_share = passage_share if self._articles else 0.0

    def sample(self, rng: random.Random, num_chars: int, num_questions: int) -> Context:
        """See `AbstractSampler.sample`."""
        if rng.random() < self._passage_share:
            return self._article(rng, num_chars, num_questions)
        num_hidden = max(1, round(num_questions * rng.uniform(0.5, 0.9)))
        hidden = self._draw_hidden(rng, num_hidden)
        size = sum(len(sentence) for group in hidden for sentence in group.sentences)
        context = hide(rng, self._passages.sample(rng, max(200, num_chars - size)), hidden)
        quotes = quote_questions(rng, context.text, num_questions - num_hidden)
        return Context(context.text, (*context.questions, *quotes))

    def _draw_hidden(self, rng: random.Random, num_questions: int) -> list[Hidden]:
        """Facts, and at times a story, examples of rules or a fact that changes later."""
        hidden: list[Hidden] = []
        if rng.random() < _STORY_SHARE:
            story = make_story(rng, self._words, rng.randint(3, 20), num_questions // 2)
            asked = [(q.question, q.answer, q.relevant) for q in story.questions]
            hidden.append(Hidden(story.sentences, tuple(asked)))
        if rng.random() < _EPISODE_SHARE:
            episode = make_episode(rng, self._words)
            hidden.append(
                Hidden(episode.examples, ((episode.query, episode.answer, episode.relevant),))
            )
        num_facts = num_questions - sum(len(group.questions) for group in hidden)
        families = (*TRAINING_FAMILIES, *WILD_FAMILIES)
        for fact in make_facts(rng, self._words, families, max(1, num_facts)):
            hidden.append(_hidden_fact(fact))
            if rng.random() < _UPDATE_SHARE:
                update = make_update(rng, self._words, fact)
                statements = (fact.statement, update.statement)
                hidden[-1] = Hidden(statements, ((fact.question, update.answer, (0, 1)),))
        return hidden

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
                located.append(GoldQuestion(question, answer, (gold,)))
                break
            start = stop
    return located

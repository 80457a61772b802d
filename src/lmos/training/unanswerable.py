"""Texts with questions of which about half have no answer there, and say so.

Facts, stories and rules in books, and passages of articles: what one half of the questions is about
is left out of the text, which may tell the same of others. Knows text; knows no tokens.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lmos.training.classification import make_episode
from lmos.training.contexts import Hidden, hide
from lmos.training.corpus import PassageSampler
from lmos.training.facts import Fact, make_facts, make_near_miss
from lmos.training.families import TRAINING_FAMILIES
from lmos.training.questions import PassageQuestion, group_by_title
from lmos.training.stories import make_story
from lmos.training.words import WordBank

_STORY_SHARE = 0.4
_EPISODE_SHARE = 0.15
_STORY_QUESTIONS = 3
_SHORT_WORD = 3


@dataclass(frozen=True)
class PosedQuestion:
    """A question and its answer; `None` if the text does not hold one."""

    question: str
    answer: str | None


@dataclass(frozen=True)
class HalfAnswered:
    """A text and what is asked of it."""

    text: str
    asked: tuple[PosedQuestion, ...]


class HalfAnsweredSampler:
    """Draws texts and questions, half of them without an answer; near misses of both are told.

    Args:
        passages: Books, to hide things in.
        questions: Real passages with questions; may be empty.
        passage_share: Share of texts made of real passages.
        near_miss_share: Share of facts, told or not, of which a book tells the same of another.
    """

    def __init__(
        self,
        passages: PassageSampler,
        questions: Sequence[PassageQuestion],
        passage_share: float = 0.3,
        near_miss_share: float = 0.5,
    ) -> None:
        self._passages = passages
        self._words = WordBank(held_out=False, wild=passages.words())
        self._articles = [each for each in group_by_title(questions) if len(each) > 1]
        self._passage_share = passage_share if self._articles else 0.0
        self._near_miss_share = near_miss_share

    def sample(self, rng: random.Random, num_chars: int, num_questions: int) -> HalfAnswered:
        """A text of about `num_chars` characters and about `num_questions` questions."""
        if rng.random() < self._passage_share:
            return self._from_articles(rng, num_chars, num_questions)
        return self._from_books(rng, num_chars, num_questions)

    def _from_books(self, rng: random.Random, num_chars: int, num_questions: int) -> HalfAnswered:
        """What is hidden between the sentences of a book, and as much that is told nowhere."""
        facts = make_facts(rng, self._words, TRAINING_FAMILIES, num_questions)
        near = [
            Hidden((make_near_miss(rng, self._words, fact),), ())
            for fact in facts
            if rng.random() < self._near_miss_share
        ]
        told, untold = ([_hidden(fact) for fact in facts[start::2]] for start in (0, 1))
        if rng.random() < _STORY_SHARE:
            for half in (told, untold):
                half[:_STORY_QUESTIONS] = [self._story(rng)]
        if rng.random() < _EPISODE_SHARE:
            for half in (told, untold):
                half[-1] = self._episode(rng)
        text = hide(rng, self._passages.sample(rng, num_chars), told + near).text
        groups = [" ".join(group.sentences) for group in told + near]
        asked = [PosedQuestion(question, answer) for question, answer in _pairs(told)]
        asked += [
            PosedQuestion(question, None)
            for question, _ in _pairs(untold)
            if not any(_is_about(group, question) for group in groups)
        ]
        return HalfAnswered(text, tuple(asked))

    def _story(self, rng: random.Random) -> Hidden:
        story = make_story(rng, self._words, rng.randint(3, 20), _STORY_QUESTIONS)
        asked = tuple((each.question, each.answer, each.relevant) for each in story.questions)
        return Hidden(story.sentences, asked)

    def _episode(self, rng: random.Random) -> Hidden:
        episode = make_episode(rng, self._words)
        return Hidden(episode.examples, ((episode.query, episode.answer, episode.relevant),))

    def _from_articles(
        self, rng: random.Random, num_chars: int, num_questions: int
    ) -> HalfAnswered:
        """Passages of several articles; as many others of the same articles are left out."""
        told: list[PassageQuestion] = []
        kept_back: list[PassageQuestion] = []
        size = 0
        while size < num_chars:
            article = rng.choice(self._articles)
            here, there = rng.sample(article, 2)
            told.append(here)
            kept_back.append(there)
            size += len(here.passage)
        told_texts = {passage.passage for passage in told}
        kept_back = [passage for passage in kept_back if passage.passage not in told_texts]
        asked = [
            PosedQuestion(question, answer if passages is told else None)
            for passages in (told, kept_back)
            for question, answer in _some_pairs(rng, passages, num_questions // 2)
        ]
        text = "\n".join(" ".join(passage.passage.split()) for passage in told)
        return HalfAnswered(text, tuple(asked))


def _hidden(fact: Fact) -> Hidden:
    return Hidden((fact.statement,), ((fact.question, fact.answer, (0,)),))


def _pairs(groups: Sequence[Hidden]) -> list[tuple[str, str]]:
    """Questions and answers of what is hidden."""
    return [(question, answer) for group in groups for question, answer, _ in group.questions]


def _is_about(text: str, question: str) -> bool:
    """Whether all that a question names stands in a text, so that it may hold the answer."""
    _, *rest = question.split()
    named = {word for word in _words(" ".join(rest)) if len(word) > _SHORT_WORD}
    return named <= _words(text)


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _some_pairs(
    rng: random.Random, passages: Sequence[PassageQuestion], count: int
) -> list[tuple[str, str]]:
    pairs = [pair for passage in passages for pair in passage.pairs]
    return rng.sample(pairs, min(count, len(pairs)))

"""Readings of pretraining: a question, a text, the question again and its answer.

Facts, stories, made-up rules and real passages, alone or among running text. Knows tasks and a
tokenizer; knows neither how readings fill a sequence nor what is learned from them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from lmos.model.base import BaseModel
from lmos.model.prompts import (
    UNKNOWN_ANSWER,
    answer_text,
    answer_through,
    question_after,
    question_before,
)
from lmos.training.classification import make_episode
from lmos.training.config import PretrainConfig
from lmos.training.corpus import PassageSampler
from lmos.training.curriculum import Curriculum
from lmos.training.facts import make_facts, make_near_miss, make_update
from lmos.training.families import TRAINING_FAMILIES, WILD_FAMILIES
from lmos.training.packing import Sample
from lmos.training.questions import PassageQuestion
from lmos.training.rows import IGNORE
from lmos.training.stories import make_story
from lmos.training.words import WordBank
from lmos.tree.segments import iter_units

_MAX_QUESTIONS = 6
_NOISE_TOKENS = 48
_NAME = re.compile(r"(?<=[\w,;] )[A-Z][a-z]+")
_FAMILIES = (*TRAINING_FAMILIES, *WILD_FAMILIES)


class Readings:
    """Draws readings of the mixture, as hard as the curriculum says.

    Args:
        model: Its tokenizer.
        passages: Where running text comes from.
        questions: Real questions about real passages; may be empty.
        config: The mixture.
        curriculum: How many facts a text may have.
    """

    def __init__(
        self,
        model: BaseModel,
        passages: PassageSampler,
        questions: Sequence[PassageQuestion],
        config: PretrainConfig,
        curriculum: Curriculum,
    ) -> None:
        self._model = model
        self._passages = passages
        self._questions = list(questions)
        self._config = config
        self._curriculum = curriculum
        self._words = WordBank(held_out=False, wild=passages.words())
        self._end = model.end_id or 0

    def draw(self, rng: random.Random, room: int) -> Sample:
        """A reading of about `room` tokens or less."""
        config = self._config
        share = rng.random()
        if self._questions and share < config.passage_share:
            return self._passage_question(rng)
        share -= config.passage_share
        if share < config.recall_share:
            return self._recall(rng)
        share -= config.recall_share
        if share < config.story_share:
            return self._story(rng, room)
        share -= config.story_share
        if share < config.episode_share:
            episode = make_episode(rng, self._words, num_irrelevant=rng.randint(0, 4))
            asked = [(episode.query, episode.answer)]
            return self._read("episodes", asked, " ".join(episode.examples))
        return self._facts(rng, room)

    def _facts(self, rng: random.Random, room: int) -> Sample:
        """A few facts, often in running text; some are asked for, at times an absent one too."""
        num_facts = _log_uniform(rng, 1, self._curriculum.num_facts)
        few = rng.random() < self._config.drill_share
        families = rng.sample(_FAMILIES, rng.randint(1, 2)) if few else _FAMILIES
        absent, *facts = make_facts(rng, self._words, families, num_facts + 1)
        told = [other.statement for other in facts]
        if rng.random() < self._config.update_share:
            place = rng.randrange(len(facts))
            facts[place] = make_update(rng, self._words, facts[place])
            told.append(facts[place].statement)
        rng.shuffle(facts)
        if self._curriculum.num_facts > 1 and rng.random() < self._config.near_miss_share:
            for _ in range(rng.randint(1, 3)):
                near_miss = make_near_miss(rng, self._words, facts[0])
                told.insert(rng.randint(0, len(told)), near_miss)
        asked = [(fact.question, fact.answer) for fact in facts[: self._num_questions(rng)]]
        if rng.random() < self._config.unknown_share:
            asked.insert(rng.randint(0, len(asked)), (absent.question, UNKNOWN_ANSWER))
        passage = self._among_noise(rng, told, asked[0][0], room)
        return self._read("facts", asked, passage)

    def _recall(self, rng: random.Random) -> Sample:
        """Facts of one relation, then what each names and its answer: who is meant must match."""
        num_facts = rng.randint(2, max(2, min(8, self._curriculum.num_facts)))
        (family,) = rng.sample(_FAMILIES, 1)
        facts = make_facts(rng, self._words, [family], num_facts)
        ids = self._encode("".join(f"{fact.statement}\n" for fact in facts))
        targets = [IGNORE] * len(ids)
        for fact in rng.sample(facts, num_facts):
            _, _, *named = fact.key
            prompt = self._encode(f"{', '.join(named)}:")
            reply = [*self._encode(answer_text(fact.answer)), self._end]
            ids += prompt + reply
            targets += [IGNORE] * len(prompt) + reply
        return Sample(ids, targets, "recall")

    def _num_questions(self, rng: random.Random) -> int:
        """One, as in use, or many, so that a text teaches more."""
        return 1 if rng.random() < 0.3 else _MAX_QUESTIONS

    def _story(self, rng: random.Random, room: int) -> Sample:
        """A story as it was told, only what the questions need of it, or all but that."""
        longest = 2 + 2 * self._curriculum.num_facts * room // self._config.window
        num_sentences = _log_uniform(rng, 2, longest)
        story = make_story(rng, self._words, num_sentences, self._num_questions(rng))
        told = set(range(len(story.sentences)))
        needed = {index for question in story.questions for index in question.relevant}
        asked = [(q.question, answer_through(q.steps, q.answer)) for q in story.questions]
        if rng.random() < self._config.unknown_share:
            told, asked = told - needed, [(question, UNKNOWN_ANSWER) for question, _ in asked]
        elif rng.random() < 0.4:
            told = needed
        sentences = [story.sentences[index] for index in sorted(told)]
        passage = self._among_noise(rng, sentences, asked[0][0], room)
        return self._read("stories", asked, passage)

    def _among_noise(
        self, rng: random.Random, sentences: Sequence[str], question: str, room: int
    ) -> str:
        """The sentences in their order, often with text between them once they are several."""
        parts = list(sentences)
        if room > self._config.window:
            num_noises = rng.randint(2, room // _NOISE_TOKENS)
        elif self._curriculum.num_facts > 1 and rng.random() < self._config.noise_share:
            num_noises = rng.randint(1, 3)
        else:
            num_noises = 0
        for _ in range(num_noises):
            parts.insert(rng.randint(0, len(parts)), self._noise(rng, question))
        line_share = rng.choice((0.0, 0.5, 1.0))
        ends = ["\n" if rng.random() < line_share else " " for _ in parts]
        return "".join(part + end for part, end in zip(parts, ends, strict=True)).rstrip()

    def _noise(self, rng: random.Random, question: str) -> str:
        """Running text, often whole sentences, at times with a name that the question has."""
        text = self._passages.sample(rng, rng.randint(30, 200))
        units = list(iter_units(text, len(text) * 4))
        if len(units) > 2 and rng.random() < 0.7:
            text = "".join(units[1:-1])
        text = " ".join(text.split())
        names = _NAME.findall(question)
        places = list(_NAME.finditer(text))
        if names and places and rng.random() < 0.4:
            start, stop = rng.choice(places).span()
            text = text[:start] + rng.choice(names) + text[stop:]
        return text

    def _passage_question(self, rng: random.Random) -> Sample:
        question = rng.choice(self._questions)
        asked, answer = rng.choice(question.pairs)
        place = max(0, question.passage.find(answer))
        start = max(0, place - rng.randint(0, 400))
        passage = " ".join(
            question.passage[start : place + len(answer) + rng.randint(1, 200)].split()
        )
        return self._read("passages", [(asked, answer)], passage)

    def _read(self, task: str, asked: Sequence[tuple[str, str]], passage: str) -> Sample:
        """The first question, the passage, then each question with its answer."""
        ids = self._encode(question_before(asked[0][0])) + self._encode(passage + "\n")
        targets = [IGNORE] * len(ids)
        for question, answer in asked:
            prompt = self._encode(question_after(question))
            reply = [*self._encode(answer_text(answer)), self._end]
            ids += prompt + reply
            targets += [IGNORE] * len(prompt) + reply
        return Sample(ids, targets, task)

    def _encode(self, text: str) -> list[int]:
        return list(self._model.encode(text).ids)


def _log_uniform(rng: random.Random, least: int, most: int) -> int:
    """A whole number from `least` to `most`, as likely to double as to double again."""
    return min(most, int(least * (1 + most / least) ** rng.random()))

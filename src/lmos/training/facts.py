"""Facts: one-sentence statements with questions and short answers, unlimited and seeded.

A family of templates is filled with words; one of its slots is the answer. Knows no tokens.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lmos.training.families import Family
from lmos.training.words import WordBank

_SLOT = re.compile(r"\{(\w+?)(\d?)\}")
_SHARED = 0.4


@dataclass(frozen=True)
class Fact:
    """A statement, a question that it answers, and the answer, a substring of the statement."""

    statement: str
    question: str
    answer: str
    key: tuple[str, ...]
    """What the question names: two facts with the same key would make it ambiguous."""
    origin: Origin


@dataclass(frozen=True)
class Origin:
    """What a fact was made of: enough to state it again, or to state that it has changed."""

    family: Family
    asked: str
    fillers: Mapping[str, str]


def _fill(template: str, fillers: Mapping[str, str]) -> str:
    return _SLOT.sub(lambda slot: fillers[slot.group(1) + slot.group(2)], template)


def make_fact(rng: random.Random, words: WordBank, families: Sequence[Family]) -> Fact:
    """Draw one fact: a family, a statement, a question that its statement can answer."""
    while True:
        family = rng.choice(families)
        statement = rng.choice(family.statements)
        slots = _slots(statement)
        asked = rng.choice([slot for slot in family.questions if slot in slots])
        questions = [
            question
            for question in family.questions[asked]
            if _slots(question).keys() <= slots.keys()
        ]
        if not questions:
            continue
        fillers = {slot: words.draw(rng, kind) for slot, kind in slots.items()}
        question = rng.choice(questions)
        key = (family.statements[0], asked, *sorted(fillers[slot] for slot in _slots(question)))
        return Fact(
            _sentence(statement, fillers),
            _fill(question, fillers),
            _answer(asked, fillers),
            key,
            Origin(family, asked, fillers),
        )


def make_update(rng: random.Random, words: WordBank, fact: Fact) -> Fact:
    """The same fact later, when its answer has changed; the question is the old one's."""
    family, asked, old = fact.origin.family, fact.origin.asked, fact.origin.fillers
    statements = [text for text in family.statements if _slots(text).keys() == old.keys()]
    statement = rng.choice(statements)
    fillers = dict(old)
    while fillers[asked] == old[asked]:
        fillers[asked] = words.draw(rng, _slots(statement)[asked])
    return replace(
        fact,
        statement=_sentence(statement, fillers),
        answer=_answer(asked, fillers),
        origin=Origin(family, asked, fillers),
    )


def make_near_miss(rng: random.Random, words: WordBank, fact: Fact) -> str:
    """A statement of the same relation about something else, with some of the same fillers."""
    old = fact.origin.fillers
    _, _, *named = fact.key
    while True:
        statement = rng.choice(fact.origin.family.statements)
        slots = _slots(statement)
        fillers = {slot: words.draw(rng, kind) for slot, kind in slots.items()}
        for slot in slots:
            if slot in old and slot != fact.origin.asked and rng.random() < _SHARED:
                fillers[slot] = old[slot]
        if not set(named) <= set(fillers.values()):
            return _sentence(statement, fillers)


def _slots(template: str) -> dict[str, str]:
    """Slot names such as `person2` and their kinds, such as `person`."""
    return {slot.group(1) + slot.group(2): slot.group(1) for slot in _SLOT.finditer(template)}


def _sentence(statement: str, fillers: Mapping[str, str]) -> str:
    text = _fill(statement, fillers)
    return text[0].upper() + text[1:]


def _answer(asked: str, fillers: Mapping[str, str]) -> str:
    if asked == "nickname" and "count" in fillers:  # a password: both slots together
        return fillers["nickname"] + fillers["count"]
    return fillers[asked]


def make_facts(
    rng: random.Random, words: WordBank, families: Sequence[Family], count: int
) -> list[Fact]:
    """Draw `count` facts of which no two can answer the same question."""
    facts: dict[tuple[str, ...], Fact] = {}
    while len(facts) < count:
        fact = make_fact(rng, words, families)
        facts.setdefault(fact.key, fact)
    return list(facts.values())

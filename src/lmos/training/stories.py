"""Stories: small worlds in which people move, carry and give things, with questions about them.

What happens is simulated, so every question has one answer and the sentences that lead to it are
known. Order matters: where a thing is depends on what happened last. Knows text; knows no tokens.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from lmos.training.words import WordBank

_MOVES = (
    "{} went to the {}.",
    "{} moved to the {}.",
    "{} travelled to the {}.",
    "{} journeyed to the {}.",
    "{} went back to the {}.",
    "{} walked to the {}.",
    "{} hurried to the {}.",
    "{} returned to the {}.",
    "{} is now in the {}.",
)
_TAKES = ("{} took the {}", "{} got the {}", "{} grabbed the {}", "{} picked up the {}")
_DROPS = ("{} dropped the {}", "{} left the {}", "{} put down the {}", "{} discarded the {}")
_GIVES = (
    "{} gave the {} to {}.",
    "{} handed the {} to {}.",
    "{} passed the {} to {}.",
)
_THEMES = {"person": 0.15, "thing": 0.2, "before": 0.27, "gift": 0.23, "map": 0.15}
_ON_THEME = 0.75
_Beside = tuple[str, str, str]
_OPPOSITES = {"north": "south", "south": "north", "east": "west", "west": "east"}


@dataclass(frozen=True)
class StoryQuestion:
    """A question about the end of a story.

    Attributes:
        question: As it is asked.
        answer: One word of the story.
        relevant: Indices of the sentences about what the question needs; those that later ones
            outdate are among them.
    """

    question: str
    answer: str
    relevant: tuple[int, ...]


@dataclass(frozen=True)
class Story:
    """Sentences in the order of what happened, one event each, and at least one question."""

    sentences: tuple[str, ...]
    questions: tuple[StoryQuestion, ...]


def make_story(
    rng: random.Random, words: WordBank, num_sentences: int, num_questions: int = 1
) -> Story:
    """A story of about `num_sentences` sentences with different questions, at most so many."""
    theme = rng.choices(tuple(_THEMES), tuple(_THEMES.values()))[0]
    if theme == "map":
        return _map(rng, words, num_questions)
    while True:
        world = _World(rng, words, theme)
        while len(world.sentences) < num_sentences or world.is_too_young(2 * num_sentences + 8):
            world.step()
        asked = {}
        for _ in range(num_questions):
            if question := world.ask():
                asked[question.question] = question
        if asked:
            return Story(tuple(world.sentences), tuple(asked.values()))


def _map(rng: random.Random, words: WordBank, num_questions: int) -> Story:
    """Places beside each other, and what lies in which direction of what."""
    rooms = _distinct(rng, words, "place", rng.randint(3, 5))
    facts: list[_Beside] = []
    for first, second in pairwise(rooms):
        fact = (first, rng.choice(tuple(_OPPOSITES)), second)
        facts.append(fact if rng.random() < 0.5 else _turned(fact))
    rng.shuffle(facts)
    known = set(facts) | set(map(_turned, facts))
    asked: dict[str, StoryQuestion] = {}
    for _ in range(num_questions):
        number = rng.randrange(len(facts))
        # At times asked against the direction in which it was told.
        first, direction, second = rng.choice(
            (facts[number], facts[number], _turned(facts[number]))
        )
        if rng.random() < 0.5:
            question, answer = f"What is {direction} of the {second}?", first
            fitting = [a for a, d, b in known if (d, b) == (direction, second)]
        else:
            question, answer = f"What is the {first} {direction} of?", second
            fitting = [b for a, d, b in known if (a, d) == (first, direction)]
        if len(fitting) == 1:
            asked[question] = StoryQuestion(question, answer, (number,))
    if not asked:
        return _map(rng, words, num_questions)
    sentences = tuple(f"The {a} is {d} of the {b}." for a, d, b in facts)
    return Story(sentences, tuple(asked.values()))


def _turned(fact: _Beside) -> _Beside:
    """The same from the other place's side."""
    first, direction, second = fact
    return second, _OPPOSITES[direction], first


def _distinct(rng: random.Random, words: WordBank, kind: str, count: int) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        found[words.draw(rng, kind)] = None
    return list(found)


@dataclass
class _Thing:
    """What became of one object: who holds it, where it was, which sentences say so."""

    holder: str | None = None
    places: list[str] = field(default_factory=list)
    told: list[int] = field(default_factory=list)
    holders: set[str] = field(default_factory=set)
    gift: tuple[str, str] | None = None
    gifts: set[tuple[str, str]] = field(default_factory=set)

    def is_at(self, place: str) -> None:
        if not self.places or self.places[-1] != place:
            self.places.append(place)


class _World:
    """People, places and things; every step is told by one sentence.

    Most is asked about the theme: where a person or a thing is, where a thing was before, who gave
    what to whom.
    """

    def __init__(self, rng: random.Random, words: WordBank, theme: str) -> None:
        self._rng = rng
        self._theme = theme
        is_gift = theme == "gift"
        self._people = _distinct(rng, words, "first_name", rng.randint(2, 5))
        self._rooms = _distinct(rng, words, "place", rng.randint(2, 3 if is_gift else 7))
        self._things = {
            name: _Thing() for name in _distinct(rng, words, "object", rng.randint(1, 3))
        }
        self._at: dict[str, str] = {}
        self._acts: dict[str, list[int]] = {person: [] for person in self._people}
        self._move_share = 0.35 if is_gift else 0.55
        self._give_share = 0.8 if is_gift else rng.choice((0.0, 0.0, 0.15, 0.4))
        self.sentences: list[str] = []

    def is_too_young(self, limit: int) -> bool:
        """Whether there is nothing to ask about the theme yet, after fewer sentences than this."""
        grown = {
            "person": bool(self._at),
            "thing": any(thing.places for thing in self._things.values()),
            "before": any(len(thing.places) > 1 for thing in self._things.values()),
            "gift": any(thing.gift for thing in self._things.values()),
        }
        return len(self.sentences) < limit and not grown[self._theme]

    def step(self) -> None:
        """One event: somebody moves, or takes, drops or gives something."""
        rng = self._rng
        person = rng.choice(self._people)
        held = [name for name, thing in self._things.items() if thing.holder == person]
        if rng.random() < self._move_share or person not in self._at:
            self._move(person, rng.choice(self._rooms), held)
        elif held and rng.random() < self._give_share:
            self._give(person, rng.choice(held))
        elif held and rng.random() < 0.35:
            self._act(person, rng.choice(held), _DROPS, None)
        else:
            free = [
                name
                for name, thing in self._things.items()
                if thing.holder is None
                and (not thing.places or thing.places[-1] == self._at[person])
            ]
            if free:
                self._act(person, rng.choice(free), _TAKES, person)

    def _tell(self, sentence: str, *people: str) -> int:
        self.sentences.append(sentence)
        for person in people:
            self._acts[person].append(len(self.sentences) - 1)
        return len(self.sentences) - 1

    def _move(self, person: str, room: str, held: list[str]) -> None:
        if self._at.get(person) == room:
            return
        self._at[person] = room
        self._tell(self._rng.choice(_MOVES).format(person, room), person)
        for name in held:
            self._things[name].is_at(room)

    def _act(self, person: str, name: str, forms: tuple[str, ...], holder: str | None) -> None:
        thing = self._things[name]
        ending = self._rng.choice((".", " there."))
        thing.told.append(self._tell(self._rng.choice(forms).format(person, name) + ending, person))
        thing.holder = holder
        thing.holders.add(person)
        thing.is_at(self._at[person])

    def _give(self, giver: str, name: str) -> None:
        near = [
            person
            for person in self._people
            if person != giver and self._at.get(person) == self._at[giver]
        ]
        if not near:
            return
        taker = self._rng.choice(near)
        sentence = self._rng.choice(_GIVES).format(giver, name, taker)
        thing = self._things[name]
        thing.told.append(self._tell(sentence, giver, taker))
        thing.holder, thing.gift = taker, (giver, taker)
        thing.gifts.add(thing.gift)
        thing.holders.add(taker)

    def ask(self) -> StoryQuestion | None:
        """A question that this world has an answer to, if there is one."""
        kinds: dict[str, Callable[[], StoryQuestion | None]] = {
            "person": self._where_is_person,
            "thing": self._where_is_thing,
            "before": self._where_was_thing,
            "gift": self._gift,
        }
        order = self._rng.sample(tuple(kinds), len(kinds))
        if self._rng.random() < _ON_THEME:
            order.insert(0, self._theme)
        for kind in order:
            if question := kinds[kind]():
                return question
        return None

    def _where_is_person(self) -> StoryQuestion | None:
        if not self._at:
            return None
        person = self._rng.choice(list(self._at))
        question = self._rng.choice(("Where is {}?", "Where is {} now?")).format(person)
        return _asked(question, self._at[person], set(self._acts[person]))

    def _carried(self, thing: _Thing) -> set[int]:
        return set(thing.told).union(*(self._acts[person] for person in thing.holders))

    def _where_is_thing(self) -> StoryQuestion | None:
        known = [(name, thing) for name, thing in self._things.items() if thing.places]
        if not known:
            return None
        name, thing = self._rng.choice(known)
        question = self._rng.choice(("Where is the {}?", "In which place is the {}?"))
        return _asked(question.format(name), thing.places[-1], self._carried(thing))

    def _where_was_thing(self) -> StoryQuestion | None:
        known = [(name, thing) for name, thing in self._things.items() if len(thing.places) > 1]
        if not known:
            return None
        name, thing = self._rng.choice(known)
        later = self._rng.choice(sorted(set(thing.places[1:])))
        last = max(i for i, place in enumerate(thing.places) if place == later and i)
        question = f"Where was the {name} before the {later}?"
        return _asked(question, thing.places[last - 1], self._carried(thing))

    def _gift(self) -> StoryQuestion | None:
        given = [(name, thing) for name, thing in self._things.items() if thing.gift]
        if not given:
            return None
        name, thing = self._rng.choice(given)
        assert thing.gift is not None
        giver, taker = thing.gift
        question, answer = self._rng.choice(
            (
                (f"Who gave the {name} to {taker}?", giver),
                (f"Who did {giver} give the {name} to?", taker),
                (f"Who received the {name}?", taker),
                (f"Who gave the {name}?", giver),
            )
        )
        others = (other for other in self._things.values() if other is not thing)
        is_alone = not any(thing.gift in other.gifts for other in others)
        if is_alone and self._rng.random() < 0.25:
            question, answer = f"What did {giver} give to {taker}?", name
        return _asked(question, answer, set(thing.told))


def _asked(question: str, answer: str, relevant: set[int]) -> StoryQuestion:
    return StoryQuestion(question, answer, tuple(sorted(relevant)))

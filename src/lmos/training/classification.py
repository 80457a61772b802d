"""Episodes of in-context classification: made-up rules, examples of several, one to apply.

A rule looks at one word of an item, its colour or what it is, and gives it a made-up label, so
nothing but the examples of the same rule can tell. Knows text; knows no tokens.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from lmos.training.words import WordBank

_FORMS = (
    ("By rule {rule}, the {item} is {label}.", "By rule {rule}, what is the {item}?"),
    ("{rule}: {item} = {label}", "{rule}: {item} = ?"),
    ("Under {rule}, a {item} counts as {label}.", "Under {rule}, as what does a {item} count?"),
)


@dataclass(frozen=True)
class Episode:
    """Examples of several rules, and an item that one of the rules is to be applied to.

    Attributes:
        examples: A sentence each.
        relevant: Indices of the examples of the rule that is asked for.
        query: Names the rule and a new item.
        answer: The label; one relevant example has it.
    """

    examples: tuple[str, ...]
    relevant: tuple[int, ...]
    query: str
    answer: str


def make_episode(
    rng: random.Random, words: WordBank, num_relevant: int = 2, num_irrelevant: int = 4
) -> Episode:
    """Draw rules, examples and a query; the examples stand in random order.

    Args:
        rng: Decides everything.
        words: Fills in colours, things and names.
        num_relevant: Examples of the rule that is asked for, each with a label of its own.
        num_irrelevant: Examples of other rules, at most two of each.
    """
    form, question = rng.choice(_FORMS)
    names: set[str] = set()
    rule = _Rule(rng, words, names, num_relevant)
    examples = [(form.format(**rule.example(rng, words, i)), True) for i in range(num_relevant)]
    while len(examples) < num_relevant + num_irrelevant:
        other = _Rule(rng, words, names, 2)
        count = min(2, num_relevant + num_irrelevant - len(examples))
        examples += [(form.format(**other.example(rng, words, i)), False) for i in range(count)]
    rng.shuffle(examples)
    asked = rule.example(rng, words, rng.randrange(num_relevant))
    return Episode(
        tuple(text for text, _ in examples),
        tuple(index for index, (_, is_relevant) in enumerate(examples) if is_relevant),
        question.format(**asked),
        asked["label"],
    )


class _Rule:
    """A name, whether colour or kind decides, and the label of each feature."""

    def __init__(
        self, rng: random.Random, words: WordBank, names: set[str], num_labels: int
    ) -> None:
        self._name = _new(rng, words, "nickname", names)
        self._by_colour = rng.random() < 0.5
        features: set[str] = set()
        kind = "colour" if self._by_colour else "object"
        self._features = [_new(rng, words, kind, features) for _ in range(num_labels)]
        self._labels = [_new(rng, words, "nickname", names) for _ in range(num_labels)]

    def example(self, rng: random.Random, words: WordBank, index: int) -> dict[str, str]:
        """A new item with the feature of this index."""
        other = words.draw(rng, "object" if self._by_colour else "colour")
        feature = self._features[index]
        item = f"{feature} {other}" if self._by_colour else f"{other} {feature}"
        return {"rule": self._name, "item": item, "label": self._labels[index].lower()}


def _new(rng: random.Random, words: WordBank, kind: str, used: set[str]) -> str:
    while (word := words.draw(rng, kind)) in used:
        pass
    used.add(word)
    return word

"""When to retrieve: a talk of which half needs nothing from the store, under several policies.

Each turn is answered from the store and without it, and how unsure the model is without it is
measured; a policy then takes one of the two answers. Retrieval for every turn, for none, and at the
best threshold, chosen on the other half of the turns, are the controls. Knows no decoding.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch

from benchmarks.options import data_option
from benchmarks.report import Share, area_under_curve, markdown_table, save_json, share
from benchmarks.stores import new_session
from lmos import load_model
from lmos.model.base import BaseModel
from lmos.model.formats import is_unknown
from lmos.model.released import DEFAULT_MODEL
from lmos.reading.needing import (
    is_sure_unknown,
    own_prompt,
    unknown_log_probability,
)
from lmos.session import Session
from lmos.training.contexts import hide_facts
from lmos.training.families import TRAINING_FAMILIES
from lmos.training.words import WordBank

_TOKENS = 16
_LOOK_TOKENS = 4
_UNKNOWN = "“not found” without passages"
_NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()
_SMALL_TALK = (
    *("Hello!", "Good morning!", "How are you today?", "Thank you, that helps.", "Good night!"),
    *("Nice to meet you.", "Could you help me later?", "That was quick.", "Shall we go on?"),
    *("I am a bit tired today.", "You are very kind.", "Have a nice evening!"),
)


@dataclass(frozen=True)
class Turn:
    """What is said to the model, and when its answer is right.

    Attributes:
        kind: `store`, `small talk`, `arithmetic` or `rewording`.
        said: By the user.
        answers: One of them must stand in the answer; any answer but "not found" if there are none.
    """

    kind: str
    said: str
    answers: tuple[str, ...] = ()

    @property
    def needs_store(self) -> bool:
        """Whether the answer is nowhere else."""
        return self.kind == "store"

    def is_right(self, answer: str) -> bool:
        """Whether an answer serves the turn."""
        if not self.answers:
            return not is_unknown(answer)
        return any(each.casefold() in answer.casefold() for each in self.answers)


def make_turns(rng: random.Random, questions: Sequence[tuple[str, str]]) -> list[Turn]:
    """As many turns that need nothing as questions that need the store, shuffled."""
    turns = [Turn("store", question, (answer,)) for question, answer in questions]
    makers = (_small_talk, _arithmetic, _rewording)
    turns += [makers[number % len(makers)](rng) for number in range(len(questions))]
    rng.shuffle(turns)
    return turns


def _small_talk(rng: random.Random) -> Turn:
    return Turn("small talk", rng.choice(_SMALL_TALK))


def _arithmetic(rng: random.Random) -> Turn:
    first, second = rng.randrange(1, 7), rng.randrange(1, 7)
    total = first + second
    return Turn("arithmetic", f"What is {first} + {second}?", (str(total), _NUMBERS[total]))


def _rewording(rng: random.Random) -> Turn:
    word = rng.choice(("garden", "window", "river", "bread", "morning", "ladder"))
    asked = rng.choice(("Write the word {} in capital letters.", "Repeat this word: {}"))
    return Turn("rewording", asked.format(word), (word,))


@dataclass(frozen=True)
class Said:
    """What came of a turn.

    Attributes:
        turn: The turn.
        is_right: From the store; without it.
        unsure: How unsure the model was without the store, by each measure; larger is less sure.
    """

    turn: Turn
    is_right: tuple[bool, bool]
    unsure: dict[str, float]

    @property
    def is_looked_up(self) -> bool:
        """Whether `uncertain` retrieves."""
        return is_sure_unknown(self.unsure[_UNKNOWN])


@torch.no_grad()
def plain_answer(model: BaseModel, said: str) -> tuple[str, list[float]]:
    """What the base model says of itself, without reader, passages or instructions.

    Returns:
        The answer, and the entropy in nats of each of its first few tokens.
    """
    chosen = list(model.speak(own_prompt(model, said), _TOKENS, 0.0, 0))
    entropies = [
        float(-(each.log_probabilities_V.exp() * each.log_probabilities_V).nansum())
        for each in chosen[:_LOOK_TOKENS]
    ]
    return model.decode([each.token_id for each in chosen]).strip(), entropies or [0.0]


def answer_turn(session: Session, turn: Turn) -> Said:
    """Answer from the store and without it."""
    stored = session.ask(turn.said, max_new_tokens=_TOKENS).complete()
    plain, entropies = plain_answer(session.model, turn.said)
    unsure = {
        "entropy of the first token": entropies[0],
        f"mean entropy of {_LOOK_TOKENS} tokens": sum(entropies) / len(entropies),
        _UNKNOWN: unknown_log_probability(session.model, turn.said),
    }
    return Said(turn, (turn.is_right(stored.text), turn.is_right(plain)), unsure)


Policy = Callable[[Said], bool]
"""Whether to retrieve for a turn."""


@dataclass(frozen=True)
class Score:
    """What a policy came to.

    Attributes:
        right: Answers that serve the turn.
        made_up: Answers in the model's own words that are wrong.
        retrieved: Turns that were looked up.
    """

    right: Share
    made_up: Share
    retrieved: Share

    def __add__(self, other: Score) -> Score:
        return Score(
            self.right + other.right,
            self.made_up + other.made_up,
            self.retrieved + other.retrieved,
        )


def score_policy(said: Sequence[Said], policy: Policy) -> Score:
    """Take the answer from the store where a policy retrieves, else the other."""
    ways = [(each, not policy(each)) for each in said]
    return Score(
        share([each.is_right[way] for each, way in ways]),
        share([way and not each.is_right[way] for each, way in ways]),
        share([not way for _, way in ways]),
    )


def best_threshold(said: Sequence[Said], name: str) -> float:
    """Above it one retrieves: most right answers, then fewest retrievals."""

    def worth(threshold: float) -> tuple[float, float]:
        score = score_policy(said, lambda each: each.unsure[name] > threshold)
        return score.right.mean, -score.retrieved.mean

    return max([float("-inf"), *sorted({each.unsure[name] for each in said})], key=worth)


def score_measure(said: Sequence[Said], name: str) -> Score:
    """Retrieve above a threshold, which for each half was chosen on the other."""

    def score_half(half: Sequence[Said], other: Sequence[Said]) -> Score:
        threshold = best_threshold(other, name)
        return score_policy(half, lambda each: each.unsure[name] > threshold)

    return score_half(said[::2], said[1::2]) + score_half(said[1::2], said[::2])


def policy_table(said: Sequence[Said]) -> tuple[str, list[dict[str, Any]]]:
    """A row for each policy: right and made up answers, and retrievals."""
    scores = {
        "always": score_policy(said, lambda _: True),
        "never": score_policy(said, lambda _: False),
        "uncertain, as lmos has it": score_policy(said, lambda each: each.is_looked_up),
        **{f"uncertain: {name}": score_measure(said, name) for name in said[0].unsure},
        "as each turn needs it": score_policy(said, lambda each: each.turn.needs_store),
    }
    rows = [
        [name, str(s.right), str(s.made_up), f"{100 * s.retrieved.mean:.0f}", _area(said, name)]
        for name, s in scores.items()
    ]
    cells = [
        {
            "policy": name,
            "right": s.right.mean,
            "made_up": s.made_up.mean,
            "retrieved": s.retrieved.mean,
        }
        for name, s in scores.items()
    ]
    header = ["policy", "right", "wrong in own words", "retrievals in 100 turns", "AUROC"]
    return markdown_table(header, rows), cells


def _area(said: Sequence[Said], name: str) -> str:
    name = name.removeprefix("uncertain: ")
    if name not in said[0].unsure:
        return "–"
    needing = [each.unsure[name] for each in said if each.turn.needs_store]
    others = [each.unsure[name] for each in said if not each.turn.needs_store]
    return str(area_under_curve(needing, others))


def kind_table(said: Sequence[Said]) -> str:
    """Right answers by kind of turn, from the store and without it."""
    kinds = dict.fromkeys(each.turn.kind for each in said)
    rows = [
        [
            kind,
            *(str(share([e.is_right[way] for e in said if e.turn.kind == kind])) for way in (0, 1)),
        ]
        for kind in kinds
    ]
    return markdown_table(["turn", "from the store", "without it"], rows)


@click.command("when")
@data_option("A text in which the facts are hidden.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Folder or name.")
@click.option("--turns", default=80, show_default=True, type=click.IntRange(8))
@click.option("--characters", default=20_000, show_default=True, type=click.IntRange(1000))
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Where to write figures."
)
def when_benchmark(
    data: Path, model: str, turns: int, characters: int, seed: int, json_path: Path | None
) -> None:
    """Right answers against retrievals, in a talk of which half needs nothing from the store."""
    loaded = load_model(model)
    rng = random.Random(seed)
    text = data.read_text(encoding="utf-8")[:characters]
    context = hide_facts(rng, text, WordBank(held_out=True), TRAINING_FAMILIES, turns // 2)
    asked = [(each.question, each.answer or "") for each in context.questions]
    with new_session(loaded) as session:
        session.add("notes", context.text)
        said = [answer_turn(session, turn) for turn in make_turns(rng, asked)]
    table, cells = policy_table(said)
    click.echo(f"{table}\n\n{kind_table(said)}")
    save_json(json_path, "when", model, {"turns": turns, "seed": seed}, cells)

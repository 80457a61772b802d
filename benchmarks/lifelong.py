"""A store that grows session by session, with facts that change, asked at every stage.

A session is a stretch of a book with a few facts in it, a source of its own; now and then one
states that an older fact has changed. Age is how many sessions ago a fact was last stated. The
right answer is the latest; `outdated` counts those that were right once.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch

from benchmarks.haystack import cut_haystack, read_books
from benchmarks.options import common_options, data_option, retrieval_options, ways_options
from benchmarks.reading import Asked
from benchmarks.recompression import Losses
from benchmarks.report import markdown_table, save_json
from benchmarks.stores import Place, new_session
from benchmarks.tallies import Tallies
from benchmarks.ways import WAYS, Reader, tally_questions
from lmos.model.base import BaseModel
from lmos.search.retriever import RetrievalConfig
from lmos.session import Session, load_model
from lmos.training.contexts import Hidden, hide, hide_facts
from lmos.training.facts import Fact, make_facts, make_update
from lmos.training.families import TRAINING_FAMILIES
from lmos.training.words import WordBank

AGES = (1, 10, 100, 1000, 10_000)
_RECOMPRESSION_TOKENS, _RECOMPRESSION_FACTS = 100, 4


@dataclass(frozen=True)
class Told:
    """A fact as it was last stated.

    Attributes:
        fact: With its latest answer.
        place: Of the latest statement.
        session: Its number, from 0.
        outdated: The answer before; empty if the fact never changed.
    """

    fact: Fact
    place: Place
    session: int
    outdated: str = ""


class Life:
    """Sessions, added one by one.

    Args:
        model: Writes the store.
        books: Running text.
        rng: Decides everything.
        num_facts: Facts in a session.
        num_tokens: Running text in a session.
        change_share: Share of statements that change an older fact.
    """

    def __init__(
        self,
        model: BaseModel,
        books: str,
        rng: random.Random,
        num_facts: int,
        num_tokens: int,
        change_share: float,
    ) -> None:
        self.session: Session = new_session(model)
        self.num_sessions = 0
        self.told: dict[tuple[str, ...], Told] = {}
        self._books, self._rng, self._words = books, rng, WordBank(held_out=True)
        self._num_facts, self._num_tokens = num_facts, num_tokens
        self._change_share = change_share

    def add_session(self) -> None:
        """One more session, with new facts and changed ones."""
        name = f"session {self.num_sessions}"
        facts = self._draw_facts()
        hidden = [
            Hidden((fact.statement,), ((fact.question, fact.answer, (0,)),)) for fact in facts
        ]
        stretch = cut_haystack(self._rng, self._books, self._num_tokens)
        context = hide(self._rng, stretch, hidden)
        self.session.add(name, context.text, time=float(self.num_sessions))
        for fact, question in zip(facts, context.questions, strict=True):
            before = self.told.get(fact.key)
            place = Place(name, question.golds[0])
            outdated = before.fact.answer if before else ""
            self.told[fact.key] = Told(fact, place, self.num_sessions, outdated)
        self.num_sessions += 1

    def _draw_facts(self) -> list[Fact]:
        facts: dict[tuple[str, ...], Fact] = {}
        known = list(self.told.values())
        while len(facts) < self._num_facts:
            if known and self._rng.random() < self._change_share:
                fact = make_update(self._rng, self._words, self._rng.choice(known).fact)
            else:
                (fact,) = make_facts(self._rng, self._words, TRAINING_FAMILIES, 1)
                if fact.key in self.told:
                    continue
            facts.setdefault(fact.key, fact)
        return list(facts.values())

    def ask_by_age(self, count: int) -> dict[str, list[Asked]]:
        """About `count` questions, evenly over the ages that there are."""
        by_age: dict[str, list[Told]] = {}
        for told in self.told.values():
            age = self.num_sessions - told.session
            limit = next(limit for limit in AGES if age <= limit)
            by_age.setdefault(f"≤ {limit}", []).append(told)
        each = -(-count // len(by_age))
        return {
            age: [_asked(told) for told in self._rng.sample(facts, min(each, len(facts)))]
            for age, facts in sorted(by_age.items(), key=lambda item: int(item[0][2:]))
        }


def _asked(told: Told) -> Asked:
    fact = told.fact
    outdated = "" if told.outdated == fact.answer else told.outdated
    return Asked(fact.question, fact.answer, (told.place,), outdated)


def live(
    life: Life,
    other: Session,
    stages: Sequence[int],
    config: RetrievalConfig,
    num_questions: int,
    tallies: Tallies,
    seed: int,
    ways: Sequence[str],
) -> None:
    """Add sessions and ask at every stage."""
    for stage in sorted(stages):
        while life.num_sessions < stage:
            life.add_session()
        reader = Reader(life.session, config, random.Random(seed), other)
        for age, questions in life.ask_by_age(num_questions).items():
            for changed in (False, True):
                asked = [each for each in questions if bool(each.outdated) is changed]
                told = "changed" if changed else "as first told"
                labels = {"sessions": stage, "age": age, "fact": told}
                tally_questions(tallies, reader, asked, labels, seed, ways)


def degradation(tallies: Tallies, stages: Sequence[int]) -> list[dict[str, Any]]:
    """What was right or read at the first stage with ten sessions, over the last one's."""
    ordered = sorted(stages)
    first = next((stage for stage in ordered if stage >= 10), ordered[0])
    rows = []
    for figure in ("exact_match", "gold_read"):
        tree = {"read with": "tree"}
        start = tallies.total(figure, sessions=first, **tree)
        end = tallies.total(figure, sessions=ordered[-1], **tree)
        ratio = start.mean / end.mean if end.right else None
        rows.append({"figure": figure, "from": first, "to": ordered[-1], "degradation": ratio})
    return rows


@click.command()
@data_option("Running text of the sessions: a .txt file or folder.")
@click.option(
    "--sessions", multiple=True, type=click.IntRange(1, AGES[-1]), default=(1, 10, 100, 1000)
)
@click.option("--facts", "num_facts", default=3, show_default=True, help="In a session.")
@click.option("--tokens", default=150, show_default=True, help="Of running text in a session.")
@click.option("--changes", default=0.2, show_default=True, help="Share of facts that change one.")
@click.option("--questions", default=48, show_default=True, help="At each stage, for each seed.")
@click.option("--passes", multiple=True, type=click.IntRange(0), default=(0, 1, 2, 5, 10))
@click.option("--contexts", default=10, show_default=True, help="Compressed again, for each seed.")
@retrieval_options()
@ways_options
@common_options
def lifelong(
    data: Path,
    sessions: tuple[int, ...],
    num_facts: int,
    tokens: int,
    changes: float,
    questions: int,
    passes: tuple[int, ...],
    contexts: int,
    config: RetrievalConfig,
    ways: tuple[str, ...],
    dense: str | None,
    model: str,
    seeds: int,
    json_path: Path | None,
) -> None:
    """Recall and answers against age and number of sessions; a context compressed again."""
    torch.manual_seed(0)
    base, books = load_model(model), read_books(data)
    tallies, losses = Tallies(), Losses({}, Tallies())
    for seed in range(seeds):
        rng = random.Random(seed)
        life, elsewhere = (Life(base, books, rng, num_facts, tokens, changes) for _ in range(2))
        elsewhere.add_session()
        live(life, elsewhere.session, sessions, config, questions, tallies, seed, ways or WAYS)
        for _ in range(contexts):
            stretch = cut_haystack(rng, books, _RECOMPRESSION_TOKENS)
            words = WordBank(held_out=True)
            context = hide_facts(rng, stretch, words, TRAINING_FAMILIES, _RECOMPRESSION_FACTS)
            losses.measure(base, context, sorted({0, *passes}), seed)
    for figure in ("exact_match", "gold_read"):
        click.echo(f"\n{figure} by number of sessions\n")
        click.echo(tallies.pivot(figure, "read with", "sessions"))
        for rows in ("age", "fact"):
            click.echo(f"\n{figure} of the tree by {rows}\n")
            click.echo(tallies.pivot(figure, rows, "sessions", **{"read with": "tree"}))
    cells = [*tallies.cells(), *degradation(tallies, sessions), *losses.cells()]
    click.echo()
    click.echo(_table(degradation(tallies, sessions)))
    click.echo()
    click.echo(_table(losses.cells()))
    settings = {"text": data.name, "seeds": seeds, "config": vars(config)}
    save_json(json_path, "lifelong", model, settings, cells)


def _table(cells: Sequence[dict[str, Any]]) -> str:
    rows = [[_text(value) for value in cell.values()] for cell in cells]
    return markdown_table([name.replace("_", " ") for name in cells[0]], rows)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['mean']:.3f} ({value['low']:.2f}–{value['high']:.2f})"
    return f"{value:.3f}" if isinstance(value, float) else "–" if value is None else str(value)

"""Questions about real passages, answered from a whole collection in one store.

Some passages are taken away before the store is made: what is asked of them has no answer there,
and resembles what has one. Controls: the gold passage alone, and no memory at all.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import click
import torch

from benchmarks.options import common_options, data_option
from benchmarks.report import area_under_curve, markdown_table, save_json
from benchmarks.stores import new_session
from lmos.model.base import BaseModel
from lmos.reading.answers import Answer
from lmos.search.retriever import RetrievalConfig
from lmos.session import Session, load_model
from lmos.text.content import f1, is_exact, is_same
from lmos.training.questions import PassageQuestion, group_by_title, read_squad


@dataclass(frozen=True)
class PassageQuery:
    """A question, its answer, and the passage that answers it."""

    question: str
    answer: str
    title: str
    passage: str


@dataclass(frozen=True)
class Judged:
    """An answer as it was graded; of a question without an answer only the claim counts."""

    has_answer: bool
    is_claimed: bool
    confidence: float
    is_exact: bool = False
    is_same: bool = False
    f1: float = 0.0


class Trial:
    """A collection of which some passages are missing, and questions of both kinds."""

    def __init__(
        self, passages: Sequence[PassageQuestion], num_questions: int, rng: random.Random
    ) -> None:
        lost = set(rng.sample(range(len(passages)), len(passages) // 4))
        self.kept = [each for number, each in enumerate(passages) if number not in lost]
        text = "\n".join(each.passage for each in self.kept).casefold()
        self.answerable = _draw(self.kept, num_questions, rng)
        gone = [each for number, each in enumerate(passages) if number in lost]
        nowhere = [each for each in _draw(gone, None, rng) if each.answer.casefold() not in text]
        self.unanswerable = nowhere[:num_questions]

    def store(self, model: BaseModel) -> Session:
        """Every article as one source."""
        session = new_session(model)
        for group in group_by_title(self.kept):
            text = "\n\n".join(each.passage for each in group)
            session.add(group[0].title.replace("_", " "), text)
        return session


def _draw(
    passages: Sequence[PassageQuestion], count: int | None, rng: random.Random
) -> list[PassageQuery]:
    asked = [
        PassageQuery(question, answer, each.title, each.passage)
        for each in passages
        for question, answer in each.pairs
    ]
    return rng.sample(asked, len(asked) if count is None else min(count, len(asked)))


def judge(answer: Answer, wanted: str | None) -> Judged:
    """Grade a complete answer; `wanted` is `None` where there is none."""
    if wanted is None:
        return Judged(False, answer.is_found, answer.confidence if answer.is_given else 0.0)
    said = answer.text if answer.is_given else ""
    confidence = answer.confidence if answer.is_given else 0.0
    exact, same = is_exact(said, wanted), is_same(said, wanted)
    return Judged(True, answer.is_found, confidence, exact, same, f1(said, wanted))


def row(name: str, judged: Sequence[Judged]) -> list[str]:
    """Exact match, content and F1 of what can be answered, claims of what cannot."""
    have = [each for each in judged if each.has_answer]
    lack = [each for each in judged if not each.has_answer]
    figures = [
        f"{fmean(each.is_exact for each in have):.3f}",
        f"{fmean(each.is_same for each in have):.3f}",
        f"{fmean(each.f1 for each in have):.3f}",
        f"{fmean(each.is_same and each.is_claimed for each in have):.3f}",
    ]
    if not lack:
        return [name, *figures, "–", "–", "–"]
    right = sorted((each.confidence for each in have if each.is_same), reverse=True)
    limit = right[int(0.9 * (len(right) - 1))] if right else 1.0
    passing = fmean(each.confidence >= limit and each.confidence > 0 for each in lack)
    auroc = area_under_curve(right, [each.confidence for each in lack]) if right else None
    claimed = fmean(each.is_claimed for each in lack)
    return [name, *figures, f"{claimed:.3f}", f"{passing:.3f}", str(auroc)]


@click.command()
@data_option("A file of SQuAD.")
@click.option("--questions", default=200, show_default=True, help="Of each kind, for each seed.")
@click.option("--articles", default=20, show_default=True, help="Articles in the store.")
@common_options
def answers(
    data: Path, questions: int, articles: int, model: str, seeds: int, json_path: Path | None
) -> None:
    """Questions about real passages: exact match, F1, and claims where there is no answer."""
    torch.manual_seed(0)
    base = load_model(model)
    groups = group_by_title(read_squad(data, held_out=True))[:articles]
    passages = [each for group in groups for each in group]
    ways: dict[str, list[Judged]] = {"hybrid": [], "tree": [], "gold passage": [], "no memory": []}
    for seed in range(seeds):
        trial = Trial(passages, questions, random.Random(seed))
        session = trial.store(base)
        for strategy in ("hybrid", "tree"):
            config = RetrievalConfig(strategy=strategy)
            for each in trial.answerable:
                answer = session.ask(each.question, config).complete()
                ways[strategy].append(judge(answer, each.answer))
            for each in trial.unanswerable:
                answer = session.ask(each.question, config).complete()
                ways[strategy].append(judge(answer, None))
        for each in trial.answerable:
            for name, text in (("gold passage", each.passage), ("no memory", "Nothing is here.")):
                alone = new_session(base)
                alone.add(each.title.replace("_", " "), text)
                answer = alone.ask(each.question).complete()
                ways[name].append(judge(answer, each.answer))
    titles = ["read with", "exact", "content", "F1", "right and claimed"]
    titles += ["claimed without an answer", "… where 90 % of the right are kept", "AUROC"]
    rows = [row(name, judged) for name, judged in ways.items() if judged]
    click.echo(f"{len(passages)} passages, a quarter of them taken away\n")
    click.echo(markdown_table(titles, rows))
    cells = [dict(zip(titles, values, strict=True)) for values in rows]
    save_json(json_path, "answers", model, {"data": data.name, "seeds": seeds}, cells)

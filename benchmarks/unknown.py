"""Questions that the context cannot answer: what is made up, and how well the confidence tells.

Two haystacks, each asked its own questions and the other's. Both kinds come from the same templates
and the same few people and things, so a question without an answer often has a near miss.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import torch

from benchmarks.facts import Trial, make_trial
from benchmarks.haystack import read_books
from benchmarks.options import common_options, data_option, retrieval_options
from benchmarks.reading import MAX_ANSWER_TOKENS, Asked, is_right
from benchmarks.report import area_under_curve, markdown_table, save_json
from benchmarks.stores import new_session
from benchmarks.tallies import Tallies
from lmos.reading.answers import Answer
from lmos.search.retriever import RetrievalConfig
from lmos.session import load_model
from lmos.training.families import TRAINING_FAMILIES

SIGNALS = ("confidence", "answer probability", "1 − p(not found)", "best score")


@dataclass(frozen=True)
class Judged:
    """An answer with what is known about it: could it be right, was it, and what was felt."""

    is_answerable: bool
    is_right: bool
    signals: tuple[float, ...]


def signals_of(answer: Answer) -> tuple[float, ...]:
    """Numbers that may tell a good answer from a bad one, larger for better, as in `SIGNALS`."""
    evidence = answer.evidence
    assert evidence is not None
    return (
        answer.confidence,
        evidence.mean_log_probability,
        -evidence.unknown_log_probability,
        evidence.best_score,
    )


def unanswerable(trial: Trial, other: Trial) -> list[Asked]:
    """The other's questions, without those that are asked in both."""
    own = {asked.question for asked in trial.questions}
    return [replace(asked, golds=()) for asked in other.questions if asked.question not in own]


def judge(
    trial: Trial,
    other: Trial,
    config: RetrievalConfig,
    tallies: Tallies,
    labels: dict[str, Any],
    seed: int,
) -> list[Judged]:
    """Ask one store its own questions and the other's."""
    judged = []
    asked_of = [(asked, True) for asked in trial.questions]
    for asked, is_answerable in asked_of + [(asked, False) for asked in unanswerable(trial, other)]:
        session = trial.session
        answer = session.ask(asked.question, config, max_new_tokens=MAX_ANSWER_TOKENS).complete()
        right = is_answerable and is_right(answer.text, asked.answer)
        judged.append(Judged(is_answerable, right, signals_of(answer)))
        if is_answerable:
            tallies.add(labels, seed, exact_match=right, said_not_found=not answer.is_found)
        else:
            tallies.add(labels, seed, false_answer=answer.is_found)
    return judged


def areas(judged: Sequence[Judged], labels: dict[str, Any]) -> list[dict[str, Any]]:
    """AUROC of every signal: answerable against not, and right against everything else."""
    rows = []
    for number, signal in enumerate(SIGNALS):
        row: dict[str, Any] = {**labels, "signal": signal}
        for figure, is_positive in (
            ("answerable_auroc", [each.is_answerable for each in judged]),
            ("right_auroc", [each.is_right for each in judged]),
        ):
            values: dict[bool, list[float]] = defaultdict(list)
            for each, positive in zip(judged, is_positive, strict=True):
                values[positive].append(each.signals[number])
            row[figure] = area_under_curve(values[True], values[False])
        rows.append(row)
    return rows


@click.command()
@data_option("Haystack: a .txt file or folder.")
@click.option("--tokens", multiple=True, type=int, default=(4_000, 16_000), show_default=True)
@click.option("--facts", "num_facts", default=64, show_default=True, help="Facts in a haystack.")
@click.option(
    "--questions", default=100, show_default=True, help="Of each kind, of each store and seed."
)
@retrieval_options()
@common_options
def unknown(
    data: Path,
    tokens: tuple[int, ...],
    num_facts: int,
    questions: int,
    model: str,
    seeds: int,
    config: RetrievalConfig,
    json_path: Path | None,
) -> None:
    """False answers where the context holds none, and the AUROC of the confidence."""
    torch.manual_seed(0)
    base, books = load_model(model), read_books(data)
    tallies, cells = Tallies(), []
    for num_tokens in tokens:
        judged: dict[str, list[Judged]] = defaultdict(list)
        for seed in range(seeds):
            rng = random.Random(f"{seed} {num_tokens}")
            pair = [
                make_trial(
                    new_session(base),
                    books,
                    TRAINING_FAMILIES,
                    rng,
                    num_tokens,
                    num_facts,
                    questions,
                )
                for _ in range(2)
            ]
            for strategy in ("hybrid", "tree"):
                labels = {"tokens": num_tokens, "read with": strategy}
                how = replace(config, strategy=strategy)
                for trial, other in (pair, pair[::-1]):
                    judged[strategy] += judge(trial, other, how, tallies, labels, seed)
        for strategy, answers in judged.items():
            cells += areas(answers, {"tokens": num_tokens, "read with": strategy})
    click.echo(tallies.table())
    click.echo()
    rows = [[str(value) for value in cell.values()] for cell in cells]
    click.echo(markdown_table([name.replace("_", " ") for name in cells[0]], rows))
    settings = {"haystack": data.name, "facts": num_facts, "seeds": seeds, "config": vars(config)}
    plain = [
        {k: asdict(v) if k.endswith("auroc") else v for k, v in cell.items()} for cell in cells
    ]
    save_json(json_path, "unknown", model, settings, [*tallies.cells(), *plain])

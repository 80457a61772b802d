"""Facts in books: one-sentence facts scattered through a novel, asked for one by one.

Facts are filled with words that training never draws; the haystack is an argument.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import torch

from benchmarks.dense import load_dense
from benchmarks.haystack import cut_haystack, read_books
from benchmarks.options import common_options, data_option, retrieval_options, ways_options
from benchmarks.reading import Asked
from benchmarks.report import save_json
from benchmarks.stores import Place, new_session
from benchmarks.tallies import Tallies
from benchmarks.ways import WAYS, Reader, tally_questions
from lmos.nodes import Span
from lmos.search.retriever import RetrievalConfig
from lmos.session import Session, load_model
from lmos.training.contexts import Context, GoldQuestion, hide_facts
from lmos.training.families import HELD_OUT_FAMILIES, TRAINING_FAMILIES, Family
from lmos.training.words import WordBank

SOURCE = "haystack"
_NUM_STORES = 4


@dataclass(frozen=True)
class Trial:
    """One store with the questions about it."""

    session: Session
    questions: tuple[Asked, ...]


def ask_about(context: Context, question: GoldQuestion) -> Asked:
    """The question with the first byte of its answer as gold: that leaf must be read."""
    answer = question.answer or ""
    (gold,) = question.golds
    statement = context.text.encode()[gold.start : gold.stop]
    start = gold.start + max(0, statement.find(answer.encode()))
    return Asked(question.question, answer, (Place(SOURCE, Span(start, start + 1)),))


def make_trial(
    session: Session,
    books: str,
    families: Sequence[Family],
    rng: random.Random,
    num_tokens: int,
    num_facts: int,
    num_questions: int,
) -> Trial:
    """Hide facts in a stretch of the books and add it to an empty store."""
    stretch = cut_haystack(rng, books, num_tokens)
    context = hide_facts(rng, stretch, WordBank(held_out=True), families, num_facts)
    session.add(SOURCE, context.text)
    asked = rng.sample(context.questions, min(num_questions, num_facts))
    return Trial(session, tuple(ask_about(context, question) for question in asked))


@click.command()
@data_option("Haystack: a .txt file or folder.")
@click.option("--tokens", multiple=True, type=int, default=(16_000, 64_000), show_default=True)
@click.option("--facts", "num_facts", default=64, show_default=True, help="Facts in a haystack.")
@click.option(
    "--questions", default=200, show_default=True, help="Questions a seed, over 4 haystacks."
)
@click.option(
    "--unseen-templates", is_flag=True, help="Ask about relations that training never saw."
)
@retrieval_options()
@ways_options
@common_options
def facts(
    data: Path,
    model: str,
    tokens: tuple[int, ...],
    num_facts: int,
    questions: int,
    seeds: int,
    unseen_templates: bool,
    config: RetrievalConfig,
    ways: tuple[str, ...],
    dense: str | None,
    json_path: Path | None,
) -> None:
    """One-sentence facts scattered through a novel: recall of the leaf and exact match."""
    torch.manual_seed(0)
    base, dense_model = load_model(model), load_dense(dense)
    books = read_books(data)
    families = HELD_OUT_FAMILIES if unseen_templates else TRAINING_FAMILIES
    tallies = Tallies()
    for num_tokens in tokens:
        for seed in range(seeds):
            rng = random.Random(f"{seed} {num_tokens}")
            trials = [
                make_trial(
                    new_session(base),
                    books,
                    families,
                    rng,
                    num_tokens,
                    num_facts,
                    questions // _NUM_STORES,
                )
                for _ in range(_NUM_STORES)
            ]
            for index, trial in enumerate(trials):
                other = trials[index - 1].session
                reader = Reader(trial.session, config, rng, other, dense_model)
                labels = {"tokens": num_tokens}
                tally_questions(tallies, reader, trial.questions, labels, seed, ways or WAYS)
        click.echo(f"\n{num_facts} facts in {num_tokens} tokens, {seeds} × {questions} questions\n")
        click.echo(tallies.table(tokens=num_tokens))
    settings = {"haystack": data.name, "facts": num_facts, "seeds": seeds, "config": vars(config)}
    save_json(json_path, "facts", model, settings, tallies.cells())

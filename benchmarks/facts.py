"""Facts in books: one-sentence facts scattered through a novel, asked for one by one.

Facts are filled with words that training never draws; the haystack is an argument. Every control
reads with the same model: what differs is what it is given to read.
"""

from __future__ import annotations

import random
import re
import string
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import bm25s  # type: ignore[import-untyped]
import click
import torch

from benchmarks.report import Share, markdown_table, save_json, share
from lmos.generation import prompt_embeddings, stream_answer
from lmos.model import BaseModel
from lmos.nodes import Hit, Node, NodeId, Span
from lmos.released import DEFAULT_MODEL
from lmos.retriever import Retrieval, RetrievalConfig
from lmos.session import Session, load_model
from lmos.training.contexts import Context, GoldQuestion, hide_facts
from lmos.training.facts import HELD_OUT_FAMILIES, TRAINING_FAMILIES, Family
from lmos.training.words import WordBank

CHARS_PER_TOKEN = 4.5
"""Of haystack, whatever the model's tokenizer says."""

_NUM_STORES = 4


@dataclass(frozen=True)
class Trial:
    """One store with the questions about it."""

    session: Session
    context: Context
    questions: tuple[GoldQuestion, ...]


def normalise(answer: str) -> str:
    """Lower case without punctuation and articles, as exact match is usually taken."""
    kept = "".join(mark for mark in answer.lower() if mark not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


def read_haystack(path: Path) -> str:
    """One file, or all `.txt` files of a folder one after the other."""
    files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise click.UsageError(f"no .txt file in {path}")
    return "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files)


def gold_leaf(session: Session, question: GoldQuestion, answer_at: int) -> NodeId:
    """The level-1 node whose text holds the first byte of the answer."""
    source = session.store.source("haystack")
    low, high = 0, source.level_counts[0] - 1
    while low < high:
        middle = (low + high) // 2
        node = session.store.nodes([NodeId(source.source_id, 1, middle)])[0]
        low, high = (low, middle) if node.byte_span.stop > answer_at else (middle + 1, high)
    return NodeId(source.source_id, 1, low)


def _answer_at(context: Context, question: GoldQuestion) -> int:
    (gold,) = question.golds
    statement = context.text.encode()[gold.start : gold.stop]
    return gold.start + max(0, statement.find((question.answer or "").encode()))


def _hits(session: Session, ids: Sequence[NodeId], config: RetrievalConfig) -> tuple[Hit, ...]:
    """These leaves, opened as the retriever opens its own."""
    store = session.store
    sources = {source.source_id: source for source in session.sources()}
    hits = []
    for node in store.nodes(sorted(ids)):
        source = sources[node.id.source_id]
        first = max(0, node.id.index - config.margin)
        last = min(source.level_counts[0] - 1, node.id.index + config.margin)
        near: list[Node] = store.nodes([node.id._replace(index=i) for i in (first, last)])
        span = Span(near[0].byte_span.start, near[1].byte_span.stop)
        hits.append(Hit(source, node, span, True, 0.0, 1 / len(ids)))
    return tuple(hits)


def _read(model: BaseModel, session: Session, hits: Sequence[Hit], question: str) -> str:
    prompt_TD = prompt_embeddings(model, session.store, hits, question)
    return "".join(stream_answer(model, prompt_TD, max_new_tokens=16))


@dataclass
class Tally:
    """Right answers and found leaves of one way to retrieve."""

    answers: Share = field(default_factory=lambda: Share(0, 0))
    opened: Share = field(default_factory=lambda: Share(0, 0))
    kept: Share = field(default_factory=lambda: Share(0, 0))


def _contains(hits: Sequence[Hit], place: int) -> bool:
    return any(hit.is_text and hit.byte_span.start <= place < hit.byte_span.stop for hit in hits)


def run_trial(
    trial: Trial, other: Trial, config: RetrievalConfig, rng: random.Random
) -> dict[str, Tally]:
    """Every way to retrieve, on every question of one store."""
    session, model = trial.session, trial.session.model
    source = session.store.source("haystack")
    leaves = session.store.level_ids(1)
    texts = [
        session.store.text(source.source_id, node.byte_span).decode(errors="replace")
        for node in session.store.nodes(leaves)
    ]
    bm25 = bm25s.BM25()
    bm25.index(bm25s.tokenize(texts, show_progress=False), show_progress=False)

    def lexical(question: str) -> list[NodeId]:
        tokens = bm25s.tokenize(question, show_progress=False)
        found, _ = bm25.retrieve(tokens, k=config.max_texts, show_progress=False)
        return [leaves[index] for index in found[0]]

    ways: dict[str, Callable[[str, NodeId], tuple[Sequence[Hit], Retrieval | None]]] = {
        "tree": lambda q, _: _found(session, q, config),
        "flat scan": lambda q, _: _found(session, q, replace(config, strategy="flat")),
        "BM25": lambda q, _: (_hits(session, lexical(q), config), None),
        "oracle retrieval": lambda _, gold: (_hits(session, [gold], config), None),
        "random retrieval": lambda *_: (
            _hits(session, rng.sample(leaves, config.max_texts), config),
            None,
        ),
        "no memory": lambda *_: ((), None),
    }
    tallies = {name: Tally() for name in (*ways, "shuffled memory")}
    for question in trial.questions:
        place = _answer_at(trial.context, question)
        gold = gold_leaf(session, question, place)
        for name, way in ways.items():
            hits, retrieval = way(question.question, gold)
            answer = _read(model, session, hits, question.question)
            tally = tallies[name]
            tally.answers += share([normalise(answer) == normalise(question.answer or "")])
            tally.opened += share([_contains(hits, place)])
            kept = retrieval.walk[-1].kept if retrieval is not None else ()
            tally.kept += share([any(node_id == gold for node_id, _ in kept)])
        hits, _ = _found(other.session, question.question, config)
        answer = _read(model, other.session, hits, question.question)
        tallies["shuffled memory"].answers += share(
            [normalise(answer) == normalise(question.answer or "")]
        )
    return tallies


def _found(
    session: Session, question: str, config: RetrievalConfig
) -> tuple[Sequence[Hit], Retrieval]:
    retrieval = session.retrieve(question, config)
    return retrieval.hits, retrieval


def make_trial(
    model: BaseModel,
    folder: Path,
    haystack: str,
    families: Sequence[Family],
    rng: random.Random,
    num_tokens: int,
    num_facts: int,
    num_questions: int,
) -> Trial:
    """Hide facts in a stretch of the haystack and add it to a new store."""
    num_chars = int(num_tokens * CHARS_PER_TOKEN)
    if len(haystack) < num_chars:
        raise click.UsageError(
            f"the haystack has {len(haystack)} characters, {num_tokens} tokens take {num_chars}"
        )
    start = rng.randrange(len(haystack) - num_chars + 1)
    context = hide_facts(
        rng, haystack[start : start + num_chars], WordBank(held_out=True), families, num_facts
    )
    session = Session.create(folder / f"{rng.random()}.lmos", model)
    session.add("haystack", context.text)
    return Trial(session, context, tuple(rng.sample(context.questions, num_questions)))


@click.command()
@click.option(
    "--data",
    type=click.Path(exists=True, path_type=Path),
    required=True,
    help="Haystack: a .txt file or folder.",
)
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Model folder or name.")
@click.option("--tokens", multiple=True, type=int, default=(16_000, 64_000), show_default=True)
@click.option("--facts", "num_facts", default=64, show_default=True, help="Facts in a haystack.")
@click.option(
    "--questions", default=200, show_default=True, help="Questions a seed, over 4 haystacks."
)
@click.option("--seeds", default=3, show_default=True)
@click.option("--beam", default=RetrievalConfig.beam, show_default=True)
@click.option(
    "--unseen-templates", is_flag=True, help="Ask about relations that training never saw."
)
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Where to write the figures."
)
def facts(
    data: Path,
    model: str,
    tokens: tuple[int, ...],
    num_facts: int,
    questions: int,
    seeds: int,
    beam: int,
    unseen_templates: bool,
    json_path: Path | None,
) -> None:
    """One-sentence facts scattered through a novel: recall of the leaf and exact match."""
    torch.manual_seed(0)
    base = load_model(model)
    haystack = read_haystack(data)
    families = HELD_OUT_FAMILIES if unseen_templates else TRAINING_FAMILIES
    config = RetrievalConfig(beam=beam)
    result = {}
    for num_tokens in tokens:
        totals: dict[str, Tally] = {}
        by_seed: dict[str, list[float]] = {}
        for seed in range(seeds):
            rng = random.Random(f"{seed} {num_tokens}")
            seed_totals: dict[str, Tally] = {}
            with tempfile.TemporaryDirectory() as folder:
                trials = [
                    make_trial(
                        base,
                        Path(folder),
                        haystack,
                        families,
                        rng,
                        num_tokens,
                        num_facts,
                        questions // _NUM_STORES,
                    )
                    for _ in range(_NUM_STORES)
                ]
                for index, trial in enumerate(trials):
                    for name, tally in run_trial(trial, trials[index - 1], config, rng).items():
                        _merge(seed_totals.setdefault(name, Tally()), tally)
                for trial in trials:
                    trial.session.close()
            for name, tally in seed_totals.items():
                _merge(totals.setdefault(name, Tally()), tally)
                by_seed.setdefault(name, []).append(tally.answers.mean)
        rows = [
            [
                name,
                str(tally.answers),
                " ".join(f"{value:.2f}" for value in by_seed[name]),
                str(tally.opened) if tally.opened.total else "–",
                str(tally.kept) if name in ("tree", "flat scan") else "–",
            ]
            for name, tally in totals.items()
        ]
        header = ["read with", "exact match", "by seed", "gold leaf read", "gold leaf kept"]
        click.echo(f"\n{num_facts} facts in {num_tokens} tokens, {seeds} × {questions} questions\n")
        click.echo(markdown_table(header, rows))
        result[str(num_tokens)] = {
            name: {
                "exact_match": tally.answers.mean,
                "by_seed": by_seed[name],
                "leaf_read": tally.opened.mean,
                "leaf_kept": tally.kept.mean,
                "questions": tally.answers.total,
            }
            for name, tally in totals.items()
        }
    save_json(
        json_path, {"model": model, "haystack": data.name, "facts": num_facts, "tokens": result}
    )


def _merge(total: Tally, part: Tally) -> None:
    total.answers += part.answers
    total.opened += part.opened
    total.kept += part.kept

"""Question → passage over a whole collection in one store.

A document is a source, its passages are its lines. A passage is found by a node that overlaps it.
Ranks count distinct finds: a node all of whose passages a better node has found takes no rank, so
leaves compete with whole passages on equal terms. At level 2 and 3 a node overlaps several
passages, and finds them all with one rank.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import click
import torch

from benchmarks.dense import DenseIndex, DenseModel, load_dense
from benchmarks.lexical import LexicalIndex
from benchmarks.options import common_options, data_option
from benchmarks.passages import SPLITS, Collection, CollectionQuestion, read_collection
from benchmarks.report import save_json
from benchmarks.stores import Leaves, new_session
from benchmarks.tallies import Tallies
from benchmarks.ways import rank_mean_pool
from lmos.model.base import BaseModel
from lmos.nodes import NodeId
from lmos.search.retriever import RetrievalConfig
from lmos.search.scorers import AbstractScorer, Query
from lmos.search.strategies import LevelTrace
from lmos.session import Session, load_model
from lmos.store import AbstractStore

_INT8_MAX = 127

CUTS = (1, 5, 20)
_DEPTH = 400
"""Nodes of a ranking: 20 distinct passages need more than 20 leaves."""

Passage = tuple[str, int]
Ranking = list[set[Passage]]
"""The passages that each rank finds, best first."""


class CollectionStore:
    """A collection in a store, with the passages that each node overlaps."""

    def __init__(self, model: BaseModel, collection: Collection) -> None:
        self.session: Session = new_session(model)
        self.passages: list[Passage] = []
        self.texts: list[str] = []
        self._starts: dict[int, list[int]] = {}
        self._names: dict[int, str] = {}
        for number, (name, lines) in enumerate(collection.documents.items()):
            source = self.session.add(name, "\n".join(lines), time=float(number))
            starts = [0]
            for line in lines[:-1]:
                starts.append(starts[-1] + len(line.encode()) + 1)
            self._starts[source.source_id] = starts
            self._names[source.source_id] = name
            self.passages += [(name, index) for index in range(len(lines))]
            self.texts += lines

    def passages_of(self, ids: Iterable[NodeId]) -> Ranking:
        """The passages that each node overlaps."""
        ranking = []
        for node in self.session.store.nodes(list(ids)):
            starts = self._starts[node.id.source_id]
            first = bisect_right(starts, node.byte_span.start) - 1
            last = bisect_right(starts, node.byte_span.stop - 1) - 1
            name = self._names[node.id.source_id]
            ranking.append({(name, index) for index in range(first, last + 1)})
        return ranking


def rank_of(ranking: Ranking, golds: Iterable[Passage]) -> int | None:
    """The rank, from 1, that finds a gold passage first; `None` if none does."""
    wanted, seen, rank = set(golds), set[Passage](), 0
    for found in ranking:
        if found <= seen:
            continue
        rank += 1
        if found & wanted:
            return rank
        seen |= found
    return None


class Int8Scorer(AbstractScorer):
    """Stored keys rounded to 8 bits with a scale a vector: what a smaller type would cost."""

    def score(self, query: Query, store: AbstractStore, ids: Sequence[NodeId]) -> torch.Tensor:
        """See `AbstractScorer.score`."""
        keys_NK = store.keys(ids).to(query.state)
        scale_N1 = keys_NK.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / _INT8_MAX
        return query.state @ ((keys_NK / scale_N1).round() * scale_N1).T


def make_rankers(
    kept: CollectionStore,
    config: RetrievalConfig,
    rng: random.Random,
    dense_model: DenseModel | None,
) -> dict[str, Callable[[str], Ranking]]:
    """Every way to rank, by name; what a level lacks is left out."""
    session, passages = kept.session, kept.passages
    leaves = Leaves(session.model, session.store)
    by_leaf, by_passage = LexicalIndex(leaves.texts), LexicalIndex(kept.texts)

    def walk(question: str, how: RetrievalConfig) -> tuple[LevelTrace, ...]:
        return session.retrieve(question, how).walk

    def scan(level: int) -> Callable[[str], Ranking]:
        how = replace(config, strategy="flat", level=level, beam=_DEPTH, max_found=_DEPTH)
        return lambda question: _ranking(kept, walk(question, how))

    rounded = Session(session.model, session.store, scorer=Int8Scorer(session.model))

    def scan_int8(question: str) -> Ranking:
        how = replace(config, strategy="flat", level=1, beam=_DEPTH, max_found=_DEPTH)
        return _ranking(kept, rounded.retrieve(question, how).walk)

    def whole(numbers: Sequence[int]) -> Ranking:
        return [{passages[number]} for number in numbers]

    def leaf(numbers: Sequence[int]) -> Ranking:
        return kept.passages_of(leaves.ids[number] for number in numbers)

    tree, hybrid = (replace(config, level=1, strategy=name) for name in ("tree", "hybrid"))
    rankers: dict[str, Callable[[str], Ranking]] = {
        "hybrid": lambda question: _ranking(kept, walk(question, hybrid)),
        "tree": lambda question: _ranking(kept, walk(question, tree)),
        "flat scan": scan(1),
        "flat scan, keys of 8 bits": scan_int8,
        "BM25, leaves": lambda question: leaf(by_leaf.rank(question, _DEPTH)),
        "BM25, passages": lambda question: whole(by_passage.rank(question, max(CUTS))),
        "mean-pool": lambda question: leaf(rank_mean_pool(session, leaves, question, _DEPTH)),
        "random": lambda _: whole(rng.sample(range(len(passages)), min(20, len(passages)))),
    }
    for level in range(2, session.store.manifest.num_levels + 1):
        if session.store.level_ids(level):
            rankers[f"flat scan, level {level}"] = scan(level)
    if dense_model is not None:
        index = DenseIndex(dense_model, kept.texts)
        rankers["dense, passages"] = lambda question: whole(index.rank(question, max(CUTS)))
    return rankers


def _ranking(kept: CollectionStore, walk: Sequence[LevelTrace]) -> Ranking:
    return kept.passages_of(node_id for node_id, _ in walk[-1].kept) if walk else []


def measure(
    rankers: dict[str, Callable[[str], Ranking]],
    questions: Sequence[CollectionQuestion],
    tallies: Tallies,
    seed: int,
) -> None:
    """Count, for every way to rank, how often a gold passage is among the first."""
    for name, ranker in rankers.items():
        for asked in questions:
            rank = rank_of(ranker(asked.question), [(asked.document, g) for g in asked.golds])
            flags = {f"recall@{cut}": rank is not None and rank <= cut for cut in CUTS}
            tallies.add({"ranked by": name}, seed, **flags)


@click.command()
@data_option("A file of SQuAD, or a folder of FairytaleQA or QMSum.")
@click.option("--split", type=click.Choice(list(SPLITS)), default="held-out", show_default=True)
@click.option("--questions", default=300, show_default=True, help="Drawn for each seed.")
@click.option("--beam", default=RetrievalConfig.beam, show_default=True)
@click.option("--dense", help="Model for sentence-transformers: a folder or a name.")
@common_options
def recall(
    data: Path,
    split: str,
    questions: int,
    beam: int,
    dense: str | None,
    model: str,
    seeds: int,
    json_path: Path | None,
) -> None:
    """Question to passage: recall@1, 5 and 20 by level, against BM25 and a flat scan."""
    torch.manual_seed(0)
    dense_model = load_dense(dense)
    collection = read_collection(data, split)
    kept = CollectionStore(load_model(model), collection)
    tallies = Tallies()
    rankers = make_rankers(
        kept, RetrievalConfig(beam=beam, max_found=_DEPTH), random.Random(0), dense_model
    )
    for seed in range(seeds):
        drawn = random.Random(seed).sample(
            collection.questions, min(questions, len(collection.questions))
        )
        measure(rankers, drawn, tallies, seed)
    size = {
        "documents": len(collection.documents),
        "passages": len(kept.passages),
        "leaves": len(kept.session.store.level_ids(1)),
    }
    click.echo(", ".join(f"{count} {what}" for what, count in size.items()) + "\n")
    click.echo(tallies.table())
    settings = {"data": data.name, "split": split, "seeds": seeds, "beam": beam, **size}
    save_json(json_path, "recall", model, settings, tallies.cells())

"""Ways to find what a question needs: ours, its yardsticks and its controls.

Every way reads with the same model; what differs is what it is given to read. Knows stores and
hits; knows no task.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from benchmarks.dense import DenseIndex, DenseModel
from benchmarks.lexical import LexicalIndex
from benchmarks.reading import (
    MAX_ANSWER_TOKENS,
    Asked,
    fits,
    is_read,
    is_right,
    read,
    whole_context,
)
from benchmarks.stores import Leaves, leaves_of, mean_embeddings
from benchmarks.tallies import Labels, Tallies
from lmos.nodes import Hit, NodeId, Span
from lmos.search.retriever import RetrievalConfig, Retriever
from lmos.session import Session
from lmos.tree.keys import query_vectors

WAYS = (
    "hybrid",
    "tree",
    "flat scan",
    "BM25",
    "dense",
    "mean-pool",
    "oracle retrieval",
    "random retrieval",
    "full context",
    "no memory",
    "shuffled memory",
)
"""Names, in the order of a table.

hybrid: what `ask` does. tree: without the words. flat scan: every leaf is scored. BM25, dense: as
many leaves, found by bm25s or by a sentence embedding model. mean-pool: by the mean of each leaf's
token embeddings. oracle: the gold leaves alone. full context: everything as text, where the model
has room. shuffled memory: the store of another trial.
"""


@dataclass(frozen=True)
class Reading:
    """What was answered, what it was read from, and the nodes that survived the last level."""

    answer: str
    hits: Sequence[Hit]
    kept: frozenset[NodeId] | None = None


class Reader:
    """Answers questions about one store in every way.

    Args:
        session: The store; it must not change.
        config: How much is read, the same for every way.
        rng: Of random retrieval.
        other: A store that holds no answer.
        dense: A sentence embedding model, if there is one.
    """

    def __init__(
        self,
        session: Session,
        config: RetrievalConfig,
        rng: random.Random,
        other: Session | None = None,
        dense: DenseModel | None = None,
    ) -> None:
        self._session = session
        self._config = config
        self._rng = rng
        self._other = other
        self._dense = dense
        self._leaves = Leaves(session.model, session.store)
        self._lexical: LexicalIndex | None = None
        self._dense_index: DenseIndex | None = None
        self._ways: dict[str, Callable[[Asked], Reading | None]] = {
            "hybrid": lambda asked: _ask(session, asked, replace(config, strategy="hybrid")),
            "tree": lambda asked: _ask(session, asked, replace(config, strategy="tree")),
            "flat scan": lambda asked: _ask(session, asked, replace(config, strategy="flat")),
            "BM25": lambda asked: self._read_best(asked, self._rank_lexical(asked)),
            "dense": self._read_dense,
            "mean-pool": lambda asked: self._read_best(asked, self._rank_mean(asked)),
            "oracle retrieval": self._read_golds,
            "random retrieval": self._read_random,
            "full context": self._read_all,
            "no memory": lambda asked: self._read_hits(asked, ()),
            "shuffled memory": lambda asked: _ask(other, asked, config) if other else None,
        }

    def answer(self, way: str, asked: Asked) -> Reading | None:
        """Answer in one way, or `None` where that cannot be done."""
        return self._ways[way](asked)

    def are_kept(self, asked: Asked, kept: Collection[NodeId]) -> list[bool]:
        """For each gold passage, whether all its leaves are among `kept`."""
        store = self._session.store
        return [all(leaf in kept for leaf in leaves_of(store, gold)) for gold in asked.golds]

    def _read_hits(self, asked: Asked, hits: Sequence[Hit]) -> Reading:
        model, store = self._session.model, self._session.store
        return Reading(read(model, store, hits, asked.question), hits)

    def _read_leaves(self, asked: Asked, ids: Sequence[NodeId], config: RetrievalConfig) -> Reading:
        ranked = [(node_id, -float(rank)) for rank, node_id in enumerate(ids)]
        # Ranks are no logits: how many are read does not depend on them.
        retriever = Retriever(self._session.model, replace(config, text_mass=1.0))
        return self._read_hits(asked, retriever.open(self._session.store, ranked))

    def _read_best(self, asked: Asked, numbers: Sequence[int]) -> Reading:
        ids = self._leaves.ids
        return self._read_leaves(asked, [ids[number] for number in numbers], self._config)

    def _read_golds(self, asked: Asked) -> Reading | None:
        if not asked.golds:
            return None
        ids = [leaf for gold in asked.golds for leaf in leaves_of(self._session.store, gold)]
        ids = list(dict.fromkeys(ids))
        config = replace(
            self._config,
            level=0,
            max_texts=max(len(ids), self._config.max_texts),
            budget=max(self._config.budget, self._session.model.max_positions // 2),
        )
        return self._read_leaves(asked, ids, config)

    def _read_random(self, asked: Asked) -> Reading:
        count = min(self._num_texts(asked), len(self._leaves.ids))
        ids = self._rng.sample(self._leaves.ids, count)
        return self._read_leaves(asked, ids, self._config)

    def _read_all(self, asked: Asked) -> Reading | None:
        hits = whole_context(self._session.store)
        is_possible = fits(self._session.model, self._session.store, hits, asked.question)
        return self._read_hits(asked, hits) if is_possible else None

    def _read_dense(self, asked: Asked) -> Reading | None:
        if self._dense is None:
            return None
        if self._dense_index is None:
            self._dense_index = DenseIndex(self._dense, self._leaves.texts)
        return self._read_best(
            asked, self._dense_index.rank(asked.question, self._num_texts(asked))
        )

    def _rank_lexical(self, asked: Asked) -> list[int]:
        if self._lexical is None:
            self._lexical = LexicalIndex(self._leaves.texts)
        return self._lexical.rank(asked.question, self._num_texts(asked))

    def _rank_mean(self, asked: Asked) -> list[int]:
        count = self._num_texts(asked)
        return rank_mean_pool(self._session, self._leaves, asked.question, count)

    def _num_texts(self, asked: Asked) -> int:
        """How many passages the tree opens for this question: no way reads more or fewer."""
        hits = self._session.retrieve(asked.question, self._config).hits
        return sum(hit.is_text for hit in hits)


def rank_mean_pool(session: Session, leaves: Leaves, question: str, count: int) -> list[int]:
    """Numbers of the best leaves by the keys of their mean token embeddings, best first."""
    model = session.model
    ids = model.encode(question).ids
    if model.adapter.heads is not None:
        mean_1D = mean_embeddings(model, ids, [Span(0, len(ids))])
        best_N = (mean_1D - leaves.centre) @ leaves.mean_keys.T
    else:
        (vectors_RK,) = query_vectors(model, [ids], model.scoring_layer).detach()
        best_N = vectors_RK @ leaves.mean_keys.T
    best_N = best_N.amax(0)
    return [int(number) for number in best_N.topk(min(count, len(best_N))).indices]


def _ask(session: Session, asked: Asked, config: RetrievalConfig) -> Reading:
    answer = session.ask(asked.question, config, max_new_tokens=MAX_ANSWER_TOKENS).complete()
    walk = answer.retrieval.walk
    kept = frozenset(node_id for node_id, _ in walk[-1].kept) if walk else frozenset()
    return Reading(answer.text, answer.retrieval.hits, kept)


def tally_questions(
    tallies: Tallies,
    reader: Reader,
    questions: Sequence[Asked],
    labels: Labels,
    seed: int,
    ways: Collection[str] = WAYS,
) -> None:
    """Answer every question in every way and count what came out.

    Figures: `exact_match`; `gold_read`, the share of gold passages among the texts read, where
    the store is the one asked about; `gold_kept`, their share among the nodes of the last level;
    `outdated`, where the fact has changed, the share that is answered with what was right once.
    """
    for way in WAYS:
        for asked in questions if way in ways else ():
            reading = reader.answer(way, asked)
            if reading is None:
                continue
            row = {**labels, "read with": way}
            tallies.add(row, seed, exact_match=is_right(reading.answer, asked.answer))
            if asked.outdated:
                tallies.add(row, seed, outdated=is_right(reading.answer, asked.outdated))
            if way == "shuffled memory" or not asked.golds:
                continue
            tallies.add(row, seed, gold_read=[is_read(reading.hits, gold) for gold in asked.golds])
            if reading.kept is not None:
                tallies.add(row, seed, gold_kept=reader.are_kept(asked, reading.kept))

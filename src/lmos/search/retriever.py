"""The retriever: a store and a question in, the few nodes that matter out.

Lets a strategy find them, and fits the best into a budget, in time order. Reads a store and never
writes; does not know what is done with what it returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import torch

from lmos.errors import ConfigError
from lmos.model.base import BaseModel
from lmos.nodes import Hit, Node, NodeId, ScoreParts, Source, Span, WalkStep
from lmos.search.passages import passage_of
from lmos.search.scorers import AbstractScorer, CachedScorer, Query
from lmos.search.strategies import STRATEGIES, AbstractStrategy, Kept, LevelTrace, Search
from lmos.settings import RetrievalConfig as RetrievalConfig
from lmos.store import AbstractStore
from lmos.tree.excerpts import read_excerpt
from lmos.tree.keys import query_room

_READ_NODES = 16
_WORD_BYTES = 48
"""How much of a word that a node was cut from is read along; longer ones stay cut."""


@dataclass(frozen=True, eq=False)
class Retrieval:
    """What a question found.

    Attributes:
        hits: In time order: by the time of the source, then by place in it.
        levels: What each level kept, as the strategy yielded it.
    """

    hits: tuple[Hit, ...]
    levels: tuple[Kept, ...] = field(default=(), repr=False)

    @cached_property
    def walk(self) -> tuple[LevelTrace, ...]:
        """One entry a level, for people to read; made when it is first asked for."""
        return tuple(kept.trace for kept in self.levels)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Retrieval):
            return NotImplemented
        return self.hits == other.hits and self.walk == other.walk

    __hash__ = None  # type: ignore[assignment]


class _Candidate(NamedTuple):
    """A node that was kept; sorts best first."""

    minus_score: float
    id: NodeId
    place: int = 0
    kept: Kept | None = None

    @property
    def path(self) -> tuple[WalkStep, ...]:
        """The way to it, if it was walked to."""
        return () if self.kept is None else self.kept.path(self.place)

    @property
    def parts(self) -> ScoreParts | None:
        """What its score comes from, if it is joined from two."""
        return None if self.kept is None else self.kept.parts(self.place)


@dataclass(frozen=True)
class _Chosen:
    """A node that is returned, and what it is opened to."""

    candidate: _Candidate
    source: Source
    node: Node
    byte_span: Span
    is_text: bool

    def holds(self, source: Source, span: Span) -> bool:
        """Whether this is text, and a span of a source is part of it."""
        is_same = self.is_text and self.source.source_id == source.source_id
        return is_same and self.byte_span.start <= span.start and span.stop <= self.byte_span.stop


class Retriever:
    """Finds the nodes of a store that a question needs.

    Args:
        model: Base model and adapter, the ones that wrote the store.
        config: How to walk.
        scorer: In the place of stored keys.
        strategy: In the place of the one that the config names.

    Raises:
        ConfigError: The strategy does not work with the scorer.

    Deterministic: the same store, model and question give the same result.
    """

    def __init__(
        self,
        model: BaseModel,
        config: RetrievalConfig,
        *,
        scorer: AbstractScorer | None = None,
        strategy: AbstractStrategy | None = None,
    ) -> None:
        self._model = model
        self._config = config
        self._scorer = scorer or CachedScorer(model)
        self._strategy = strategy or STRATEGIES[config.strategy]
        if self._strategy.needs_stored_keys and not self._scorer.uses_stored_keys:
            raise ConfigError(
                f"strategy: expected one that works with any scorer, got "
                f"{type(self._strategy).__name__}, which looks among stored keys; "
                f"{type(self._scorer).__name__} does not use them"
            )

    def retrieve(
        self,
        store: AbstractStore,
        question_ids: Sequence[int],
        lead_ids: Sequence[int] = (),
    ) -> Retrieval:
        """Find what a question needs.

        Args:
            store: Not changed.
            question_ids: Token ids of the question.
            lead_ids: Those of the question behind what led to it, to search with as well: "and
                when?" means little alone. Its first tokens are left out if it is too long.

        Raises:
            QueryError: The question is empty or too long.
            ConfigError: The wanted level is above the store's highest.
        """
        self._require_level(store)
        with store.snapshot():
            query = self.prepare(question_ids)
            if lead_ids:
                lead = self.prepare(lead_ids[-query_room(self._model) :])
                query = Query(torch.cat([query.state, lead.state]))
            return self.search(store, query, self._model.decode(lead_ids or question_ids))

    @torch.no_grad()
    def prepare(self, question_ids: Sequence[int]) -> Query:
        """Run the question through the model, once for any number of searches.

        Raises:
            QueryError: The question is empty or too long.
        """
        return self._scorer.prepare(question_ids)

    @torch.no_grad()
    def search(self, store: AbstractStore, query: Query, question: str = "") -> Retrieval:
        """Find what a prepared question needs; all of it sees one commit.

        Args:
            store: Not changed.
            query: From `prepare`.
            question: Whose words to look for; without, `hybrid` is `tree`.

        Raises:
            ConfigError: The wanted level is above the store's highest.
        """
        target, config = self._require_level(store), self._config
        with store.snapshot():
            search = Search(
                store,
                lambda ids: self._scorer.score(query, store, ids),
                query.state,
                target,
                config.top_c,
                config.beam,
                config.max_found,
                config.admitted_ids(store),
                question,
                config.lexical_weight,
            )
            levels = tuple(self._strategy.walk(search))
            candidates = sorted(
                _Candidate(-score, node_id, place, kept)
                for kept in levels
                if kept.ids.rows[0, 1] <= target
                for place, (node_id, score) in enumerate(zip(kept.ids, kept.scores, strict=True))
            )
            return Retrieval(self._hits(store, candidates), levels)

    def open(self, store: AbstractStore, ranked: Iterable[tuple[NodeId, float]]) -> tuple[Hit, ...]:
        """Open nodes that another search found and scored, as a walk opens its own."""
        return self._hits(store, sorted(_Candidate(-score, node_id) for node_id, score in ranked))

    def _require_level(self, store: AbstractStore) -> int:
        target, highest = max(1, self._config.level), store.manifest.num_levels
        if target > highest:
            raise ConfigError(f"level: expected 0..{highest} for this store, got {target}")
        return target

    def _hits(self, store: AbstractStore, candidates: Sequence[_Candidate]) -> tuple[Hit, ...]:
        """Fit what was kept into the budget, best first, then put it in time order."""
        weights_N = torch.tensor([-found.minus_score for found in candidates]).softmax(0)
        # One may have all of the weight but for rounding: a mass of 1 still asks for the others.
        mass = 1.0 if self._config.text_mass is None else self._config.text_mass
        is_enough = (weights_N.cumsum(0) - weights_N >= mass) & (mass < 1)
        budget = self._config.budget
        chosen: list[_Chosen] = []
        num_texts = num_embeddings = 0
        for (candidate, node), is_rest in zip(
            _iter_nodes(store, candidates), is_enough.tolist(), strict=False
        ):
            source = store.source_by_id(node.id.source_id)
            is_text = self._config.level == 0 and num_texts < self._config.max_texts and not is_rest
            span, cost = node.byte_span, 1
            if is_text:
                span, cost = self._opened(store, source, node)
                if any(text.holds(source, span) for text in chosen):
                    continue
                if cost > budget:
                    is_text, span, cost = False, node.byte_span, 1
            if cost > budget:
                break
            if self._config.level == 0 and not is_text:
                if num_embeddings == self._config.max_embeddings:
                    break
                num_embeddings += 1
            budget -= cost
            num_texts += is_text
            chosen.append(_Chosen(candidate, source, node, span, is_text))
        return _in_time_order(chosen)

    def _opened(self, store: AbstractStore, source: Source, node: Node) -> tuple[Span, int]:
        """The text of a level-1 node, its words or its sentences whole, and its tokens."""
        margin, last = self._config.margin, source.level_counts[0] - 1
        ends = [max(0, node.id.index - margin), min(last, node.id.index + margin)]
        first_node, last_node = store.nodes([node.id._replace(index=index) for index in ends])
        near = Span(first_node.byte_span.start, last_node.byte_span.stop)
        excerpt = read_excerpt(store, source, near, _WORD_BYTES)
        widen = excerpt.exchange_around if margin else excerpt.words_around
        span = widen(node.byte_span)
        return span, self._model.format.passage_cost(passage_of(store, source, span))


def _iter_nodes(
    store: AbstractStore, candidates: Sequence[_Candidate]
) -> Iterator[tuple[_Candidate, Node]]:
    """Candidates with their nodes, read a few at a time: most are never asked for."""
    for start in range(0, len(candidates), _READ_NODES):
        some = candidates[start : start + _READ_NODES]
        yield from zip(some, store.nodes([found.id for found in some]), strict=True)


def _in_time_order(chosen: Sequence[_Chosen]) -> tuple[Hit, ...]:
    """Hits by time; what two opened texts share is read once, with the first."""
    scores = torch.tensor([-found.candidate.minus_score for found in chosen])
    rows = sorted(
        zip(chosen, scores.softmax(0).tolist(), strict=True),
        key=lambda row: (
            row[0].source.time or 0.0,
            row[0].source.source_id,
            row[0].byte_span.start,
            not row[0].is_text,
        ),
    )
    hits: list[Hit] = []
    read_until: dict[int, int] = {}
    for found, weight in rows:
        start, stop = found.byte_span
        if found.is_text:
            start = max(start, read_until.get(found.source.source_id, 0))
            stop = max(stop, start)
            read_until[found.source.source_id] = stop
        hits.append(
            Hit(
                source=found.source,
                node=found.node,
                byte_span=Span(start, stop),
                is_text=found.is_text,
                score=-found.candidate.minus_score,
                weight=weight,
                path=found.candidate.path,
                parts=found.candidate.parts,
            )
        )
    return tuple(hits)

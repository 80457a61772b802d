"""Strategies: a way to the nodes that a question scores best, without scoring all of them.

`tree` walks from the roots down, `flat` scores every node of one level, `index` those that an index
over the level's keys finds near, `hybrid` walks and also goes where words of the question stand.
Yours may be another `AbstractStrategy`. Each asks for scores and reads structure; none knows how a
score is made, or what is done with the nodes that are kept.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmos.nodes import NodeId, NodeIds, ScoreParts, WalkStep
from lmos.search.lexicalhits import LexicalHits
from lmos.search.scoring import select_nodes
from lmos.search.vectorindex import KeyIndex
from lmos.store import AbstractStore

# How a beam is spent on an index: nodes that are scored exactly, and lists that are looked through.
_INDEX_DEPTH = 2
_BEAM_PER_LIST = 16
# Leaves that are looked up by their words, and the nats of shared words that weigh as much as one
# standard deviation of the attention: measured on SQuAD, where 1 to 3 are about equally good.
_MAX_LEXICAL = 256
_NATS_PER_DEVIATION = 2.0


@dataclass(frozen=True)
class LevelTrace:
    """What happened at one level of a walk.

    Attributes:
        level: From the highest down.
        num_candidates: Nodes that were scored.
        kept: The nodes that were kept and their scores, best first.
        lexical: Of each, what its text shares with the words of the question, in nats; `None` where
            the strategy does not look.
    """

    level: int
    num_candidates: int
    kept: tuple[tuple[NodeId, float], ...]
    lexical: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Kept:
    """The nodes that one level kept, best first.

    Attributes:
        ids: Of the nodes.
        scores: Of each, its best over retrieval tokens.
        num_candidates: Nodes that were scored.
        parents: Of each, the place in `above`, or -1 where the walk began.
        above: What the level above kept, if it was opened.
        attention: Of each, the part of its score that the attention gave, where it is joined from
            two.
        lexical: And the nats of shared words that it was joined from.
    """

    ids: NodeIds
    scores: tuple[float, ...]
    num_candidates: int
    parents: NDArray[np.int64]
    above: Kept | None = None
    attention: tuple[float, ...] | None = None
    lexical: tuple[float, ...] | None = None

    @property
    def trace(self) -> LevelTrace:
        """The same for people to read."""
        pairs = tuple(zip(self.ids, self.scores, strict=True))
        return LevelTrace(pairs[0][0].level, self.num_candidates, pairs, self.lexical)

    def parts(self, place: int) -> ScoreParts | None:
        """What the score of a node comes from, if it is joined from two."""
        if self.attention is None or self.lexical is None:
            return None
        return ScoreParts(self.attention[place], self.lexical[place])

    def path(self, place: int) -> tuple[WalkStep, ...]:
        """The way to a node, itself last."""
        _, level, index = self.ids[place]
        step = WalkStep(level, index, self.scores[place])
        parent = int(self.parents[place])
        return (step,) if self.above is None or parent < 0 else (*self.above.path(parent), step)


@dataclass(frozen=True)
class Search:
    """What a strategy works with.

    Attributes:
        store: Where to look.
        score: Scores `(R, N)` of nodes of one level, larger is better.
        vectors_RW: What the scores come from; a product with stored keys if the scorer uses them.
        level: The wanted level.
        top_c: Nodes kept at each level for each retrieval token.
        beam: Nodes kept at each level in all, if that is more.
        max_found: At the wanted level, and of roots below it, no more than that.
        source_ids: Sources that may be entered; `None` for all.
        words: The question, for strategies that look for its words.
        lexical_weight: Of shared words beside the attention.
    """

    store: AbstractStore
    score: Callable[[NodeIds], Tensor]
    vectors_RW: Tensor
    level: int
    top_c: int
    beam: int
    max_found: int
    source_ids: Collection[int] | None = None
    words: str = ""
    lexical_weight: float = 1.0

    def admitted(self, ids: NodeIds) -> NodeIds:
        """Those in sources that may be entered."""
        return ids if self.source_ids is None else ids.of_sources(self.source_ids)

    def keep(
        self,
        ids: NodeIds,
        parents_N: NDArray[np.int64] | None = None,
        above: Kept | None = None,
        lexical_N: NDArray[np.float32] | None = None,
    ) -> Kept:
        """The best of some candidates of one level.

        Args:
            ids: Not empty, in order of source and index.
            parents_N: Of each, the place in `above`, or -1; all -1 by default.
            above: What the level above kept.
            lexical_N: What each shares with the words of the question, to be joined to its score.
        """
        scores_RN = attention_RN = self.score(ids).cpu()
        if lexical_N is not None:
            scores_RN = attention_RN + self._bonus(attention_RN, lexical_N)
        best_N = scores_RN.amax(0).numpy()
        beam = min(self.beam, self.max_found) if ids[0].level <= self.level else self.beam
        places = select_nodes(scores_RN, self.top_c, beam).numpy()
        places = places[np.argsort(-best_N[places], kind="stable")]
        parents = np.full(len(places), -1) if parents_N is None else parents_N[places]
        kept = Kept(ids.take(places), tuple(best_N[places].tolist()), len(ids), parents, above)
        if lexical_N is None:
            return kept
        attention_N = attention_RN.amax(0).numpy()
        attention, lexical = (tuple(each[places].tolist()) for each in (attention_N, lexical_N))
        return replace(kept, attention=attention, lexical=lexical)

    def _bonus(self, attention_RN: Tensor, lexical_N: NDArray[np.float32]) -> Tensor:
        r"""What shared words add to the attention, in its own unit.

        So the candidates rank by $$z_{attention} + weight \cdot nats / 2$$
        """
        deviation = attention_RN.amax(0).std(correction=0)
        unit = torch.where(deviation > 0, deviation, 1.0) / _NATS_PER_DEVIATION
        return self.lexical_weight * unit * torch.from_numpy(lexical_N).to(attention_RN)


class AbstractStrategy(abc.ABC):
    """A way to the nodes that a question scores best.

    Attributes:
        needs_stored_keys: Whether it works only with a scorer that uses stored keys.
    """

    needs_stored_keys = False

    @abc.abstractmethod
    def walk(self, search: Search) -> Iterator[Kept]:
        """Yield what each level kept, from the highest down to the wanted one.

        Args:
            search: Reads the store, scores candidates and keeps the best (`Search.keep`).
        """


class Tree(AbstractStrategy):
    """From the roots down; a root joins at its own level."""

    def walk(self, search: Search) -> Iterator[Kept]:
        """See `AbstractStrategy.walk`."""
        return _walk(search, None)


class Hybrid(AbstractStrategy):
    """From the roots down, nodes above shared words first; leaves that have them join at the end.

    In a store without an index of words, this is `Tree`.
    """

    def walk(self, search: Search) -> Iterator[Kept]:
        """See `AbstractStrategy.walk`."""
        if not search.words or not search.store.has_words:
            return _walk(search, None)
        found = search.store.lexical_scores(search.words, _MAX_LEXICAL, search.source_ids)
        return _walk(search, LexicalHits(search.store, *found))


class Flat(AbstractStrategy):
    """Every node of the wanted level."""

    def walk(self, search: Search) -> Iterator[Kept]:
        """See `AbstractStrategy.walk`."""
        candidates = search.admitted(search.store.level_ids(search.level))
        if len(candidates):
            yield search.keep(candidates)


class Index(AbstractStrategy):
    """Those nodes of the wanted level that an index finds, scored exactly."""

    needs_stored_keys = True

    def walk(self, search: Search) -> Iterator[Kept]:
        """See `AbstractStrategy.walk`."""
        index = KeyIndex(search.store, search.level)
        count = _INDEX_DEPTH * max(search.top_c, search.beam)
        num_lists = max(1, search.beam // _BEAM_PER_LIST)
        found = index.nearest(search.vectors_RW, count, num_lists, search.source_ids)
        if len(found):
            yield search.keep(found)


def _walk(search: Search, hits: LexicalHits | None) -> Iterator[Kept]:
    roots = search.admitted(search.store.root_ids())
    opened, above = NodeIds.of([]), None
    parents = np.empty(0, np.int64)
    for level in range(search.store.manifest.num_levels, 0, -1):
        candidates = roots.at_level(level)
        parents_N = np.full(len(candidates), -1)
        if len(opened):
            candidates, parents_N = _merged(candidates, parents_N, opened, parents)
        if hits is not None and level == search.level == 1:
            beside = hits.without(candidates)
            candidates, parents_N = _merged(candidates, parents_N, beside, np.full(len(beside), -1))
        if not len(candidates):
            continue
        lexical_N = None if hits is None else hits.best_below(candidates)
        kept = search.keep(candidates, parents_N, above, lexical_N)
        yield kept
        opened, parents, above = NodeIds.of([]), np.empty(0, np.int64), None
        if level > search.level:
            opened, parents = _children(search.store, kept.ids)
            above = kept


def _merged(
    ids: NodeIds, parents_N: NDArray[np.int64], more: NodeIds, parents_M: NDArray[np.int64]
) -> tuple[NodeIds, NDArray[np.int64]]:
    """Nodes of one level together, in order of source and index, with the places of parents."""
    rows = np.concatenate([ids.rows, more.rows])
    order = np.lexsort((rows[:, 2], rows[:, 0]))
    return NodeIds(rows[order]), np.concatenate([parents_N, parents_M])[order]


STRATEGIES: dict[str, AbstractStrategy] = {
    "tree": Tree(),
    "flat": Flat(),
    "index": Index(),
    "hybrid": Hybrid(),
}


def _children(store: AbstractStore, ids: NodeIds) -> tuple[NodeIds, NDArray[np.int64]]:
    """The children of nodes, and of each the place of its parent."""
    spans_N2 = store.spans(ids)[:, :2]
    places = np.column_stack([ids.rows[:, 0], ids.rows[:, 1] - 1, spans_N2])
    parents = np.repeat(np.arange(len(ids)), spans_N2[:, 1] - spans_N2[:, 0])
    return NodeIds.from_runs(places), parents

"""The retriever: a store and a question in, the few nodes that matter out.

Walks the trees from their roots: score the candidates of a level, keep the best, open their
children. Reads a store and never writes; does not know what is done with what it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lmos.errors import ConfigError
from lmos.excerpts import read_excerpt
from lmos.model import BaseModel
from lmos.nodes import Hit, Node, NodeId, Source, Span, Step
from lmos.scorers import SCORERS
from lmos.scoring import select_nodes
from lmos.store import AbstractStore

STRATEGIES = ("tree", "flat")

_WORD_BYTES = 48
"""How much of a word that a node was cut from is read along; longer ones stay cut."""

_Score = Callable[[Sequence[NodeId]], Tensor]


@dataclass(frozen=True)
class RetrievalConfig:
    """How to walk and how much to return.

    Attributes:
        strategy: `tree`: from the roots down. `flat`: every node of the wanted level is scored.
        scorer: `cached` or `paper`.
        top_c: Nodes kept at each level for each retrieval token.
        beam: Nodes kept at each level in all, if that is more.
        level: Granularity: 0 opens the best nodes down to their text; 1 and above stop at
            embeddings of that level.
        budget: Most positions that the result may take: tokens of text plus embeddings.
        max_texts: Most nodes that are opened to text.
        text_mass: Nodes are opened to text, best first, until their weights, normalised over the
            kept, reach this share of all: one where one stands out, many where many matter alike.
        max_embeddings: Most of the others that stay embeddings, when `level` is 0.
        margin: Neighbours on each side that are opened along with a node, so that a sentence cut in
            two is read whole.
        since: Earliest time of a source, in seconds since the epoch; `None` for any.
        until: Sources of this time and later are left out. One without a time is left out by
            either limit.
        where: Labels that a source must have, with these values.
    """

    strategy: str = "tree"
    scorer: str = "cached"
    top_c: int = 16
    beam: int = 256
    level: int = 0
    budget: int = 384
    max_texts: int = 1
    text_mass: float = 1.0
    max_embeddings: int = 4
    margin: int = 1
    since: float | None = None
    until: float | None = None
    where: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise ConfigError(f"strategy: expected tree or flat, got {self.strategy!r}")
        if self.scorer not in SCORERS:
            raise ConfigError(f"scorer: expected {' or '.join(SCORERS)}, got {self.scorer!r}")
        for name, least in (
            ("top_c", 1),
            ("beam", 0),
            ("level", 0),
            ("budget", 1),
            ("max_texts", 0),
            ("max_embeddings", 0),
            ("margin", 0),
        ):
            if getattr(self, name) < least:
                raise ConfigError(f"{name}: expected at least {least}, got {getattr(self, name)}")
        if not 0 < self.text_mass <= 1:
            raise ConfigError(
                f"text_mass: expected a share above 0 and up to 1, got {self.text_mass}"
            )
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ConfigError(f"until: expected a time after {self.since:g}, got {self.until:g}")

    def admits(self, source: Source) -> bool:
        """Whether the walk may enter the tree of a source."""
        if any(source.metadata.get(key) != value for key, value in self.where.items()):
            return False
        if source.time is None:
            return self.since is None and self.until is None
        is_too_early = self.since is not None and source.time < self.since
        is_too_late = self.until is not None and source.time >= self.until
        return not is_too_early and not is_too_late


@dataclass(frozen=True)
class LevelTrace:
    """What happened at one level of a walk.

    Attributes:
        level: From the highest down.
        num_candidates: Nodes that were scored.
        kept: The nodes that were kept and their scores, best first.
    """

    level: int
    num_candidates: int
    kept: tuple[tuple[NodeId, float], ...]


@dataclass(frozen=True)
class Retrieval:
    """What a question found.

    Attributes:
        hits: In time order: by the time of the source, then by place in it.
        walk: One entry a level.
    """

    hits: tuple[Hit, ...]
    walk: tuple[LevelTrace, ...]


@dataclass
class _Kept:
    """A node that survived its level, with the way to it."""

    id: NodeId
    score: float
    path: tuple[Step, ...] = field(default=())


class Retriever:
    """Finds the nodes of a store that a question needs.

    Args:
        model: Base model and adapter, the ones that wrote the store.
        config: How to walk.

    Deterministic: the same store, model and question give the same result.
    """

    def __init__(self, model: BaseModel, config: RetrievalConfig) -> None:
        self._model = model
        self._config = config

    @torch.no_grad()
    def retrieve(self, store: AbstractStore, question_ids: Sequence[int]) -> Retrieval:
        """Walk the store with a question; the whole walk sees one commit.

        Args:
            store: Not changed.
            question_ids: Token ids of the question.

        Raises:
            QueryError: The question is empty or too long.
            ConfigError: The wanted level is above the store's highest.
        """
        target = max(1, self._config.level)
        if target > store.manifest.num_levels:
            raise ConfigError(
                f"level: expected 0..{store.manifest.num_levels} for this store, got {target}"
            )
        scorer = SCORERS[self._config.scorer](self._model, store.manifest.scoring_layer)
        query = scorer.prepare(question_ids)
        with store.snapshot():
            return self._walk(store, target, lambda ids: scorer.score(query, store, ids))

    def _walk(self, store: AbstractStore, target: int, score: _Score) -> Retrieval:
        sources = {
            source.source_id: source for source in store.sources() if self._config.admits(source)
        }
        if self._config.strategy == "flat":
            candidates = [node for node in store.level_ids(target) if node.source_id in sources]
            if not candidates:
                return Retrieval((), ())
            kept, trace = self._keep(candidates, {}, score)
            return Retrieval(self._hits(store, sources, kept), (trace,))
        roots = [node for node in store.root_ids() if node.source_id in sources]
        kept, walk = self._descend(store, roots, target, score)
        return Retrieval(self._hits(store, sources, kept), walk)

    def open(self, store: AbstractStore, ranked: Iterable[tuple[NodeId, float]]) -> tuple[Hit, ...]:
        """Open nodes that another search found and scored, as a walk opens its own."""
        sources = {source.source_id: source for source in store.sources()}
        return self._hits(store, sources, [_Kept(node_id, score) for node_id, score in ranked])

    def _descend(
        self, store: AbstractStore, root_ids: Sequence[NodeId], target: int, score: _Score
    ) -> tuple[list[_Kept], tuple[LevelTrace, ...]]:
        """From the highest level to `target`; roots join at their own level."""
        roots: dict[int, list[NodeId]] = {}
        for node_id in root_ids:
            roots.setdefault(node_id.level, []).append(node_id)
        walk = []
        found: list[_Kept] = []
        opened: dict[NodeId, tuple[Step, ...]] = {}
        for level in range(store.manifest.num_levels, 0, -1):
            candidates = sorted({*roots.get(level, ()), *opened})
            if not candidates:
                continue
            kept, trace = self._keep(candidates, opened, score)
            walk.append(trace)
            if level > target:
                opened = _open(store, kept)
            else:
                found += kept
                opened = {}
        return found, tuple(walk)

    def _keep(
        self, candidates: Sequence[NodeId], paths: dict[NodeId, tuple[Step, ...]], score: _Score
    ) -> tuple[list[_Kept], LevelTrace]:
        scores_RN = score(candidates)
        best_N = scores_RN.amax(0).tolist()
        kept = []
        for index in select_nodes(scores_RN, self._config.top_c, self._config.beam).tolist():
            node_id = candidates[index]
            step = Step(node_id.level, node_id.index, best_N[index])
            kept.append(_Kept(node_id, best_N[index], (*paths.get(node_id, ()), step)))
        kept.sort(key=lambda node: (-node.score, node.id))
        trace = LevelTrace(
            candidates[0].level, len(candidates), tuple((node.id, node.score) for node in kept)
        )
        return kept, trace

    def _hits(
        self, store: AbstractStore, sources: Mapping[int, Source], kept: Sequence[_Kept]
    ) -> tuple[Hit, ...]:
        """Fit what was kept into the budget, best first, then put it in time order."""
        if not kept:
            return ()
        ranked = sorted(kept, key=lambda node: (-node.score, node.id))
        weights_N = torch.tensor([node.score for node in ranked]).softmax(0)
        is_enough = (weights_N.cumsum(0) - weights_N >= self._config.text_mass).tolist()
        budget = self._config.budget
        chosen: list[tuple[_Kept, Node, Span, bool]] = []
        num_texts = num_embeddings = 0
        nodes = store.nodes([node.id for node in ranked])
        for found, node, is_rest in zip(ranked, nodes, is_enough, strict=True):
            is_text = self._config.level == 0 and num_texts < self._config.max_texts and not is_rest
            span, cost = node.byte_span, 1
            if is_text:
                span, cost = self._opened(store, sources[found.id.source_id], node)
                if cost > budget:
                    is_text, span, cost = False, node.byte_span, 1
            if cost > budget:
                break
            if self._config.level == 0 and not is_text:
                if num_embeddings == self._config.max_embeddings:
                    continue
                num_embeddings += 1
            budget -= cost
            num_texts += is_text
            chosen.append((found, node, span, is_text))
        return _in_time_order(chosen, sources)

    def _opened(self, store: AbstractStore, source: Source, node: Node) -> tuple[Span, int]:
        """The text of a level-1 node and its neighbours in whole words, and its cost at most.

        The rest of a word takes no more tokens than bytes.
        """
        margin, count = self._config.margin, source.level_counts[0]
        first, last = max(0, node.id.index - margin), min(count - 1, node.id.index + margin)
        ids = [node.id._replace(index=index) for index in range(first, last + 1)]
        nodes = store.nodes(ids)
        num_tokens = nodes[-1].children.stop - nodes[0].children.start
        cut = Span(nodes[0].byte_span.start, nodes[-1].byte_span.stop)
        span = read_excerpt(store, source, cut, _WORD_BYTES).words_around(cut)
        num_bytes = (cut.start - span.start) + (span.stop - cut.stop)
        return span, num_tokens + num_bytes


def _open(store: AbstractStore, kept: Sequence[_Kept]) -> dict[NodeId, tuple[Step, ...]]:
    """The children of what was kept, each with the way to it."""
    nodes = store.nodes([found.id for found in kept])
    return {
        NodeId(node.id.source_id, node.id.level - 1, index): found.path
        for found, node in zip(kept, nodes, strict=True)
        for index in range(*node.children)
    }


def _in_time_order(
    chosen: Iterable[tuple[_Kept, Node, Span, bool]], sources: Mapping[int, Source]
) -> tuple[Hit, ...]:
    """Hits by time; what two opened texts share is read once, with the first."""
    chosen = list(chosen)
    if not chosen:
        return ()
    weights = torch.tensor([found.score for found, *_ in chosen]).softmax(0).tolist()
    rows = sorted(
        zip(chosen, weights, strict=True),
        key=lambda row: (
            sources[row[0][1].id.source_id].time or 0.0,
            row[0][1].id.source_id,
            row[0][2].start,
            not row[0][3],
        ),
    )
    hits: list[Hit] = []
    read_until: dict[int, int] = {}
    for (found, node, span, is_text), weight in rows:
        source_id = node.id.source_id
        start = max(span.start, read_until.get(source_id, 0)) if is_text else span.start
        if is_text:
            read_until[source_id] = max(span.stop, start)
        hits.append(
            Hit(
                source=sources[source_id],
                node=node,
                byte_span=Span(start, max(start, span.stop)),
                is_text=is_text,
                score=found.score,
                weight=weight,
                path=found.path,
            )
        )
    return tuple(hits)

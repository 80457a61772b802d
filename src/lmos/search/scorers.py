"""Scorers: retrieval tokens and candidate nodes in, scores out.

`CachedScorer` is what lmos uses: the nodes' keys were made when they were written, and a read is
one matrix product. A scorer of your own is an `AbstractScorer`. Knows the contract of stores, not
where they lie; does not choose.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lmos.errors import QueryError
from lmos.model.base import BaseModel
from lmos.nodes import NodeId
from lmos.store import AbstractStore
from lmos.tree.keys import query_room, query_vectors

# So that a scan of a whole level takes no more memory than a walk.
_READ_NODES = 65_536
_WIDEN_NODES = 512


@dataclass(frozen=True)
class Query:
    """A question, ready to be compared with nodes: `(R, width)`, whatever the scorer needs.

    Several questions at once are one above the other: `(n × R, width)`.
    """

    state: Float[Tensor, "R W"]


class AbstractScorer(abc.ABC):
    """How relevant are these nodes to that question?

    Attributes:
        uses_stored_keys: Whether a score is the product of the query with a node's stored key, so
            that an index over the keys finds what scores best.
    """

    uses_stored_keys = False

    def __init__(self, model: BaseModel, layer: int | None = None) -> None:
        """A scorer that works with a model.

        Args:
            model: Base model and adapter, the ones that wrote the store.
            layer: Whose attention is used; the adapter's scoring layer by default.
        """
        self._model = model
        self._layer = model.scoring_layer if layer is None else layer

    def prepare(self, token_ids: Sequence[int]) -> Query:
        """Run the question once.

        Raises:
            QueryError: It is empty or longer than the window.
        """
        room = query_room(self._model)
        if not token_ids:
            raise QueryError("expected a question, got an empty one")
        if len(token_ids) > room:
            raise QueryError(
                f"expected a question of at most {room} tokens, got {len(token_ids)}; "
                "add long text to the store instead and ask about it"
            )
        return self._prepare(token_ids)

    def _prepare(self, token_ids: Sequence[int]) -> Query:
        """What `score` needs of a question: by default, what keys are multiplied with."""
        return Query(query_vectors(self._model, [token_ids], self._layer)[0])

    @abc.abstractmethod
    def score(self, query: Query, store: AbstractStore, ids: Sequence[NodeId]) -> Tensor:
        """Scores `(R, N)` of nodes of one level, larger is better; weights are their softmax."""


class CachedScorer(AbstractScorer):
    """Stored keys times the retrieval tokens' queries; nothing else is computed."""

    uses_stored_keys = True

    def score(self, query: Query, store: AbstractStore, ids: Sequence[NodeId]) -> Tensor:
        """See `AbstractScorer.score`. Cost: one matrix product of `(R, K)` with `(K, N)`."""
        reads = range(0, max(len(ids), 1), _READ_NODES)
        parts = [_product(query.state, store.keys(ids[i : i + _READ_NODES])) for i in reads]
        return torch.cat(parts, dim=1)


def _product(state_RK: Float[Tensor, "R K"], keys_NK: Float[Tensor, "N K"]) -> Float[Tensor, "R N"]:
    """Queries times keys, in the precision of the queries.

    Keys are widened into a buffer that stays in the processor's cache: that takes half the time of
    widening all of them first, and no memory to speak of. Gradients flow if they are recorded.
    """
    if torch.is_grad_enabled():
        return state_RK @ keys_NK.to(state_RK).T
    scores_NR = state_RK.new_empty(len(keys_NK), len(state_RK))
    buffer_NK = state_RK.new_empty(min(len(keys_NK), _WIDEN_NODES), keys_NK.shape[1])
    for start in range(0, len(keys_NK), _WIDEN_NODES):
        some_NK = keys_NK[start : start + _WIDEN_NODES]
        wide_NK = buffer_NK[: len(some_NK)].copy_(some_NK)
        torch.mm(wide_NK, state_RK.T, out=scores_NR[start : start + _WIDEN_NODES])
    return scores_NR.T

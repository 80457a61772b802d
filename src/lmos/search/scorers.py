"""Scorers: retrieval tokens and candidate nodes in, scores out, by the base model's own attention.

Two ways behind one interface. `CachedScorer`: the nodes' attention keys were made when they were
written, a read is one matrix product. `PaperScorer`: candidates and retrieval states go through the
model together. Knows the contract of stores, not where they lie; does not choose.
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
from lmos.model.masks import causal_mask
from lmos.nodes import NodeId
from lmos.store import AbstractStore
from lmos.tree.keys import query_room, query_vectors, retrieval_inputs

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
    """How relevant are these nodes to that question?"""

    def __init__(self, model: BaseModel, layer: int) -> None:
        self._model = model
        self._layer = layer

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

    @abc.abstractmethod
    def _prepare(self, token_ids: Sequence[int]) -> Query: ...

    @abc.abstractmethod
    def score(self, query: Query, store: AbstractStore, ids: Sequence[NodeId]) -> Tensor:
        """Scores `(R, N)` of nodes of one level, larger is better; weights are their softmax."""


class CachedScorer(AbstractScorer):
    """Stored attention keys times the retrieval tokens' queries; nothing else is computed."""

    def _prepare(self, token_ids: Sequence[int]) -> Query:
        return Query(query_vectors(self._model, [token_ids], self._layer)[0])

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


class PaperScorer(AbstractScorer):
    r"""One forward over `[candidates; retrieval states]`; the attention of the retrieval rows.

    $$s_{rn} = \log \frac{\sum_h |w_{rh}| \, a_{hrn}}{\sum_h |w_{rh}|}, \quad
    a_{hr} = \operatorname{softmax}_n (q_{rh} \cdot k_{g(h)n})$$

    Source: arXiv 2409.01495, retriever: the retrieval tokens' hidden states are run against a level
    and their attention scores tell which embeddings matter. Where we differ: the layer and the head
    weights can be chosen; the paper's code uses the last layer and the mean of its heads, which is
    what an untrained adapter has. Candidates beyond the model's window are scored in groups.
    """

    def _prepare(self, token_ids: Sequence[int]) -> Query:
        x_BTD, mask_BTT, positions_BT = retrieval_inputs(self._model, [token_ids])
        hidden_BTD = self._model.forward(x_BTD, mask_BTT, positions_BT)
        num_tokens = self._model.adapter.retrieval_RD.shape[0]
        return Query(self._model.adapter.to_input_scale(hidden_BTD[:, -num_tokens:])[0])

    def score(self, query: Query, store: AbstractStore, ids: Sequence[NodeId]) -> Tensor:
        """See `AbstractScorer.score`. Cost: the candidates' forward up to the scoring layer."""
        room = self._model.max_positions - len(query.state)
        level_D = self._model.adapter.level_LD[ids[0].level]
        groups = [ids[start : start + room] for start in range(0, len(ids), room)]
        logits = [
            self._logits(query.state, store.embeddings(group).to(level_D) + level_D)
            for group in groups
        ]
        weights_RH = self._model.adapter.head_weights_RH.abs()
        weights_RH1 = weights_RH.repeat(len(query.state) // len(weights_RH), 1)[:, :, None]
        attention_RHN = torch.cat(logits, dim=-1).softmax(-1)
        mean_RN = (attention_RHN * weights_RH1).sum(1) / weights_RH1.sum(1)
        return mean_RN.clamp(min=torch.finfo(mean_RN.dtype).tiny).log()

    def _logits(self, states_RD: Tensor, nodes_ND: Tensor) -> Float[Tensor, "R H N"]:
        num_nodes, num_tokens = len(nodes_ND), len(states_RD)
        x_1TD = torch.cat([nodes_ND, states_RD])[None]
        positions_1T = torch.arange(num_nodes + num_tokens, device=x_1TD.device)[None]
        real_1T = torch.ones_like(positions_1T, dtype=torch.bool)
        state = self._model.attention(x_1TD, causal_mask(real_1T), positions_1T, self._layer)
        queries_HRd = state.queries_BHTd[0, :, num_nodes:]
        repeats = self._model.num_heads // self._model.num_kv_heads
        keys_HNd = state.keys_BGTd[0, :, :num_nodes].repeat_interleave(repeats, 0)
        return (queries_HRd @ keys_HNd.transpose(1, 2) * state.scaling).transpose(0, 1)


SCORERS: dict[str, type[AbstractScorer]] = {"cached": CachedScorer, "paper": PaperScorer}

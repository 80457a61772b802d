"""The paper's scorer: candidates and retrieval states go through the model together.

Every question costs a forward pass over all candidates, where `search.scorers.CachedScorer` reads
stored keys. Knows the contract of stores; does not choose.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from lmos.model.masks import causal_mask
from lmos.nodes import NodeId
from lmos.search.scorers import AbstractScorer, Query
from lmos.store import AbstractStore
from lmos.tree.keys import retrieval_inputs


class JointScorer(AbstractScorer):
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

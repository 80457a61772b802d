"""Scores to kept nodes: a pure tensor function.

Knows neither models nor stores nor where a score came from.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lmos.errors import ConfigError


def select_nodes(scores_RN: Float[Tensor, "R N"], top_c: int, beam: int = 0) -> Int[Tensor, " K"]:
    """Keep the `top_c` best nodes of each retrieval token, then the best others up to `beam`.

    Equal scores are kept in the candidates' order, so the choice is deterministic.

    Source: arXiv 2409.01495, retriever, top-C. Where we differ: the beam, a set of runners-up by
    their best score over retrieval tokens, so that a wrong branch at the top can be survived.

    Args:
        scores_RN: Larger is better.
        top_c: Nodes for each retrieval token, from 1; all candidates if there are fewer.
        beam: Nodes in all, if that is more than the tokens' own choices.

    Returns:
        Indices of the kept nodes, ascending. No gradients.

    Raises:
        ConfigError: `top_c` is less than 1 or `beam` less than 0.
    """
    if top_c < 1 or beam < 0:
        raise ConfigError(f"expected top_c ≥ 1 and beam ≥ 0, got {top_c} and {beam}")
    num_nodes = scores_RN.shape[1]
    order_RN = scores_RN.argsort(dim=1, descending=True, stable=True)
    kept = set(order_RN[:, :top_c].flatten().tolist())
    best_N = scores_RN.amax(0) if num_nodes else scores_RN.new_zeros(0)
    for index in best_N.argsort(descending=True, stable=True).tolist():
        if len(kept) >= min(beam, num_nodes):
            break
        kept.add(index)
    return torch.tensor(sorted(kept), dtype=torch.long)

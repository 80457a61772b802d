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
    is_kept_N = torch.zeros(num_nodes, dtype=torch.bool)
    for scores_N in scores_RN:
        is_kept_N[_best(scores_N, top_c)] = True
    if num_nodes and int(is_kept_N.sum()) < beam:
        best_N = scores_RN.amax(0).masked_fill(is_kept_N, torch.inf)
        is_kept_N[_best(best_N, beam)] = True
    return is_kept_N.nonzero()[:, 0]


def _best(scores_N: Float[Tensor, " N"], count: int) -> Int[Tensor, " K"]:
    """Places of the `count` largest; of equal ones, the first."""
    count = min(count, len(scores_N))
    least = scores_N.topk(count).values[-1] if count else torch.inf
    above = (scores_N > least).nonzero()[:, 0]
    equal = (scores_N == least).nonzero()[:, 0]
    return torch.cat([above, equal[: count - len(above)]])

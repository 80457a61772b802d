"""Retrieval heads: which words a question and a text share, as vectors that can be compared.

Learned over the base model's token embeddings, its layer 0. A span's key is made of the span, of
its neighbours and of its window; the key of a node further up, of its children's keys. Knows
tensors; knows neither texts, trees nor models.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from lmos.errors import ConfigError
from lmos.model.masks import PADDING

_FREQUENT = 5.0
_LEAST_WEIGHT = 0.05
_FAR_SHARE = 0.2
"""Chosen on development articles of SQuAD, as docs/log.md says."""


@dataclass(frozen=True)
class HeadsConfig:
    """Shapes of retrieval heads.

    Attributes:
        vocab_size: V, token embeddings of the base model.
        embedding_width: D.
        key_width: K, numbers in a key.
    """

    vocab_size: int
    embedding_width: int
    key_width: int = 256

    def __post_init__(self) -> None:
        for name in ("vocab_size", "embedding_width", "key_width"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected a number ≥ 1, got {getattr(self, name)}")


class RetrievalHeads(nn.Module):
    r"""Keys of nodes and queries of questions, in one space.

    $$k_j = \hat n\Big(W_o\,p(S_j) + W_n \tfrac12 (p(S_{j-1}) + p(S_{j+1})) + W_w\,p(W)\Big), \quad
    p(S) = \frac{\sum_{t \in S} e^{g_t} x_t}{\sum_{t \in S} e^{g_t}}, \quad
    q = e^\tau\, \hat n(W_q\, p'(Q))$$

    with $x_t$ token embeddings, $g$ a learned weight of each token of the vocabulary (texts and
    questions have their own), $W$ the window, and $\hat n$ to bring a vector to length 1. A score
    is $q \cdot k$. A node above level 1 has $\hat n(W_\ell\, \bar k)$, $\bar k$ the mean of its
    children's keys.

    Source: arXiv 2409.01495, retriever. Where we differ: there a score is the attention of a
    forward over question and nodes; here queries and keys are learned maps of layer 0, so that
    keys can be stored.

    Attributes:
        gate_V: Weight of a token in a text, a logarithm.
        question_gate_V: The same in a question.
    """

    gate_V: Float[nn.Parameter, " V"]
    question_gate_V: Float[nn.Parameter, " V"]
    log_temperature: Float[nn.Parameter, ""]

    def __init__(self, config: HeadsConfig) -> None:
        """Heads that compare plain means of token embeddings."""
        super().__init__()
        self.config = config
        width, key_width = config.embedding_width, config.key_width
        self.gate_V = nn.Parameter(torch.zeros(config.vocab_size))
        self.question_gate_V = nn.Parameter(torch.zeros(config.vocab_size))
        self.own = nn.Linear(width, key_width)
        self.near = nn.Linear(width, key_width, bias=False)
        self.window = nn.Linear(width, key_width, bias=False)
        self.question = nn.Linear(width, key_width)
        self.lift = nn.Linear(key_width, key_width)
        self.log_temperature = nn.Parameter(torch.tensor(3.0))
        with torch.no_grad():
            start = torch.empty(key_width, width)
            nn.init.orthogonal_(start, generator=torch.Generator().manual_seed(0))
            for part in (self.own, self.question):
                part.weight.copy_(start)
                part.bias.zero_()
            for part in (self.near, self.window):
                part.weight.zero_()
            self.lift.weight.copy_(torch.eye(key_width))
            self.lift.bias.zero_()

    @torch.no_grad()
    def weigh_rare_tokens(self, mean_D: Float[Tensor, " D"]) -> None:
        """Become heads of a model that nobody trained: they find words that are alike and rare.

        Vocabularies are made from the frequent to the rare, so a token counts the more the later it
        stands. What stands in the neighbouring spans, or in the window, counts for a fifth. Numbers
        of an embedding are added up in as many sums as a key is wide, with signs that are the same
        everywhere: that keeps angles about as they are, and no processor rounds it differently.

        Args:
            mean_D: The mean of all token embeddings; only what differs from it is compared.
        """
        width, key_width = self.config.embedding_width, self.config.key_width
        signs, dimensions_D = random.Random(0), torch.arange(width)
        sums_KD = torch.zeros(key_width, width)
        sums_KD[dimensions_D % key_width, dimensions_D] = torch.tensor(
            [1.0 if signs.getrandbits(1) else -1.0 for _ in range(width)]
        )
        shares = {self.own: 1.0, self.question: 1.0, self.near: _FAR_SHARE, self.window: _FAR_SHARE}
        for part, share in shares.items():
            part.weight.copy_(share * sums_KD)
        places_V = torch.arange(self.config.vocab_size)
        weights_V = (places_V.log1p() - _FREQUENT).clamp(min=_LEAST_WEIGHT)
        for gate_V in (self.gate_V, self.question_gate_V):
            gate_V.copy_(weights_V.log())
        self.question.bias.copy_(-sums_KD @ mean_D)
        self.own.bias.copy_((1 + 2 * _FAR_SHARE) * self.question.bias)

    def leaf_keys(
        self,
        x_BTD: Float[Tensor, "B T D"],
        ids_BT: Int[Tensor, "B T"],
        spans_BT: Int[Tensor, "B T"],
        num_spans: int,
    ) -> Float[Tensor, "B S K"]:
        """Keys of the spans of windows; rows of spans without tokens mean nothing.

        Args:
            x_BTD: Token embeddings.
            ids_BT: Their tokens.
            spans_BT: The span of each token, or `PADDING`.
            num_spans: S.
        """
        gates_BT = self.gate_V[ids_BT].exp().masked_fill(spans_BT == PADDING, 0.0)
        is_member_BST = torch.arange(num_spans, device=ids_BT.device)[:, None] == spans_BT[:, None]
        weights_BST = is_member_BST * gates_BT[:, None]
        sums_BSD = weights_BST @ x_BTD.float()
        weights_BS1 = weights_BST.sum(-1, keepdim=True)
        own_BSD = sums_BSD / weights_BS1.clamp(min=1e-6)
        window_B1D = sums_BSD.sum(1, keepdim=True) / weights_BS1.sum(1, keepdim=True).clamp(
            min=1e-6
        )
        near_BSD = _neighbours(own_BSD, weights_BS1[..., 0] > 0)
        keys_BSK = self.own(own_BSD) + self.near(near_BSD) + self.window(window_B1D)
        return normalize(keys_BSK, dim=-1)

    def lifted(self, keys_NCK: Float[Tensor, "N C K"]) -> Float[Tensor, "N K"]:
        """Keys of nodes from those of their children."""
        return normalize(self.lift(keys_NCK.mean(1)), dim=-1)

    def queries(
        self, x_BTD: Float[Tensor, "B T D"], ids_BT: Int[Tensor, "B T"], real_BT: Tensor
    ) -> Float[Tensor, "B K"]:
        """What keys are multiplied with, for each question of a batch.

        Args:
            x_BTD: Token embeddings.
            ids_BT: Their tokens.
            real_BT: False where a row is padded.
        """
        gates_BT = self.question_gate_V[ids_BT].exp().masked_fill(~real_BT, 0.0)
        sums_BD = (gates_BT[:, None] @ x_BTD.float())[:, 0]
        means_BD = sums_BD / gates_BT.sum(1, keepdim=True).clamp(min=1e-6)
        return normalize(self.question(means_BD), dim=-1) * self.log_temperature.exp()


def _neighbours(x_BSD: Float[Tensor, "B S D"], real_BS: Tensor) -> Float[Tensor, "B S D"]:
    """Mean of the span before and the span after, of those that there are."""
    zero_B1D = torch.zeros_like(x_BSD[:, :1])
    x_BSD = x_BSD * real_BS[..., None]
    sums_BSD = torch.cat([zero_B1D, x_BSD[:, :-1]], 1) + torch.cat([x_BSD[:, 1:], zero_B1D], 1)
    ones_BS = real_BS.float()
    none_B1 = torch.zeros_like(ones_BS[:, :1])
    counts_BS = torch.cat([none_B1, ones_BS[:, :-1]], 1) + torch.cat([ones_BS[:, 1:], none_B1], 1)
    return sums_BSD / counts_BS.clamp(min=1)[..., None]


def pad_questions(questions: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Token ids `(B, T)` of questions of unequal length, and where they are real `(B, T)`."""
    longest = max(map(len, questions))
    ids_BT = torch.zeros(len(questions), longest, dtype=torch.long)
    real_BT = torch.zeros(len(questions), longest, dtype=torch.bool)
    for row, ids in enumerate(questions):
        ids_BT[row, : len(ids)] = torch.tensor(ids)
        real_BT[row, : len(ids)] = True
    return ids_BT, real_BT

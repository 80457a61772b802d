"""Staying: the loss of saying something else about plain text than before the training.

What a model learns for compressing and finding must not cost it what it could do. Knows the model
and passages of text; knows nothing of what else is learned.
"""

from __future__ import annotations

import random

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from lmos.model.base import BaseModel
from lmos.training.corpus import PassageSampler

_NUM_TEXTS = 4
_MAX_TOKENS = 96
_CHARS_PER_TOKEN = 6


class Staying:
    r"""KL divergence from the base model, as it was, on stretches of text.

    $$\operatorname{mean}_t D_{KL}\big(p_0(\cdot | x_{\le t}) \,\|\, p(\cdot | x_{\le t})\big)$$

    with $p_0$ what the base model says without its LoRA weights, or, where all weights are trained,
    what it said when this was made: a frozen copy is kept.

    Args:
        model: Trained in place.
        passages: Where the text comes from.
        seed: Of the text; a step's text depends on the seed and the step alone.
    """

    def __init__(self, model: BaseModel, passages: PassageSampler, seed: int) -> None:
        self._model = model
        self._before = None if model.has_lora else model.copy()
        self._passages = passages
        self._seed = seed

    def __call__(self, step: int) -> Tensor:
        """The divergence in nats a token; gradients reach the trained model only."""
        ids_BT = self._draw(random.Random(f"{self._seed} {step}"))
        with torch.no_grad():
            if self._before is None:
                with self._model.without_lora():
                    before_NV = _log_probabilities(self._model, ids_BT)
            else:
                before_NV = _log_probabilities(self._before, ids_BT)
        now_NV = _log_probabilities(self._model, ids_BT)
        return F.kl_div(now_NV, before_NV, log_target=True, reduction="batchmean")

    def _draw(self, rng: random.Random) -> Int[Tensor, "B T"]:
        """Stretches of text, cut to the length of the shortest."""
        texts = [
            self._model.encode(self._passages.sample(rng, _MAX_TOKENS * _CHARS_PER_TOKEN)).ids
            for _ in range(_NUM_TEXTS)
        ]
        length = min(_MAX_TOKENS, *map(len, texts))
        return torch.tensor([text[:length] for text in texts], device=self._model.device)


def _log_probabilities(model: BaseModel, ids_BT: Int[Tensor, "B T"]) -> Float[Tensor, "N V"]:
    """Of every next token, at every place of every text."""
    logits_BTV = model.logits(model.forward(model.embed(ids_BT)))
    return logits_BTV.float().log_softmax(-1).flatten(0, 1)

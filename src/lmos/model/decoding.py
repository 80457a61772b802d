"""From next-token scores to a stream of tokens.

Knows a step function and how to choose; knows neither text nor architectures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lmos.errors import ConfigError


@dataclass(frozen=True)
class Choice:
    """How tokens are chosen.

    Attributes:
        max_new_tokens: Stop after so many.
        stop_ids: Ids that end the stream; they are not part of it.
        temperature: 0 takes the likeliest token, larger values sample.
        seed: Of the sampling.
    """

    max_new_tokens: int
    stop_ids: frozenset[int] = frozenset()
    temperature: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens: expected a number ≥ 1, got {self.max_new_tokens}")
        if self.temperature < 0:
            raise ConfigError(f"temperature: expected a number ≥ 0, got {self.temperature}")


class Chosen(NamedTuple):
    """A token of the stream, and how likely each token of the vocabulary was in its place.

    The probabilities are the model's own, whatever the temperature.
    """

    token_id: int
    log_probabilities_V: Tensor


Prefer = Callable[[Sequence[int], Tensor], int]
"""Takes the tokens so far and the scores of the next, and chooses it."""
NextScores = Callable[[Float[Tensor, "1 T D"], Any], tuple[Float[Tensor, " V"], Any]]


def stream_tokens(
    step: NextScores,
    embed: Callable[[int], Float[Tensor, "1 1 D"]],
    x_BTD: Tensor,
    choice: Choice,
    prefer: Prefer | None = None,
    cache: Any = None,
) -> Iterator[Chosen]:
    """Choose a token, feed it back, and so on.

    Args:
        step: Takes new items and the cache of what came before (first `None`), returns the scores
            of the next token and the cache.
        embed: Makes the next item of a token.
        x_BTD: The prefix.
        choice: How to choose, and when to stop.
        prefer: Chooses in the place of the temperature.
        cache: Of what comes before the prefix.
    """
    ids: list[int] = []
    generator = torch.Generator().manual_seed(choice.seed)
    for _ in range(choice.max_new_tokens):
        # Not around the yield: the caller's own gradients stay as they are.
        with torch.no_grad():
            logits_V, cache = step(x_BTD, cache)
            if prefer is None:
                token_id = _pick(logits_V, choice.temperature, generator)
            else:
                token_id = prefer(ids, logits_V)
            chosen = Chosen(token_id, logits_V.float().log_softmax(-1))
            x_BTD = embed(token_id)
        if token_id in choice.stop_ids:
            return
        ids.append(token_id)
        yield chosen


def _pick(logits_V: Float[Tensor, " V"], temperature: float, generator: torch.Generator) -> int:
    if temperature == 0:
        return int(logits_V.argmax())
    probabilities_V = (logits_V.float().cpu() / temperature).softmax(-1)
    return int(torch.multinomial(probabilities_V, 1, generator=generator))

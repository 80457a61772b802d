"""Does a base model do what lmos asks of it? A trial run on a few tokens, when it is loaded.

Knows what masks, positions and captured attention must do to the outputs. Knows no architecture.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmos.errors import ModelError

_NUM_TOKENS = 6
_HIDDEN_ITEM = 2
_HALF_TOLERANCE = 0.15
"""Two ways to compute the same in 16 bits were up to 0.05 apart, something else is 1 and more."""


@runtime_checkable
class Checkable(Protocol):
    """What the trial run needs of a base model."""

    @property
    def num_layers(self) -> int: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def dtype(self) -> torch.dtype: ...
    def embed(self, ids_BT: Int[Tensor, "B T"]) -> Float[Tensor, "B T D"]: ...
    def forward(
        self,
        x_BTD: Float[Tensor, "B T D"],
        mask_BTT: Bool[Tensor, "B T T"] | None = None,
        positions_BT: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T D"]: ...
    def logits(self, hidden_BTD: Float[Tensor, "B T D"]) -> Float[Tensor, "B T V"]: ...
    def step(
        self, x_BTD: Float[Tensor, "1 T D"], cache: Any
    ) -> tuple[Float[Tensor, " V"], Any]: ...
    def native_logits(self, ids_BT: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]: ...


@torch.no_grad()
def check_model(model: Checkable) -> None:
    """Run a few tokens through `model` and compare with what it does on its own.

    One batch of four rows: the tokens under a causal mask; with one item that nobody else sees;
    with that item changed; and with other positions.

    Raises:
        ModelError: Masks leak, positions are ignored, or logits differ from the model's own.
    """
    # From all over the vocabulary: it begins or ends with control tokens, among which some models
    # are so far from anything they know that rounding alone changes what they say.
    steps_T = torch.arange(1, _NUM_TOKENS + 1, device=model.device)
    ids_BT = (steps_T * model.vocab_size).div(_NUM_TOKENS + 2, rounding_mode="floor")[None]
    x_BTD = model.embed(ids_BT)
    is_exact = model.dtype in (torch.float32, torch.float64)
    tolerance = 1e-3 if is_exact else _HALF_TOLERANCE
    own_TV = model.native_logits(ids_BT)[0].float()
    plain_TD = _check_masks(model, x_BTD, 1e-3 if is_exact else 5e-2)
    if _distance(own_TV, model.logits(plain_TD[None])[0].float()) > tolerance:
        raise ModelError("it computes something that lmos does not: its own logits differ")
    _, cache = model.step(x_BTD[:, :-1], None)
    last_V, _ = model.step(x_BTD[:, -1:], cache)
    if _distance(own_TV[-1], last_V.float()) > tolerance:
        raise ModelError("token by token it computes something else than all at once")


def _check_masks(
    model: Checkable, x_BTD: Float[Tensor, "1 T D"], tolerance: float
) -> Float[Tensor, "T D"]:
    """The hidden states under a causal mask, if masks and positions do what they should."""
    x_BTD = x_BTD.repeat(4, 1, 1)
    x_BTD[2, _HIDDEN_ITEM] = x_BTD[2, _HIDDEN_ITEM].flip(0) + x_BTD[2].abs().mean()
    hidden_BTD = model.forward(x_BTD, _masks(model.device), _positions(model.device))
    plain_TD, without_TD, changed_TD, stretched_TD = hidden_BTD.float()
    others = [item for item in range(_NUM_TOKENS) if item != _HIDDEN_ITEM]
    if not torch.isfinite(hidden_BTD).all():
        raise ModelError("its outputs are not finite; check its weights and dtype")
    if _distance(without_TD[others], changed_TD[others]) > tolerance:
        raise ModelError("it does not keep to a mask: a hidden item changes the others")
    if _distance(without_TD, plain_TD) == 0:
        raise ModelError("it does not keep to a mask: hiding an item changes nothing")
    if _distance(plain_TD, stretched_TD) == 0:
        raise ModelError("it ignores position ids")
    return hidden_BTD[0]


def _masks(device: torch.device) -> Bool[Tensor, "4 T T"]:
    masks = torch.ones(4, _NUM_TOKENS, _NUM_TOKENS, dtype=torch.bool, device=device).tril()
    masks[1:3, :, _HIDDEN_ITEM] = False
    masks[1:3, _HIDDEN_ITEM, _HIDDEN_ITEM] = True
    return masks


def _positions(device: torch.device) -> Int[Tensor, "4 T"]:
    positions = torch.arange(_NUM_TOKENS, device=device).repeat(4, 1)
    positions[3] = positions[3] * 2
    return positions


def _distance(expected: Tensor, got: Tensor) -> float:
    """Largest difference, relative to the largest value."""
    return float((expected - got).abs().max() / expected.abs().max().clamp_min(1e-12))

"""Borders: the model's own numbers, of a window alone."""

from __future__ import annotations

import pytest
import torch

from building import prose
from lmos.model.attention import ATTENTION_NAME
from lmos.model.base import BaseModel
from lmos.tree.borders import attention_before, score_borders, surprise
from lmos.tree.segments import SegmentConfig

IDS_T = torch.tensor([5, 9, 40, 7, 7, 31, 12, 5, 9, 40, 8])


@torch.no_grad()
def test_surprise_is_the_loss_of_each_token_after_those_before_it(tiny_llama: BaseModel) -> None:
    expected = [0.0]
    for stop in range(1, len(IDS_T)):
        logits_V = tiny_llama.native_logits(IDS_T[None, :stop])[0, -1]
        expected.append(-logits_V.log_softmax(-1)[IDS_T[stop]].item())
    assert surprise(tiny_llama, IDS_T).tolist() == pytest.approx(expected, rel=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("reach", [2, 4, 30])
def test_attention_is_that_of_the_next_tokens_to_the_one_before(
    tiny_llama: BaseModel, reach: int
) -> None:
    module = tiny_llama.module
    module.set_attn_implementation("eager")
    try:
        output = module(input_ids=IDS_T[None], output_attentions=True, use_cache=False)
    finally:
        module.set_attn_implementation(ATTENTION_NAME)
    attention_HTT = output.attentions[tiny_llama.scoring_layer][0]
    expected = [0.0]
    for start in range(1, len(IDS_T)):
        expected.append(attention_HTT[:, start : start + reach, start - 1].mean().item())
    assert attention_before(tiny_llama, IDS_T, reach).tolist() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("segmenter", ["surprise", "attention"])
def test_borders_in_training_are_those_of_use(tiny_llama: BaseModel, segmenter: str) -> None:
    config = SegmentConfig(64, 8, segmenter)
    token_ids = tiny_llama.encode(prose(30)).ids[:64]
    expected = score_borders(tiny_llama, config, token_ids)
    weights = list(tiny_llama.module.get_decoder().layers[0].parameters())
    with torch.autocast("cpu", torch.bfloat16):
        assert score_borders(tiny_llama, config, token_ids) == expected
        # Weights that were cast without gradients would be taken again here.
        loss = tiny_llama.forward(tiny_llama.embed(IDS_T[None])).float().square().sum()
    assert all(gradient.any() for gradient in torch.autograd.grad(loss, weights))


@pytest.mark.parametrize("segmenter", ["surprise", "attention"])
def test_a_single_token_has_a_score(tiny_llama: BaseModel, segmenter: str) -> None:
    assert score_borders(tiny_llama, SegmentConfig(8, 2, segmenter), [3]) == [0.0]

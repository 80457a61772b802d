"""The compressor: what an embedding depends on, how it is scaled, and where gradients go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from conftest import new_llama
from lmos.model.base import BaseModel
from lmos.model.masks import PADDING
from lmos.tree.compressor import Compressor

SPANS = [0, 0, 0, 1, 1, 2, 2, 2, 2]
NUM_SPANS = 3
MODES = pytest.mark.parametrize("mask_mode", ["window", "strict"])
LEVELS = pytest.mark.parametrize("level", [1, 2])
OUTPUTS = pytest.mark.parametrize("output_mode", ["residual", "paper"])


@pytest.fixture
def model(tokenizer_folder: Path) -> BaseModel:
    """All its layers compress, which they do not before training where there are heads."""
    return new_llama(tokenizer_folder, has_heads=False)


def items(model: BaseModel, num_rows: int = 1, num_items: int = len(SPANS)) -> Tensor:
    shape = (num_rows, num_items, model.embedding_width)
    return torch.randn(shape, generator=torch.Generator().manual_seed(2)) * model.embedding_scale


def spans(*rows: list[int]) -> Tensor:
    return torch.tensor(rows)


@MODES
@LEVELS
@OUTPUTS
def test_an_embedding_moves_with_what_its_span_may_see_and_with_nothing_else(
    model: BaseModel, mask_mode: str, level: int, output_mode: str
) -> None:
    compressor, x_BTD = Compressor(model, mask_mode, output_mode), items(model)
    with torch.no_grad():
        before_SD = compressor.compress(x_BTD, spans(SPANS), NUM_SPANS, level)[0]
        for item, span in enumerate(SPANS):
            changed_BTD = x_BTD.clone()
            changed_BTD[:, item] = x_BTD[:, item].flip(-1)
            after_SD = compressor.compress(changed_BTD, spans(SPANS), NUM_SPANS, level)[0]
            moved = [
                not torch.equal(old, new) for old, new in zip(before_SD, after_SD, strict=True)
            ]
            later = [mask_mode == "window" and other > span for other in range(NUM_SPANS)]
            assert moved == [other == span or later[other] for other in range(NUM_SPANS)]


@LEVELS
def test_a_later_item_of_the_span_is_unseen_by_earlier_items_but_not_by_the_token(
    model: BaseModel, level: int
) -> None:
    compressor = Compressor(model, output_mode="paper")
    x_BTD = items(model, num_items=4)
    changed_BTD = x_BTD.clone()
    changed_BTD[:, 3] = x_BTD[:, 3].flip(-1)
    with torch.no_grad():
        outputs = [
            compressor.compress(x, spans([0, 0, 1, 1]), 2, level) for x in (x_BTD, changed_BTD)
        ]
    assert torch.equal(outputs[0][0, 0], outputs[1][0, 0])
    assert (outputs[0][0, 1] - outputs[1][0, 1]).abs().max() > 0.1 * model.embedding_scale


@MODES
@LEVELS
@OUTPUTS
def test_windows_know_nothing_of_their_neighbours_in_the_batch_nor_of_padding(
    model: BaseModel, mask_mode: str, level: int, output_mode: str
) -> None:
    compressor, x_BTD = Compressor(model, mask_mode, output_mode), items(model, num_rows=3)
    rows = [SPANS, [0] * 4 + [1] * 2 + [PADDING] * 3, [0] * 9]
    with torch.no_grad():
        together = compressor.compress(x_BTD, spans(*rows), NUM_SPANS, level)
        for row, numbers in enumerate(rows):
            num_items = sum(number != PADDING for number in numbers)
            num_spans = max(numbers) + 1
            alone = compressor.compress(
                x_BTD[row : row + 1, :num_items], spans(numbers[:num_items]), num_spans, level
            )
            torch.testing.assert_close(together[row, :num_spans], alone[0], rtol=0, atol=1e-5)


@MODES
@OUTPUTS
def test_embeddings_have_the_scale_of_token_embeddings(
    model: BaseModel, mask_mode: str, output_mode: str
) -> None:
    compressor = Compressor(model, mask_mode, output_mode)
    with torch.no_grad():
        for level in (1, 2, 3):
            nodes_BSD = compressor.compress(items(model), spans(SPANS), NUM_SPANS, level)
            scale_BS = nodes_BSD.square().mean(-1).sqrt()
            expected = model.adapter.scale.expand(1, NUM_SPANS)
            torch.testing.assert_close(scale_BS, expected, rtol=1e-4, atol=0)


def by_hand(model: BaseModel, x_TD: Tensor, mask_mode: str, level: int) -> tuple[Tensor, Tensor]:
    """Last hidden states of items and compression tokens of `SPANS`, written out."""
    adapter, num_items = model.adapter, len(SPANS)
    if level > 1:
        x_TD = x_TD + adapter.level_LD[level - 1]
    members = [[i for i, s in enumerate(SPANS) if s == span] for span in range(NUM_SPANS)]
    means = [x_TD[inside].mean(0) for inside in members]
    tokens = [
        mean_D / mean_D.square().mean().sqrt() * adapter.scale + adapter.compression_LD[level]
        for mean_D in means
    ]
    size = num_items + NUM_SPANS
    mask = torch.zeros(1, size, size, dtype=torch.bool)
    for row, span in enumerate(SPANS):
        for column in range(row + 1):
            mask[0, row, column] = mask_mode == "window" or SPANS[column] == span
    for span, inside in enumerate(members):
        mask[0, num_items + span, [*inside, num_items + span]] = True
    positions = torch.tensor([[*range(num_items), *(inside[-1] for inside in members)]])
    hidden_TD = model.forward(torch.cat([x_TD, torch.stack(tokens)])[None], mask, positions)[0]
    return hidden_TD[:num_items], hidden_TD[num_items:]


@MODES
@LEVELS
def test_paper_mode_is_the_scaled_state_of_the_compression_token(
    model: BaseModel, mask_mode: str, level: int
) -> None:
    x_BTD = items(model)
    with torch.no_grad():
        _, own_SD = by_hand(model, x_BTD[0], mask_mode, level)
        expected = own_SD / own_SD.square().mean(-1, keepdim=True).sqrt() * model.adapter.scale
        got = Compressor(model, mask_mode, "paper").compress(x_BTD, spans(SPANS), NUM_SPANS, level)
    torch.testing.assert_close(got[0], expected, rtol=1e-4, atol=1e-5)


@MODES
@LEVELS
def test_residual_mode_adds_the_token_to_the_means_of_its_span(
    model: BaseModel, mask_mode: str, level: int
) -> None:
    x_BTD = items(model)
    with torch.no_grad():
        states_TD, own_SD = by_hand(model, x_BTD[0], mask_mode, level)
        members = [[i for i, s in enumerate(SPANS) if s == span] for span in range(NUM_SPANS)]
        inputs_TD = x_BTD[0] if level == 1 else x_BTD[0] + model.adapter.level_LD[level - 1]
        inputs_SD, states_SD = (
            torch.stack([rows_TD[inside].mean(0) for inside in members])
            for rows_TD in (inputs_TD, states_TD)
        )
        learned_SD = scaled(states_SD + model.adapter.residual_D * own_SD, model)
        expected = scaled(model.adapter.skip_D * scaled(inputs_SD, model) + learned_SD, model)
        got = Compressor(model, mask_mode).compress(x_BTD, spans(SPANS), NUM_SPANS, level)
    torch.testing.assert_close(got[0], expected, rtol=1e-4, atol=1e-5)


@MODES
@LEVELS
def test_mean_mode_is_residual_mode_without_the_token(
    model: BaseModel, mask_mode: str, level: int
) -> None:
    outputs = {}
    with torch.no_grad():
        for output_mode in ("residual", "mean"):
            compressor = Compressor(model, mask_mode, output_mode)
            outputs[output_mode] = compressor.compress(items(model), spans(SPANS), NUM_SPANS, level)
        assert not torch.allclose(outputs["mean"], outputs["residual"], atol=1e-3)
        gain_D = model.adapter.residual_D.clone()
        model.adapter.residual_D.zero_()
        compressor = Compressor(model, mask_mode)
        expected = compressor.compress(items(model), spans(SPANS), NUM_SPANS, level)
        model.adapter.residual_D.copy_(gain_D)
    torch.testing.assert_close(outputs["mean"], expected)


def scaled(x_SD: Tensor, model: BaseModel) -> Tensor:
    return x_SD / x_SD.square().mean(-1, keepdim=True).sqrt() * model.adapter.scale


def backward(model: BaseModel, weight: Callable[[Tensor], Tensor] = torch.sum) -> None:
    """A loss on the level-2 embedding of level-1 embeddings of tokens."""
    ids_BT = torch.arange(3, 3 + len(SPANS))[None]
    compressor = Compressor(model)
    nodes_BSD = compressor.compress(model.embed(ids_BT), spans(SPANS), NUM_SPANS, 1)
    top_BSD = compressor.compress(nodes_BSD, spans([0, 0, 0]), 1, 2)
    target_BSD = torch.randn(top_BSD.shape, generator=torch.Generator().manual_seed(4))
    weight(top_BSD * target_BSD).backward()  # type: ignore[no-untyped-call]


def has_gradient(tensor: Tensor) -> bool:
    return tensor.grad is not None and bool((tensor.grad != 0).any())


def test_gradients_reach_all_that_is_learned(model: BaseModel) -> None:
    backward(model)
    adapter = model.adapter
    for name in ("compression_LD", "level_LD", "residual_D"):
        assert has_gradient(getattr(adapter, name)), name
    assert adapter.compression_LD.grad is not None
    assert adapter.compression_LD.grad.abs().sum(1).nonzero()[:, 0].tolist() == [1, 2]
    assert adapter.level_LD.grad is not None
    assert adapter.level_LD.grad.abs().sum(1).nonzero()[:, 0].tolist() == [1]
    assert model.adapter.retrieval_RD.grad is None
    for name, parameter in model.module.get_decoder().named_parameters():
        assert has_gradient(parameter), name


def test_with_lora_gradients_reach_lora_and_adapter_and_nothing_frozen(model: BaseModel) -> None:
    model.add_lora(2)
    backward(model)
    for name, parameter in model.module.named_parameters():
        if "lora_B" in name and "lm_head" not in name:
            assert has_gradient(parameter), name
        elif "lora_" not in name:
            assert not parameter.requires_grad, name
            assert parameter.grad is None, name
    for name in ("compression_LD", "level_LD", "residual_D"):
        assert has_gradient(getattr(model.adapter, name)), name

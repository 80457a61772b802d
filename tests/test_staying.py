"""Staying: what a training must not cost the base model, and that the loss pulls back to it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from architectures import ARCHITECTURES
from building import prose
from lmos.errors import ConfigError
from lmos.model.base import BaseModel
from lmos.session import make_manifest
from lmos.settings import Rates
from lmos.training.compression import CompressionObjective
from lmos.training.contexts import ContextSampler
from lmos.training.corpus import Document, PassageSampler
from lmos.training.loop import LoopConfig, run_loop
from lmos.training.losses import CompressionConfig
from lmos.training.staying import Staying

PASSAGES = PassageSampler([Document("a.txt", prose(3000))])
WAYS = pytest.mark.parametrize("has_lora", [False, True])
HELD_OUT = 1_000


def new_model(tokenizer_folder: Path, *, has_lora: bool) -> BaseModel:
    config = {**ARCHITECTURES["llama"], "max_position_embeddings": 512}
    model = BaseModel.from_config(config, tokenizer_folder, seed=0)
    if has_lora:
        torch.manual_seed(0)
        model.add_lora(rank=4)
    return model


def trainable(model: BaseModel) -> list[nn.Parameter]:
    return [weight for weight in model.module.parameters() if weight.requires_grad]


def spoil(model: BaseModel) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in trainable(model):
            weight.add_(0.03 * torch.randn(weight.shape, generator=generator))


@WAYS
def test_a_model_that_was_not_trained_yet_stays(tokenizer_folder: Path, has_lora: bool) -> None:
    model = new_model(tokenizer_folder, has_lora=has_lora)
    loss = Staying(model, PASSAGES, 0)(0)
    torch.autograd.backward(loss)
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert all(w.grad is None or w.grad.abs().max() < 1e-4 for w in trainable(model))


@WAYS
def test_the_loss_pulls_a_model_back_to_what_it_said(
    tokenizer_folder: Path, has_lora: bool
) -> None:
    model = new_model(tokenizer_folder, has_lora=has_lora)
    staying = Staying(model, PASSAGES, 0)
    spoil(model)
    with torch.no_grad():
        before = staying(HELD_OUT).item()
    assert before > 0.01
    optimizer = torch.optim.AdamW(trainable(model), 3e-3, weight_decay=0.0)
    for step in range(30):
        optimizer.zero_grad()
        torch.autograd.backward(staying(step))
        optimizer.step()
    with torch.no_grad():
        # On text that the steps did not see.
        assert staying(HELD_OUT).item() < 0.5 * before


@WAYS
def test_a_training_with_the_loss_changes_less_of_what_is_said(
    tokenizer_folder: Path, has_lora: bool, tmp_path: Path
) -> None:
    losses = CompressionConfig(
        contexts=1, min_windows=1, max_windows=1, questions=4, readings=2, reconstructions=4
    )
    changed = []
    for weight in (0.0, 5.0):
        model = new_model(tokenizer_folder, has_lora=has_lora)
        staying = Staying(model, PASSAGES, 0)
        objective = CompressionObjective(
            model,
            make_manifest(model, (8, 4), window=64),
            ContextSampler(PASSAGES, []),
            CompressionConfig(**{**vars(losses), "stay_weight": weight}),
            staying,
            0,
        )
        rates = Rates(lora_learning_rate=3e-3)
        loop = LoopConfig(15, rates, warmup_steps=1, bf16=False)
        run_loop(model.as_module(), objective, loop, tmp_path / str(weight))
        with torch.no_grad():
            changed.append(staying(HELD_OUT).item())
    without, with_loss = changed
    assert with_loss < 0.7 * without


@WAYS
def test_the_same_step_sees_the_same_text(tokenizer_folder: Path, has_lora: bool) -> None:
    model = new_model(tokenizer_folder, has_lora=has_lora)
    one, other = Staying(model, PASSAGES, 0), Staying(model, PASSAGES, 0)
    spoil(model)
    if has_lora:
        assert one(3).item() == pytest.approx(other(3).item())
    assert one(3).item() == pytest.approx(one(3).item())
    assert one(3).item() != pytest.approx(one(4).item(), rel=1e-6)


def test_a_model_with_lora_weights_needs_no_copy(tokenizer_folder: Path) -> None:
    model = new_model(tokenizer_folder, has_lora=True)
    ids_BT = torch.arange(2, 12)[None]
    with torch.no_grad(), model.without_lora():
        before = model.forward(model.embed(ids_BT))
    spoil(model)
    with torch.no_grad():
        assert not torch.allclose(model.forward(model.embed(ids_BT)), before)
        with model.without_lora():
            assert torch.equal(model.forward(model.embed(ids_BT)), before)
    assert all(weight.requires_grad for weight in trainable(model))
    with pytest.raises(ConfigError, match="LoRA weights"):
        model.copy()

"""Rows: several texts step in one pass, and each gets what it would have got alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from architectures import ARCHITECTURES
from lmos.model.base import BaseModel
from lmos.model.rows import RowsCache
from lmos.model.together import Row

LENGTHS = (3, 11, 1, 7)


def begun(model: BaseModel) -> tuple[list[Tensor], list[Any]]:
    """Texts of different lengths, read one by one: the scores after each, and its cache."""
    generator = torch.Generator().manual_seed(0)
    scores, caches = [], []
    for length in LENGTHS:
        ids = torch.randint(0, 300, (1, length), generator=generator)
        logits_V, cache = model.step(model.embed(ids), None)
        scores.append(logits_V)
        caches.append(cache)
    return scores, caches


def item(model: BaseModel, logits_V: Tensor) -> Tensor:
    return model.embed(logits_V.argmax()[None, None])


@pytest.mark.parametrize("kind", ARCHITECTURES)
@torch.no_grad()
def test_steps_of_several_texts_are_those_of_each(kind: str, tokenizer_folder: Path) -> None:
    model = BaseModel.from_config(ARCHITECTURES[kind], tokenizer_folder, seed=1)
    alone, own = begun(model)
    joined, caches = begun(model)
    assert all(map(RowsCache.takes, caches))
    for count in range(8):
        # Rows end, and come in another order.
        rows = [3, 1, 2, 0][: 4 if count < 4 else 3 - count % 2]
        for row in rows:
            alone[row], own[row] = model.step(item(model, alone[row]), own[row])
        scores_BV = model.step_rows([Row(item(model, joined[row]), caches[row]) for row in rows])
        for row, logits_V in zip(rows, scores_BV, strict=True):
            joined[row] = logits_V
            torch.testing.assert_close(logits_V, alone[row], atol=1e-4, rtol=1e-4)
    assert [cache.get_seq_length() for cache in caches] == [c.get_seq_length() for c in own]


@torch.no_grad()
def test_a_pass_that_fails_leaves_every_row_as_it_was(
    tiny_llama: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores, caches = begun(tiny_llama)
    rows = [Row(item(tiny_llama, each), cache) for each, cache in zip(scores, caches, strict=True)]
    handle = tiny_llama._layers()[-1].register_forward_hook(_fail)
    with pytest.raises(MemoryError):
        tiny_llama.step_rows(rows)
    handle.remove()
    assert [cache.get_seq_length() for cache in caches] == list(LENGTHS)
    assert {layer.keys.shape[2] for layer in caches[0].layers} == {LENGTHS[0]}


def _fail(*_: object) -> None:
    raise MemoryError


def test_what_is_no_cache_of_one_text_steps_alone(tiny_llama: BaseModel) -> None:
    assert not RowsCache.takes(None)
    with torch.no_grad():
        x_BTD = tiny_llama.embed(torch.tensor([[5, 6], [7, 8]]))
        two = tiny_llama._run(x_BTD, use_cache=True).past_key_values
    assert not RowsCache.takes(two)

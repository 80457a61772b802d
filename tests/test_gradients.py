"""What training may leave out to save memory, and that it changes no gradient that it keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from architectures import ARCHITECTURES
from lmos.builder import SourceText, TreeBuilder
from lmos.model import BaseModel
from lmos.scorers import query_vectors
from lmos.session import make_manifest
from lmos.store.memory import MemoryStore

PROSE = "The old ferry crossed the river at dawn. Nobody on the quay had slept. " * 4


def new_model(name: str, tokenizer_folder: Path) -> BaseModel:
    model = BaseModel.from_config(ARCHITECTURES[name], tokenizer_folder, seed=0)
    model.module.train()
    return model


def trained_on(model: BaseModel) -> tuple[int, dict[str, torch.Tensor]]:
    """Bytes that a forward pass of all of compression and scoring keeps, and the gradients."""
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    manifest = make_manifest(model, (8, 4), window=64)
    torch.manual_seed(0)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        builder = TreeBuilder(model, manifest)
        (patch,) = builder.build(MemoryStore(manifest), [SourceText("a", PROSE.encode())])
        vectors_QRK = query_vectors(model, [[5, 6, 7]], manifest.scoring_layer)
        loss = torch.zeros(())
        for level in patch.levels:
            loss = loss + (vectors_QRK @ level.keys.T).square().mean()
            loss = loss + level.embeddings.square().sum()
    torch.autograd.backward(loss)
    named = model.as_module().named_parameters()
    return sum(kept.values()), {name: p.grad for name, p in named if p.grad is not None}


@pytest.mark.parametrize("name", ["qwen3", "gpt2", "gemma3"])
@pytest.mark.parametrize("has_lora", [False, True])
def test_checkpointed_gradients_are_the_same_in_less_memory(
    name: str, has_lora: bool, tokenizer_folder: Path
) -> None:
    plain, saving = (new_model(name, tokenizer_folder) for _ in range(2))
    saving.checkpoint_gradients()
    for model in (plain, saving) if has_lora else ():
        torch.manual_seed(0)
        model.add_lora(2)
    plain_bytes, expected = trained_on(plain)
    saved_bytes, gradients = trained_on(saving)
    assert saved_bytes < 0.7 * plain_bytes
    assert gradients.keys() == expected.keys()
    for each, gradient in expected.items():
        torch.testing.assert_close(gradients[each], gradient, rtol=1e-4, atol=1e-5, msg=each)

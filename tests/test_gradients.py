"""What training may leave out to save memory, and that it changes no gradient that it keeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from architectures import ARCHITECTURES
from lmos.model.base import BaseModel
from lmos.nodes import Span
from lmos.session import make_manifest
from lmos.store import Manifest, SourcePatch
from lmos.store.memory import MemoryStore
from lmos.training.compression import CompressionObjective
from lmos.training.contexts import ContextSampler
from lmos.training.corpus import Document, PassageSampler
from lmos.training.losses import CompressionConfig
from lmos.training.truncation import live_nodes, with_gradients
from lmos.tree.builder import SourceText, TreeBuilder
from lmos.tree.keys import query_vectors

PROSE = "The old ferry crossed the river at dawn. Nobody on the quay had slept. " * 4


def new_model(name: str, tokenizer_folder: Path) -> BaseModel:
    model = BaseModel.from_config(ARCHITECTURES[name], tokenizer_folder, seed=0)
    model.new_adapter()
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


# Truncation: 8 tokens a window and 2 nodes of them; above, windows of 4 nodes and 2 nodes of each.
DISTINCT = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789#$%&()*+-/;<=>@[]^_{|}"


@pytest.fixture(params=["heads", "attention keys"])
def model(tokenizer_folder: Path, request: pytest.FixtureRequest) -> BaseModel:
    model = BaseModel.from_config(ARCHITECTURES["llama"], tokenizer_folder, seed=0)
    if request.param == "heads":
        model.new_heads(depth=None)
    else:
        model.new_adapter()
    return model


def build(model: BaseModel) -> tuple[Manifest, SourcePatch]:
    manifest = replace(
        make_manifest(model, (4, 2, 2), window=8), segmenter="fixed", windows=(8, 4, 4)
    )
    source = SourceText("a", DISTINCT.encode())
    (patch,) = TreeBuilder(model, manifest).build(MemoryStore(manifest), [source])
    assert len(model.encode(DISTINCT).ids) == len(set(model.encode(DISTINCT).ids)) == len(DISTINCT)
    assert [len(level.byte_spans) for level in patch.levels] == [15, 6, 2]
    return manifest, patch


def truncated(model: BaseModel, place: Span) -> SourcePatch:
    with torch.no_grad():
        manifest, patch = build(model)
    return with_gradients(model, manifest, patch, [place])


def letters_with_gradient(model: BaseModel, value: torch.Tensor) -> str:
    """Which letters of the text a value can teach."""
    table_VD = model.module.get_input_embeddings().weight
    gradient_VD = torch.autograd.grad(value, table_VD, retain_graph=True)[0]
    ids = model.encode(DISTINCT).ids
    return "".join(
        letter
        for letter, token in zip(DISTINCT, ids, strict=True)
        if gradient_VD[token].abs().sum() > 0
    )


def test_the_nodes_of_a_path_and_their_children_are_live(model: BaseModel) -> None:
    _, patch = build(model)
    # Byte 9 is in leaf 2, below node 1, below the first root.
    assert live_nodes(patch, [Span(9, 10)]) == [{2, 3}, {0, 1}, {0}]
    assert live_nodes(patch, [Span(9, 10), Span(40, 41)]) == [{2, 3, 10, 11}, {0, 1, 5}, {0}]
    assert live_nodes(patch, []) == [set(), set(), set()]


def test_gradients_are_cut_beside_the_path(model: BaseModel) -> None:
    _, full = build(model)
    part = truncated(model, Span(9, 10))
    assert letters_with_gradient(model, full.levels[2].embeddings[0].sum()) == DISTINCT[:16]
    # Of the root: the window of text that holds the place, through all levels.
    assert letters_with_gradient(model, part.levels[2].embeddings[0].sum()) == DISTINCT[8:16]
    assert letters_with_gradient(model, part.levels[2].keys[0].sum()) == DISTINCT[8:16]
    assert letters_with_gradient(model, part.levels[0].embeddings[3].sum()) == DISTINCT[8:16]
    others = torch.cat([part.levels[0].embeddings[:2], part.levels[0].embeddings[4:]])
    assert letters_with_gradient(model, others.sum() + model.embed(torch.tensor([0])).sum()) == ""


def test_values_stay_as_they_were_and_gradients_are_exact_where_they_are_kept(
    model: BaseModel,
) -> None:
    _, full = build(model)
    weights = [*model.module.get_decoder().parameters(), *model.adapter.parameters()]
    for place in (Span(9, 10), Span(0, len(DISTINCT))):
        part = truncated(model, place)
        for ours, theirs in zip(part.levels, full.levels, strict=True):
            torch.testing.assert_close(ours.embeddings, theirs.embeddings, rtol=0, atol=0.02)
            torch.testing.assert_close(ours.keys, theirs.keys, rtol=0, atol=0.02)
    # Everything is on the path to everything.
    zero = torch.zeros(())
    loss, expected = (
        sum((level.embeddings.square().sum() + level.keys.sum() for level in patch.levels), zero)
        for patch in (part, full)
    )
    mine, whole = (
        torch.autograd.grad(each, weights, allow_unused=True, materialize_grads=True)
        for each in (loss, expected)
    )
    for gradient, other in zip(mine, whole, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-2, atol=1e-3)


def test_long_contexts_are_trained_in_part(tokenizer_folder: Path) -> None:
    def run(limit: int) -> tuple[float, dict[str, torch.Tensor]]:
        model = BaseModel.from_config(
            {**ARCHITECTURES["llama"], "max_position_embeddings": 512}, tokenizer_folder, seed=0
        )
        model.new_adapter()
        sampler = ContextSampler(PassageSampler([Document("a.txt", PROSE * 20)]), [])
        config = CompressionConfig(
            contexts=2,
            min_windows=8,
            max_windows=8,
            questions=3,
            stay_weight=0.0,
            answer_weight=0.0,
            reconstruction_weight=0.0,
            full_gradient_windows=limit,
        )
        manifest = make_manifest(model, (8, 4), window=64)
        objective = CompressionObjective(model, manifest, sampler, config, None, seed=0)
        with torch.autocast("cpu", torch.bfloat16):
            loss, _ = objective(0)
        torch.autograd.backward(loss)
        named = model.as_module().named_parameters()
        return loss.item(), {name: p.grad for name, p in named if p.grad is not None}

    loss, gradients = run(limit=8)
    part_loss, part_gradients = run(limit=2)
    assert part_loss == pytest.approx(loss, rel=0.02)
    assert part_gradients.keys() == gradients.keys()
    assert any("layers" in name for name in gradients)
    some = next(name for name in gradients if "q_proj" in name)
    assert part_gradients[some].abs().sum() > 0
    assert not torch.allclose(part_gradients[some], gradients[some], rtol=0.01)

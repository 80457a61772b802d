"""A model that is not on the CPU: everything that it is given must be where it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from lmos.model.base import BaseModel
from lmos.paper import JointScorer
from lmos.search.retriever import RetrievalConfig
from lmos.search.scorers import AbstractScorer, CachedScorer
from lmos.session import Session, make_manifest
from lmos.training.alignment import align_scores
from lmos.training.compression import CompressionObjective
from lmos.training.contexts import ContextSampler
from lmos.training.corpus import Document, PassageSampler
from lmos.training.losses import CompressionConfig
from lmos.training.staying import Staying
from lmos.tree.borders import score_borders
from lmos.tree.segments import SegmentConfig
from second_device import second_device

PROSE = "The old ferry crossed the river at dawn. Nobody on the quay had slept. " * 30
TINY = CompressionConfig(
    contexts=1,
    min_windows=2,
    max_windows=2,
    questions=4,
    readings=3,
    reconstructions=3,
    embedding_share=0.5,
    queue=100,
)


@pytest.fixture(scope="module")
def folder(tiny_llama: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    tiny_llama.save_pretrained(path)
    tiny_llama.adapter.save(path)
    return path


@pytest.fixture
def device() -> Iterator[str]:
    with second_device() as name:
        yield name


def loss_and_gradients(model: BaseModel) -> tuple[float, dict[str, torch.Tensor]]:
    """Of one batch of everything that `lmos train` learns."""
    passages = PassageSampler([Document("ferry.txt", PROSE)])
    manifest = make_manifest(model, (8, 4), window=64)
    sampler = ContextSampler(passages, [])
    objective = CompressionObjective(
        model, manifest, sampler, TINY, Staying(model, passages, 0), seed=0
    )
    loss, _ = objective(0)
    torch.autograd.backward(loss)
    named = model.as_module().named_parameters()
    return loss.item(), {
        name: torch.tensor(p.grad.tolist()) for name, p in named if p.grad is not None
    }


def test_the_second_device_refuses_tensors_of_the_cpu(device: str) -> None:
    there = torch.tensor([1.0, 2.0], device=device)
    with pytest.raises(RuntimeError, match="two devices"):
        there + torch.ones(2)
    assert (there + 1).sum().item() == 5
    assert (there.cpu() + torch.ones(2)).tolist() == [2, 3]


def test_training_is_the_same_on_another_device(folder: Path, device: str) -> None:
    here = loss_and_gradients(BaseModel.from_pretrained(folder))
    model = BaseModel.from_pretrained(folder, device=device)
    assert model.device.type == model.adapter.retrieval_RD.device.type == device
    there = loss_and_gradients(model)
    assert there[0] == pytest.approx(here[0], rel=1e-4)
    assert there[1].keys() == here[1].keys()
    for name, gradient in here[1].items():
        scale = float(gradient.abs().max())
        torch.testing.assert_close(there[1][name], gradient, rtol=1e-2, atol=1e-3 * scale + 1e-6)


@pytest.mark.parametrize("scorer", [CachedScorer, JointScorer])
def test_a_store_is_read_the_same_on_another_device(
    folder: Path, device: str, tmp_path: Path, scorer: type[AbstractScorer]
) -> None:
    said = []
    for name in ("cpu", device):
        model = BaseModel.from_pretrained(folder, device=name)
        with Session.create(tmp_path / name, model, (8, 3), scorer=scorer(model)) as session:
            session.add("ferry", PROSE)
            session.append("ferry", "And then the storm came.")
            config = RetrievalConfig(budget=80)
            hits = session.retrieve("Who had slept on the quay?", config).hits
            answer = session.ask("Who had slept?", config, max_new_tokens=3).complete()
            said.append(([hit.byte_span for hit in hits], answer.text))
    assert said[0] == said[1]
    assert said[0][0]


@pytest.mark.parametrize("segmenter", ["surprise", "attention"])
def test_borders_are_scored_the_same_on_another_device(
    folder: Path, device: str, segmenter: str
) -> None:
    config = SegmentConfig(64, 8, segmenter)
    here, there = (
        score_borders(BaseModel.from_pretrained(folder, device=name), config, range(3, 43))
        for name in ("cpu", device)
    )
    assert there == pytest.approx(here, rel=1e-4)


def test_scores_are_aligned_on_another_device(folder: Path, device: str) -> None:
    here, there = (
        BaseModel.from_pretrained(folder),
        BaseModel.from_pretrained(folder, device=device),
    )
    align_scores(here)
    align_scores(there)
    torch.testing.assert_close(
        torch.tensor(there.adapter.query_map_RQK.tolist()),
        here.adapter.query_map_RQK.detach(),
        rtol=1e-2,
        atol=1e-4,
    )

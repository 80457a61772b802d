"""Readings of training: which passages the reader is given, and whom it learns from."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from lmos.model.base import BaseModel
from lmos.session import make_manifest
from lmos.training.answering import choose_leaves
from lmos.training.compression import CompressionObjective
from lmos.training.contexts import ContextSampler
from lmos.training.corpus import Document, PassageSampler
from lmos.training.losses import CompressionConfig
from lmos.training.rows import Row, read_rows

PROSE = "The old ferry crossed the river at dawn. Nobody on the quay had slept. " * 30
CONFIG = CompressionConfig(
    contexts=1,
    min_windows=2,
    max_windows=2,
    questions=6,
    readings=6,
    distractors=3,
    reconstructions=2,
    stay_weight=0.0,
    miss_share=0.0,
)
SCORES_N = torch.tensor([0.9, 0.1, 0.8, 0.7, 0.2])


def objective(model: BaseModel, **changes: float) -> CompressionObjective:
    sampler = ContextSampler(PassageSampler([Document("ferry.txt", PROSE)]), [])
    manifest = make_manifest(model, (8, 4), window=64)
    config = replace(CONFIG, **changes)  # type: ignore[arg-type]
    return CompressionObjective(model, manifest, sampler, config, None, 0)


def gold(*places: int) -> torch.Tensor:
    """One gold sentence at each of these leaves."""
    return torch.eye(len(SCORES_N), dtype=torch.bool)[list(places)]


def test_a_reading_on_policy_has_what_scores_best_and_says_if_gold_is_missing() -> None:
    own = replace(CONFIG, on_policy_share=1.0, distractors=0)
    for places, found, is_missed in (
        ((0,), [0], False),
        ((1,), [0], True),
        ((0, 2), [0, 2], False),
        ((0, 3), [0, 2], True),
    ):
        assert choose_leaves(random.Random(0), SCORES_N, gold(*places), own) == (found, is_missed)


def test_other_readings_have_the_gold_and_the_wrong_ones_that_score_highest() -> None:
    rng = random.Random(0)
    for _ in range(20):
        chosen, is_missed = choose_leaves(rng, SCORES_N, gold(1), CONFIG)
        assert not is_missed
        assert chosen[-1] == 1
        assert chosen[:-1] == [0, 2, 3][: len(chosen) - 1]
    missing = replace(CONFIG, miss_share=1.0)
    chosen, is_missed = choose_leaves(rng, SCORES_N, gold(1), missing)
    assert is_missed
    assert 1 not in chosen


def row(model: BaseModel, *parts: str | torch.Tensor) -> Row:
    made = Row()
    for part in parts:
        if isinstance(part, str):
            made.add_ids(model.encode(part).ids, is_target=False)
        else:
            made.add_embedding(part)
    made.add_ids(model.encode(" dog").ids, is_target=True)
    return made


def test_the_teacher_is_the_same_model_with_the_text(tiny_llama: BaseModel) -> None:
    text, question = "The quick brown fox.", "Who sleeps?"
    latent_D = tiny_llama.embed(torch.tensor(tiny_llama.encode(text).ids)).mean(0).detach()
    latent_D.requires_grad_()
    full = row(tiny_llama, text, question)
    said = read_rows(tiny_llama, [full, row(tiny_llama, latent_D, question)])
    assert set(said.rows_N.tolist()) == {0, 1}
    assert said.divergence({0: full}, tiny_llama).item() == pytest.approx(0, abs=1e-5)
    divergence = said.divergence({1: full}, tiny_llama)
    assert divergence.item() > 1e-3
    (gradient_D,) = torch.autograd.grad(divergence, latent_D)
    assert gradient_D.abs().sum() > 0
    # By hand, for the row that learns.
    teacher_NV = read_rows(tiny_llama, [full]).logits_NV.softmax(-1)
    student_NV = said.logits_NV[said.rows_N == 1].softmax(-1)
    expected = (teacher_NV * (teacher_NV.log() - student_NV.log())).sum(-1).mean()
    torch.testing.assert_close(divergence, expected, rtol=1e-4, atol=1e-5)


def test_no_gradient_reaches_the_teacher(tiny_llama: BaseModel) -> None:
    latent_D = torch.randn(tiny_llama.embedding_width, requires_grad=True)
    plain, full = row(tiny_llama, "A dog."), row(tiny_llama, latent_D, "A dog.")
    divergence = read_rows(tiny_llama, [plain]).divergence({0: full}, tiny_llama)
    (gradient,) = torch.autograd.grad(divergence, latent_D, allow_unused=True)
    assert gradient is None


def test_right_answers_are_right_throughout(tiny_llama: BaseModel) -> None:
    said = read_rows(tiny_llama, [row(tiny_llama, "a"), row(tiny_llama, "b"), row(tiny_llama, "c")])
    best_N = said.logits_NV.argmax(-1)
    assert replace(said, targets_N=best_N).accuracy() == 1
    spoilt_N = best_N.clone()
    spoilt_N[0] = (best_N[0] + 1) % tiny_llama.vocab_size
    assert replace(said, targets_N=spoilt_N).accuracy() == pytest.approx(2 / 3)


def test_readings_with_embeddings_learn_from_the_full_text(tiny_llama: BaseModel) -> None:
    plain = objective(tiny_llama, embedding_share=1.0)
    taught = objective(tiny_llama, embedding_share=1.0, distill_weight=0.5)
    loss, metrics = plain(0)
    taught_loss, taught_metrics = taught(0)
    assert "distillation" not in metrics
    added = CONFIG.answer_weight * 0.5 * taught_metrics["distillation"]
    assert added > 0
    assert taught_loss.item() - loss.item() == pytest.approx(added, rel=1e-3)
    assert (
        "distillation" not in objective(tiny_llama, embedding_share=0.0, distill_weight=1.0)(0)[1]
    )

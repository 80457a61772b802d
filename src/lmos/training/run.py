"""Training runs: a data folder in, a model folder out.

Puts corpora, objectives and the loop together: `pretrain` makes a small base model, `train` teaches
one to compress and retrieve. Knows where things lie; what is learned is in the objectives.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from lmos.errors import DataError
from lmos.model import BaseModel
from lmos.session import DEFAULT_RATIOS, make_manifest
from lmos.training.alignment import align_scores
from lmos.training.contexts import ContextSampler
from lmos.training.corpus import PassageSampler, read_documents
from lmos.training.facts import TRAINING_FAMILIES, make_facts
from lmos.training.initial import write_induction_heads
from lmos.training.loop import LoopConfig, run_loop
from lmos.training.objective import CompressionConfig, CompressionObjective
from lmos.training.pretrain import PretrainConfig, PretrainObjective
from lmos.training.questions import PassageQuestion, read_fairytaleqa, read_squad
from lmos.training.tokenizer import save_tokenizer, train_tokenizer
from lmos.training.words import WordBank

MAX_DOCUMENT_CHARS = 600_000

SMALL_MODEL: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 4096,
    "hidden_size": 320,
    "intermediate_size": 864,
    "num_hidden_layers": 4,
    "num_attention_heads": 5,
    "num_key_value_heads": 5,
    "head_dim": 64,
    "attention_bias": True,
    "tie_word_embeddings": True,
    "max_position_embeddings": 2048,
    "rope_parameters": {"rope_type": "default", "rope_theta": 100_000.0},
    "bos_token_id": None,
    "eos_token_id": 0,
    "pad_token_id": 1,
}
"""The shape of the shipped model: 6.3 million parameters."""


STAGES = {
    "routing": CompressionConfig(),
    "reading": CompressionConfig(
        contexts=2,
        readings=12,
        distractors=3,
        answer_weight=1.0,
        reconstructions=8,
        base_weight=1.5,
        embedding_share=0.1,
    ),
}
"""The stages of the shipped model: find first, then read what was found."""

BASE_MIXTURE = PretrainConfig(
    batch_size=32, max_facts=4, text_share=0.1, copy_share=0.15, passage_share=0.05
)
"""What the base model goes on practising while it learns to compress and retrieve."""


@dataclass(frozen=True)
class DataConfig:
    """What to train on.

    Attributes:
        folder: Searched for text files, for SQuAD files (`train-v1.1*.json`) and for FairytaleQA
            (a folder with `section-stories` and `questions`).
        exclude: Glob patterns of file names to leave out, such as a demo's book.
        skip_folders: Names of folders below `folder` that hold other things than running text.
    """

    folder: Path
    exclude: tuple[str, ...] = ()
    skip_folders: tuple[str, ...] = ()


@dataclass
class TrainingData:
    """The training split of a data folder."""

    passages: PassageSampler
    questions: list[PassageQuestion] = field(default_factory=list)


def read_data(config: DataConfig, *, held_out: bool = False) -> TrainingData:
    """Read one split.

    Raises:
        DataError: There is no text.
    """
    documents = read_documents(
        config.folder,
        held_out=held_out,
        exclude=config.exclude,
        skip_folders=config.skip_folders,
        max_document_chars=MAX_DOCUMENT_CHARS,
    )
    questions: list[PassageQuestion] = []
    for path in sorted(config.folder.rglob("train-v1.1*.json")):
        questions += read_squad(path, held_out=held_out)
    for path in sorted(config.folder.rglob("section-stories")):
        questions += read_fairytaleqa(path.parent, held_out=held_out)
    return TrainingData(PassageSampler(documents), questions)


def make_tokenizer(data: TrainingData, folder: Path, vocab_size: int, seed: int = 0) -> None:
    """Train the tokenizer of a small model on samples of everything that it will read."""
    rng = random.Random(seed)
    words = WordBank(held_out=False)
    texts = [data.passages.sample(rng, 2000) for _ in range(6000)]
    texts += [
        question.passage for question in rng.sample(data.questions, min(6000, len(data.questions)))
    ]
    for _ in range(4):
        facts = make_facts(rng, words, TRAINING_FAMILIES, 500)
        texts.append(" ".join(f"{fact.statement} {fact.question}" for fact in facts))
    save_tokenizer(
        train_tokenizer(texts, vocab_size), folder, SMALL_MODEL["max_position_embeddings"]
    )


def pretrain(data_config: DataConfig, out: Path, mixture: PretrainConfig, loop: LoopConfig) -> None:
    """Make a small base model from scratch, resuming what `out` holds.

    Args:
        data_config: Text and questions.
        out: Receives the checkpoint and, in the end, the model folder `out/model`.
        mixture: The tasks.
        loop: Steps, rates and seed.

    Raises:
        DataError: There is no text, or the loss is no longer a number.
    """
    data = read_data(data_config)
    if not (out / "tokenizer" / "tokenizer.json").exists():
        make_tokenizer(data, out / "tokenizer", SMALL_MODEL["vocab_size"], loop.seed)
    model = BaseModel.from_config(SMALL_MODEL, out / "tokenizer", loop.seed)
    write_induction_heads(model.module, seed=loop.seed)
    objective = make_base_objective(model, data, mixture, loop.seed)
    run_loop(model.as_module(), objective, loop, out, state=objective.curriculum)
    model.save_pretrained(out / "model")


def make_base_objective(
    model: BaseModel, data: TrainingData, mixture: PretrainConfig, seed: int
) -> PretrainObjective:
    """The base model's own tasks."""
    return PretrainObjective(model, data.passages, data.questions, mixture, seed)


def train(
    data_config: DataConfig,
    base: str,
    out: Path,
    stages: Sequence[CompressionConfig],
    loop: LoopConfig,
    *,
    lora_rank: int | None = None,
    base_mixture: PretrainConfig | None = None,
    passage_share: float = 0.4,
    scoring_layer: int | None = None,
) -> None:
    """Teach a model to compress and retrieve, resuming what `out` holds.

    Args:
        data_config: Text and questions.
        base: Model folder or name.
        out: Receives the checkpoint and, in the end, the model folder `out/model`.
        stages: Weights and sizes, each for an equal share of the steps.
        loop: Steps, rates and seed.
        lora_rank: Train LoRA weights beside a frozen base model; `None` trains everything.
        base_mixture: The base model's own tasks, kept up along the way.
        passage_share: Share of contexts made of real passages with questions.
        scoring_layer: Whose queries and keys score nodes; at 60 % of the depth by default.

    Raises:
        ModelError: The base model cannot be used.
        DataError: There is no text, or the loss is no longer a number.
    """
    if not stages:
        raise DataError("expected at least one stage of training, got none")
    model = BaseModel.from_pretrained(base)
    if not model.is_trained:
        model.new_adapter(scoring_layer=scoring_layer, seed=loop.seed)
        align_scores(model, loop.seed)
    if lora_rank is not None:
        model.add_lora(lora_rank)
    data = read_data(data_config)
    mixture = base_mixture or BASE_MIXTURE
    base_objective = make_base_objective(model, data, mixture, loop.seed)
    base_objective.curriculum.num_facts = mixture.max_facts
    manifest = make_manifest(model, DEFAULT_RATIOS)
    sampler = ContextSampler(data.passages, data.questions, passage_share)
    objectives = [
        CompressionObjective(model, manifest, sampler, stage, base_objective, loop.seed)
        for stage in stages
    ]
    stage_len = -(-loop.num_steps // len(stages))

    def objective(step: int) -> tuple[torch.Tensor, dict[str, float]]:
        return objectives[min(step // stage_len, len(stages) - 1)](step)

    def save() -> None:
        model.is_trained = True
        model.save_pretrained(out / "model")

    run_loop(model.as_module(), objective, loop, out, on_checkpoint=save)

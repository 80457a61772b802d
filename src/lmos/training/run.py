"""A pretraining run: a data folder in, the folder of a small base model out.

Puts corpus, objective and loop together. Knows where things lie; what is learned is in `pretrain`.
"""

from __future__ import annotations

import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lmos.errors import ConfigError
from lmos.model.base import BaseModel
from lmos.model.released import resolve_model
from lmos.training.checkpoint import write_folder
from lmos.training.config import PretrainConfig
from lmos.training.curves import write_curves
from lmos.training.data import DataConfig, TrainingData, describe, read_data
from lmos.training.facts import make_facts
from lmos.training.families import TRAINING_FAMILIES
from lmos.training.growth import widen
from lmos.training.initial import write_induction_heads
from lmos.training.loop import LoopConfig, Progress, run_loop
from lmos.training.pretrain import PretrainObjective
from lmos.training.runfolder import record_run, require_folder
from lmos.training.tokenizer import save_tokenizer, train_tokenizer
from lmos.training.words import WordBank

SMALL_MODEL: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 4096,
    "hidden_size": 320,
    "intermediate_size": 864,
    "num_hidden_layers": 6,
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
"""What the shipped model began as: 8.8 million parameters. It was widened later, see `growth`."""


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


def pretrain(
    data_config: DataConfig,
    out: Path,
    mixture: PretrainConfig,
    loop: LoopConfig,
    *,
    base: str | None = None,
    is_widened: bool = False,
    resume: bool = False,
    progress: Progress = lambda step, metrics: None,
) -> None:
    """Make a small base model from scratch, or go on with one.

    Args:
        data_config: Text and questions.
        out: Receives the checkpoint and, in the end, the model folder `out/model`.
        mixture: The tasks.
        loop: Steps, rates and seed.
        base: Model folder or name to start from, at the end of the curriculum. The result has no
            adapter: what was learned about this model's layers does not fit them any more.
        is_widened: Whether that model first gets another head in each layer, see `growth`.
        resume: Go on with the run that `out` holds.
        progress: Told after every step.

    Raises:
        ConfigError: `out` holds something else, or the run in it was told something else.
        DataError: There is no text, or the loss is no longer a number.
        ModelError: The base model cannot be used.
    """
    require_folder(out, resume=resume)
    data = read_data(data_config)
    settings = {
        "command": "pretrain",
        "base": base,
        "is_widened": is_widened,
        "mixture": asdict(mixture),
        "loop": asdict(loop),
        "data": describe(data_config, data),
    }
    record_run(out, settings, resume=resume)
    if base is None:
        model = _new_model(data, out, loop.seed)
    else:
        model = _load_model(base)
        model = widen(model) if is_widened else model
        model.is_trained = False
    objective = PretrainObjective(model, data.passages, data.questions, mixture, loop.seed)
    if base is not None:
        objective.curriculum.num_facts = mixture.max_facts
    run_loop(model.as_module(), objective, loop, out, state=objective.curriculum, progress=progress)
    write_folder(out / "model", model.save_pretrained)
    write_curves(out)


def _new_model(data: TrainingData, out: Path, seed: int) -> BaseModel:
    """Random weights but for the induction heads, and a tokenizer of its own."""
    if not (out / "tokenizer" / "tokenizer.json").exists():
        make_tokenizer(data, out / "tokenizer", SMALL_MODEL["vocab_size"], seed)
    model = BaseModel.from_config(SMALL_MODEL, out / "tokenizer", seed)
    write_induction_heads(model.module, seed=seed)
    return model


def _load_model(base: str) -> BaseModel:
    model = BaseModel.from_pretrained(resolve_model(base))
    if model.has_lora:
        raise ConfigError(f"{base} has LoRA weights; give a model that is whole")
    return model

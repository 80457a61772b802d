"""The run of a training: a base model and a data folder in, a trained model's folder out.

Puts model, data, stages and loop together. Knows where things lie; what is learned is in
`compression`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from lmos.errors import ConfigError, DataError
from lmos.model.base import BaseModel
from lmos.model.formats import ReadPassage
from lmos.model.released import resolve_model
from lmos.session import make_manifest
from lmos.settings import DEFAULT_RATIOS, EXAMPLE_SHARE, PASSAGE_SHARE
from lmos.training.alignment import align_scores
from lmos.training.checkpoint import write_folder
from lmos.training.compression import CompressionObjective
from lmos.training.contexts import AbstractSampler, ContextSampler
from lmos.training.curves import write_curves
from lmos.training.data import DataConfig, TrainingData, describe, read_data
from lmos.training.examples import Example, ExampleSampler, MixedSampler
from lmos.training.loop import LoopConfig, Objective, Progress, run_loop
from lmos.training.processes import Processes
from lmos.training.runfolder import record_run, require_folder
from lmos.training.stages import Stage, StageProgress
from lmos.training.staying import Staying
from lmos.tree.keys import query_room

_MOST_IN_FULL = 100_000_000
_DEFAULT_RANK = 16


@dataclass(frozen=True)
class TrainConfig:
    """What a training is told.

    Attributes:
        base: Model folder or name.
        data: Text and questions.
        stages: What counts when.
        loop: Steps, rates and seed.
        lora_rank: Train LoRA weights of this rank beside a frozen base model.
        full: Train all weights. Where neither is asked for, models of up to 100 million parameters
            are trained in full, larger ones by LoRA of rank 16.
        passage_share: Share of contexts made of real passages with questions.
        example_share: Share of contexts made of the user's own examples, where there are any; the
            passages are a share of the others.
        scoring_layer: Score nodes by the attention keys of this layer, in the place of retrieval
            heads; a base with an adapter goes on with what that has.
        gradient_checkpointing: Whether layers are run again in the backward pass, to save memory.
    """

    base: str
    data: DataConfig
    stages: tuple[Stage, ...]
    loop: LoopConfig
    lora_rank: int | None = None
    full: bool = False
    passage_share: float = PASSAGE_SHARE
    example_share: float = EXAMPLE_SHARE
    scoring_layer: int | None = None
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        for name in ("passage_share", "example_share"):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise ConfigError(f"{name}: expected 0 to 1, got {share}")
        if self.full and self.lora_rank is not None:
            raise ConfigError("expected all weights or LoRA weights to be trained, got both")


def train(
    config: TrainConfig,
    out: Path,
    *,
    resume: bool = False,
    device: str | None = None,
    progress: Progress = lambda step, metrics: None,
) -> None:
    """Teach a model to compress and retrieve.

    Args:
        config: What to train on what.
        out: Receives the checkpoint and, with each, the folder `out/model`: all of the model, or
            with LoRA the adapter alone, which names its base model.
        resume: Go on with the run that `out` holds.
        device: Where to compute: `cuda` if there is one by default. Each of several processes takes
            its own of this kind.
        progress: Told after every step, in the first process.

    Raises:
        ConfigError: `out` holds something else, or the run in it was told something else.
        ModelError: The base model cannot be used.
        DataError: There is no text, or the loss is no longer a number.
    """
    processes = Processes(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if processes.is_first:
        require_folder(out, resume=resume)
    model = _model_to_train(config, processes.device)
    data = read_data(config.data)
    objective = _objective(model, data, config)
    if processes.is_first:
        record_run(out, _settings(config, data, model), resume=resume)

    def save() -> None:
        model.is_trained = True
        write = model.save_adapter if model.has_lora else model.save_pretrained
        write_folder(out / "model", write)

    run_loop(
        model.as_module(),
        objective,
        config.loop,
        out,
        state=objective.stage,
        processes=processes,
        on_metrics=objective.stage.update,
        on_checkpoint=save,
        progress=progress,
    )
    if processes.is_first:
        write_curves(out)


class StagedObjective:
    """The objective of whatever stage the training is in."""

    def __init__(self, objectives: Sequence[Objective], stage: StageProgress) -> None:
        self.stage = stage
        self._objectives = list(objectives)

    def __call__(self, batch: int) -> tuple[torch.Tensor, dict[str, float]]:
        """See `Objective`."""
        loss, metrics = self._objectives[self.stage.number](batch)
        return loss, {"stage": float(self.stage.number + 1), **metrics}


def _model_to_train(config: TrainConfig, device: str | torch.device) -> BaseModel:
    """The base model with an adapter that finds by words, and LoRA weights if they are wanted."""
    model = BaseModel.from_pretrained(resolve_model(config.base), device=device)
    if not model.is_trained and config.scoring_layer is None:
        model.new_heads(depth=None)
    elif not model.is_trained:
        model.new_adapter(scoring_layer=config.scoring_layer, seed=config.loop.seed)
        align_scores(model, config.loop.seed)
    if config.gradient_checkpointing:
        model.checkpoint_gradients()
    if model.has_lora and (config.full or config.lora_rank is not None):
        raise ConfigError(
            f"{config.base} has LoRA weights, which are trained on; leave --full and --lora-rank "
            "out"
        )
    rank = config.lora_rank
    if model.has_lora:
        return model
    if rank is None and not config.full and model.num_parameters > _MOST_IN_FULL:
        rank = _DEFAULT_RANK
    if rank is not None:
        model.add_lora(rank)
    return model


def _objective(model: BaseModel, data: TrainingData, config: TrainConfig) -> StagedObjective:
    seed = config.loop.seed
    stays = any(stage.objective.stay_weight for stage in config.stages)
    staying = Staying(model, data.passages, seed) if stays else None
    manifest = make_manifest(model, DEFAULT_RATIOS)
    sampler: AbstractSampler = ContextSampler(data.passages, data.questions, config.passage_share)
    if data.examples:
        require_room(model, data.examples)
        sampler = MixedSampler(ExampleSampler(data.examples), sampler, config.example_share)
    objectives = [
        CompressionObjective(model, manifest, sampler, stage.objective, staying, seed)
        for stage in config.stages
    ]
    return StagedObjective(objectives, StageProgress(config.stages, config.loop.num_steps))


def require_room(model: BaseModel, examples: Sequence[Example]) -> None:
    """Check that every question fits, and can be read and answered together with its passages.

    Raises:
        DataError: The first example that does not fit, by file and line.
    """
    for example in examples:
        question = len(model.encode(example.question).ids)
        if question > query_room(model):
            raise DataError(
                f"{example.place}: the question takes {question} tokens; {model.name} has room "
                f"for {query_room(model)}"
            )
        needed = [ReadPassage(example.context[index]) for index in example.gold]
        length = sum(map(len, model.format.passage_ids(needed)))
        length += len(model.format.head_ids(example.question))
        length += len(model.format.tail_ids(example.question))
        length += len(model.format.answer_ids(example.answer)) + 1
        if length > model.max_positions:
            raise DataError(
                f"{example.place}: the question, the passages that it needs and the answer take "
                f"{length} tokens; {model.name} has room for {model.max_positions}. Cut the "
                "passages into shorter ones"
            )


def _settings(config: TrainConfig, data: TrainingData, model: BaseModel) -> dict[str, Any]:
    """What a run was told, in plain values."""
    return {
        "command": "train",
        **asdict(config),
        "base_hash": model.base_hash,
        "has_heads": model.adapter.heads is not None,
        "data": describe(config.data, data),
    }

"""Sizes, shares and weights of a step, for pretraining and for compression.

Knows numbers and their ranges; saved with what was trained.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from lmos.errors import ConfigError
from lmos.training.settings import require_options

_AT_LEAST_ONE = ("contexts", "min_windows", "questions", "readings", "reconstructions")


@dataclass(frozen=True)
class PretrainConfig:
    """The mixture of one pretraining run. What the shares leave over is facts.

    Attributes:
        window: Tokens in a training sequence, filled with as many readings as fit.
        batch_size: Sequences in a step; fewer or more where they are longer or shorter.
        short_window: Tokens in a sequence while it copies or reads one fact alone.
        long_windows: Tokens in the sequences of long readings, once there are `max_facts`.
        long_share: Steps of such sequences.
        text_share: Share of sequences of plain text.
        copy_share: Share of copy sequences once facts have begun.
        passage_share: Share of readings of real passages with their questions.
        recall_share: Share of readings of key-value recall: facts of one relation, then the names
            of each with what is told of it, without a question.
        story_share: Share of readings of stories.
        episode_share: Share of readings of in-context classification.
        update_share: Share of facts' readings in which the fact changes later.
        near_miss_share: Share of facts' readings with the same relation of others.
        drill_share: Share of facts' readings whose facts are all of one or two relations.
        noise_share: Share of short readings with running text between the sentences.
        unknown_share: Share of readings whose fact is absent and whose answer says so.
        facts_after: Accuracy on copied tokens at which facts begin.
        advance_at: Accuracy of facts' answers at which the number of facts doubles.
        max_facts: Facts in one context at the end of the curriculum; stories have twice as many
            sentences and two more.
    """

    window: int = 256
    batch_size: int = 32
    short_window: int = 128
    long_windows: tuple[int, ...] = (512, 1024)
    long_share: float = 0.3
    text_share: float = 0.04
    copy_share: float = 0.05
    passage_share: float = 0.03
    recall_share: float = 0.1
    story_share: float = 0.35
    episode_share: float = 0.08
    update_share: float = 0.1
    near_miss_share: float = 0.3
    drill_share: float = 0.5
    noise_share: float = 0.6
    unknown_share: float = 0.08
    facts_after: float = 0.6
    advance_at: float = 0.88
    max_facts: int = 16

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            values = value if isinstance(value, tuple) else (value,)
            least = 0 if isinstance(value, float) else 1
            most = 1.0 if isinstance(value, float) else float("inf")
            if not all(least <= each <= most for each in values):
                raise ConfigError(f"{name}: expected {least} to {most:g}, got {value}")


@dataclass(frozen=True)
class CompressionConfig:
    """One stage of training.

    Attributes:
        contexts: In a step.
        min_windows: Windows of text in the shortest context.
        max_windows: In the longest.
        questions: For each context.
        readings: Questions of a step that are read and answered.
        distractors: Most wrong passages that are read along.
        reconstructions: Level-1 nodes of a step that are decoded back to their text.
        routing_weight: Of the InfoNCE loss of every level.
        answer_weight: Of the answers' loss.
        reconstruction_weight: Of the decoded tokens' loss.
        base_weight: Of the base model's own tasks, so that they are not forgotten.
        distill_weight: Of the divergence from what the same model says to the full text, where a
            reading has the gold passage as embeddings; on top of the answers' weight.
        on_policy_share: Readings of just what the model's own scores bring up, by a flat scan over
            the leaves; where that lacks a gold passage the answer is that it is unknown. The other
            readings have the gold passage and the wrong ones that score highest.
        miss_share: Of those others, readings that are not given the gold passage and must say so.
        embedding_share: Readings that get the gold passage as embeddings, not as text.
        queue: Keys of earlier steps that serve as more negatives, for each level.
        hop_share: Questions with several gold sentences that are searched with one of them, as in a
            search that follows another.
        random_ratio_share: Steps with a random ratio at every level.
        full_gradient_windows: Contexts of more windows of text keep their gradients only in the
            windows on the paths to gold passages and one hop below, see `truncation`.
    """

    contexts: int = 5
    min_windows: int = 5
    max_windows: int = 10
    questions: int = 12
    readings: int = 8
    distractors: int = 5
    reconstructions: int = 24
    routing_weight: float = 1.0
    answer_weight: float = 0.3
    reconstruction_weight: float = 0.3
    base_weight: float = 0.5
    distill_weight: float = 0.0
    on_policy_share: float = 0.0
    miss_share: float = 0.12
    embedding_share: float = 0.2
    queue: int = 0
    hop_share: float = 0.0
    random_ratio_share: float = 0.25
    full_gradient_windows: int = 16

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = 1 if name in _AT_LEAST_ONE else 0
            most = 1.0 if name.endswith("_share") else float("inf")
            if not least <= value <= most:
                raise ConfigError(f"{name}: expected {least} to {most:g}, got {value}")
        if self.max_windows < self.min_windows:
            raise ConfigError(
                f"max_windows: expected at least min_windows {self.min_windows}, "
                f"got {self.max_windows}"
            )


def read_mixture(path: Path) -> PretrainConfig:
    """A mixture from a JSON file; what it leaves out has its default.

    Raises:
        ConfigError: The file cannot be read, or a value in it is not as expected.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"mixture: {path} cannot be read: {error}") from error
    kinds = {name: type(value) for name, value in vars(PretrainConfig()).items()}
    options = require_options(values, {**kinds, "long_windows": list}, str(path))
    windows = options.get("long_windows", PretrainConfig.long_windows)
    if not all(isinstance(window, int) for window in windows):
        raise ConfigError(f"{path}: long_windows: expected whole numbers, got {windows!r}")
    return PretrainConfig(**{**options, "long_windows": tuple(windows)})

"""The losses of a step: how much of what is drawn, and how much each counts.

Knows numbers and their ranges; saved with what was trained.
"""

from __future__ import annotations

from dataclasses import dataclass

from lmos.errors import ConfigError

_AT_LEAST_ONE = ("contexts", "min_windows", "questions", "readings", "reconstructions")


@dataclass(frozen=True)
class CompressionConfig:
    """One stage of training.

    Attributes:
        contexts: In a step.
        min_windows: Windows of text in the shortest context.
        max_windows: In the longest.
        questions: For each context.
        readings: Questions of a step that are read and answered.
        distractors: At most so many wrong passages are read along.
        reconstructions: Level-1 nodes of a step that are decoded back to their text.
        routing_weight: Of the InfoNCE loss of every level.
        answer_weight: Of the answers' loss.
        reconstruction_weight: Of the decoded tokens' loss.
        stay_weight: Of the divergence from the base model on plain text, so that what it can do is
            not forgotten.
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
    stay_weight: float = 0.1
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

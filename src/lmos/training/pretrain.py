"""Pretraining: a small base model from scratch, taught first to read from its context.

The order matters: copying by content, then facts and stories in context, few first, then many.
Plain text runs along from the start. Knows nothing of compression, stores or retrieval.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from lmos.model.base import BaseModel
from lmos.training.config import PretrainConfig
from lmos.training.corpus import PassageSampler
from lmos.training.curriculum import Curriculum
from lmos.training.packing import TASKS, Sample, pack
from lmos.training.questions import PassageQuestion
from lmos.training.readings import Readings
from lmos.training.rows import IGNORE

_MAX_READINGS = 12


class PretrainObjective:
    """The next-token loss over a mixture of copy, text, facts and questions about passages.

    Args:
        model: Trained in place; its adapter is not used.
        passages: Where plain text comes from.
        questions: Real questions about real passages; may be empty.
        config: The mixture.
        seed: Of the data; a step's batch depends on the seed and the step alone.
    """

    def __init__(
        self,
        model: BaseModel,
        passages: PassageSampler,
        questions: Sequence[PassageQuestion],
        config: PretrainConfig,
        seed: int,
    ) -> None:
        self.curriculum = Curriculum(config)
        self._model = model
        self._passages = passages
        self._config = config
        self._seed = seed
        self._readings = Readings(model, passages, questions, config, self.curriculum)

    def __call__(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of one step, and the accuracies of its learned tokens by task."""
        rng = random.Random(self._seed * 1_000_003 + step)
        config = self._config
        window = self._window(rng)
        batch = [self._row(rng, window) for _ in range(config.batch_size * config.window // window)]
        rows = pack(batch, window).to(self._model.device)
        # Logits are made only where something is learned: the vocabulary is most of the cost.
        hidden_BTD = self._model.forward(
            self._model.embed(rows.ids_BT), rows.mask_BTT, rows.positions_BT
        )[:, :-1]
        learned_BT = rows.targets_BT[:, 1:] != IGNORE
        targets_N = rows.targets_BT[:, 1:][learned_BT]
        logits_NV = self._model.logits(hidden_BTD[learned_BT]).float()
        losses_N = F.cross_entropy(logits_NV, targets_N, reduction="none")
        correct_N = (logits_NV.argmax(-1) == targets_N).float()
        tasks_N = rows.tasks_BT[:, 1:][learned_BT]
        metrics: dict[str, float] = {"num_facts": float(self.curriculum.num_facts)}
        loss = losses_N.new_zeros(())
        for index, task in enumerate(TASKS):
            is_task_N = tasks_N == index
            if not is_task_N.any():
                continue
            task_loss = losses_N[is_task_N].mean()
            # A task weighs as much as the positions it takes, however few of them are learned.
            loss = loss + task_loss * (rows.tasks_BT == index).float().mean()
            metrics[f"{task}_loss"] = task_loss.item()
            metrics[f"{task}_accuracy"] = correct_N[is_task_N].mean().item()
        self.curriculum.update(metrics.get("copy_accuracy"), metrics.get("facts_accuracy"))
        return loss, metrics

    def _window(self, rng: random.Random) -> int:
        config = self._config
        if self.curriculum.num_facts <= 1:
            return config.short_window
        if self.curriculum.num_facts < config.max_facts or rng.random() >= config.long_share:
            return config.window
        return rng.choice((config.window, *config.long_windows))

    def _row(self, rng: random.Random, window: int) -> list[Sample]:
        """What stands in one sequence: one text, one copy task, or as many readings as fit."""
        config = self._config
        if rng.random() < config.text_share:
            return [self._text(rng, window)]
        if self.curriculum.num_facts == 0 or rng.random() < config.copy_share:
            return [self._copy(rng, window)]
        readings: list[Sample] = []
        room = window
        for _ in range(_MAX_READINGS * max(1, window // config.window)):
            # A long sequence begins with one long reading; what fits is put behind it.
            reading = self._readings.draw(rng, window if not readings else config.window)
            if len(reading.ids) <= room:
                readings.append(reading)
                room -= len(reading.ids)
        return readings or [self._text(rng, window)]

    def _encode(self, text: str) -> list[int]:
        return list(self._model.encode(text).ids)

    def _text(self, rng: random.Random, window: int) -> Sample:
        ids = self._encode(self._passages.sample(rng, window * 6))
        return Sample(ids, list(ids), "text")

    def _copy(self, rng: random.Random, window: int) -> Sample:
        """Pieces of random length and place come again; only what comes again is learned."""
        source_len = rng.randint(6, window // 2)
        if rng.random() < 0.5:
            ids = self._encode(self._passages.sample(rng, source_len * 6 + 20))[:source_len]
        else:
            ids = [rng.randrange(2, self._model.vocab_size) for _ in range(source_len)]
        targets = [IGNORE] * len(ids)
        source_len = len(ids)
        while len(ids) < window:
            start = rng.randrange(max(1, source_len - 4))
            length = rng.randint(4, 24)
            piece = ids[start : min(start + length, source_len)]
            ids.extend(piece)
            targets.extend([IGNORE, *piece[1:]])
        return Sample(ids, targets, "copy")

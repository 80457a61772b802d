"""Pretraining: a small base model from scratch, taught first to read from its context.

The order matters: copying by content, then facts in context, then everything at once. Plain text
runs along from the start. Knows nothing of compression, stores or retrieval.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lmos.masks import causal_mask
from lmos.model import BaseModel
from lmos.prompts import UNKNOWN_ANSWER, answer_text, question_after, question_before
from lmos.training.corpus import PassageSampler
from lmos.training.facts import TRAINING_FAMILIES, make_facts
from lmos.training.questions import PassageQuestion
from lmos.training.words import WordBank

IGNORE = -100


@dataclass(frozen=True)
class PretrainConfig:
    """The mixture of one pretraining run.

    Attributes:
        window: Tokens in a training sequence.
        batch_size: Sequences in a step.
        copy_window: Tokens in a sequence until copying is learned; the batch grows to match.
        copy_share: Share of copy sequences once facts have begun.
        text_share: Share of plain text.
        passage_share: Share of questions about real passages, once facts have begun.
        facts_after: Accuracy on copied tokens at which facts begin.
        advance_at: Accuracy of answers at which the number of facts doubles.
        max_facts: Facts in one context at the end of the curriculum.
        unknown_share: Share of questions whose fact is absent and whose answer says so.
    """

    window: int = 256
    batch_size: int = 32
    copy_window: int = 96
    copy_share: float = 0.1
    text_share: float = 0.2
    passage_share: float = 0.15
    facts_after: float = 0.6
    advance_at: float = 0.85
    max_facts: int = 16
    unknown_share: float = 0.08


class Curriculum:
    """Advances on measured accuracy: copying first, then 2, 4, 8 ... facts in a context."""

    def __init__(self, config: PretrainConfig) -> None:
        self._config = config
        self.num_facts = 0
        self._accuracy = 0.0

    def update(self, copy_accuracy: float | None, fact_accuracy: float | None) -> None:
        """Take in the accuracies of one step; a running mean decides."""
        measured = copy_accuracy if self.num_facts == 0 else fact_accuracy
        if measured is None:
            return
        self._accuracy += 0.1 * (measured - self._accuracy)
        goal = self._config.facts_after if self.num_facts == 0 else self._config.advance_at
        if self._accuracy > goal and self.num_facts < self._config.max_facts:
            self.num_facts = max(2, 2 * self.num_facts)
            self._accuracy = 0.0

    def state_dict(self) -> dict[str, float]:
        """What a resumed run needs."""
        return {"num_facts": self.num_facts, "accuracy": self._accuracy}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Continue where `state_dict` was taken."""
        self.num_facts = int(state["num_facts"])
        self._accuracy = state["accuracy"]


@dataclass
class _Sample:
    """Token ids of one training sequence; `targets` is `IGNORE` where nothing is learned."""

    ids: list[int]
    targets: list[int]
    task: str


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
        self._questions = list(questions)
        self._config = config
        self._seed = seed
        self._words = WordBank(held_out=False, wild=passages.words())
        self._end = model.end_id or 0

    def __call__(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of one step and its accuracies by task."""
        rng = random.Random(self._seed * 1_000_003 + step)
        config = self._config
        is_copying = self.curriculum.num_facts == 0
        window = config.copy_window if is_copying else config.window
        batch = [
            self._draw(rng, window) for _ in range(config.batch_size * config.window // window)
        ]
        ids_BT = torch.full((len(batch), window), self._end)
        targets_BT = torch.full((len(batch), window), IGNORE)
        for row, sample in enumerate(batch):
            length = min(window, len(sample.ids))
            ids_BT[row, :length] = torch.tensor(sample.ids[:length])
            targets_BT[row, :length] = torch.tensor(sample.targets[:length])
        # Logits are made only where something is learned: the vocabulary is most of the cost.
        real_BT = torch.arange(window) < torch.tensor([[len(sample.ids)] for sample in batch])
        positions_BT = torch.arange(window).expand(len(batch), -1)
        hidden_BTD = self._model.forward(
            self._model.embed(ids_BT), causal_mask(real_BT), positions_BT
        )[:, :-1]
        learned_BT = targets_BT[:, 1:] != IGNORE
        targets_N = targets_BT[:, 1:][learned_BT]
        logits_NV = self._model.logits(hidden_BTD[learned_BT]).float()
        losses_N = F.cross_entropy(logits_NV, targets_N, reduction="none")
        correct_N = (logits_NV.argmax(-1) == targets_N).float()
        tasks_B = torch.tensor([_TASKS.index(sample.task) for sample in batch])
        tasks_N = tasks_B[:, None].expand_as(learned_BT)[learned_BT]
        metrics: dict[str, float] = {"num_facts": float(self.curriculum.num_facts)}
        loss = losses_N.new_zeros(())
        for index, task in enumerate(_TASKS):
            rows_N = tasks_N == index
            if not rows_N.any():
                continue
            task_loss = losses_N[rows_N].mean()
            loss = loss + task_loss * (tasks_B == index).float().mean()
            metrics[f"{task}_loss"] = task_loss.item()
            metrics[f"{task}_accuracy"] = correct_N[rows_N].mean().item()
        self.curriculum.update(metrics.get("copy_accuracy"), metrics.get("facts_accuracy"))
        return loss, metrics

    def _draw(self, rng: random.Random, window: int) -> _Sample:
        config = self._config
        if rng.random() < config.text_share:
            return self._text(rng, window)
        if self.curriculum.num_facts == 0 or rng.random() < config.copy_share:
            return self._copy(rng, window)
        if self._questions and rng.random() < config.passage_share / (1 - config.text_share):
            return self._passage_question(rng, window)
        return self._facts(rng, window)

    def _encode(self, text: str) -> list[int]:
        return list(self._model.encode(text).ids)

    def _text(self, rng: random.Random, window: int) -> _Sample:
        ids = self._encode(self._passages.sample(rng, window * 6))
        return _Sample(ids, list(ids), "text")

    def _copy(self, rng: random.Random, window: int) -> _Sample:
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
        return _Sample(ids, targets, "copy")

    def _facts(self, rng: random.Random, window: int) -> _Sample:
        """Several small readings one after the other: a few facts, some of them in running text."""
        sample = _Sample([], [], "facts")
        while len(sample.ids) < window // 2:
            num_facts = rng.randint(1, self.curriculum.num_facts)
            absent, *facts = make_facts(rng, self._words, TRAINING_FAMILIES, num_facts + 1)
            statements = [fact.statement for fact in facts]
            if rng.random() < 0.6:
                for _ in range(rng.randint(1, 3)):
                    noise = self._passages.sample(rng, rng.randint(30, 150))
                    statements.insert(rng.randint(0, len(statements)), " ".join(noise.split()))
            passage = rng.choice((" ", "\n")).join(statements)
            is_unknown = rng.random() < self._config.unknown_share
            fact = absent if is_unknown else rng.choice(facts)
            answer = UNKNOWN_ANSWER if is_unknown else fact.answer
            self._read(sample, fact.question, passage, answer)
        return sample

    def _passage_question(self, rng: random.Random, window: int) -> _Sample:
        question = rng.choice(self._questions)
        asked, answer = rng.choice(question.pairs)
        place = max(0, question.passage.find(answer))
        start = max(0, place - rng.randint(0, 400))
        passage = " ".join(
            question.passage[start : place + len(answer) + rng.randint(1, 200)].split()
        )
        sample = _Sample([], [], "passages")
        self._read(sample, asked, passage, answer)
        return sample

    def _read(self, sample: _Sample, question: str, passage: str, answer: str) -> None:
        prompt = self._encode(question_before(question))
        prompt += self._encode(passage + "\n")
        prompt += self._encode(question_after(question))
        reply = [*self._encode(answer_text(answer)), self._end]
        sample.ids.extend(prompt + reply)
        sample.targets.extend([IGNORE] * len(prompt) + reply)


_TASKS = ("text", "copy", "facts", "passages")

"""Pretraining: a small base model from scratch, taught first to read from its context.

The order matters: copying by content, then facts and stories in context, few first, then many.
Plain text runs along from the start. Knows nothing of compression, stores or retrieval.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from lmos.errors import ConfigError
from lmos.masks import PADDING, segmented_mask
from lmos.model import BaseModel
from lmos.prompts import (
    UNKNOWN_ANSWER,
    answer_text,
    answer_through,
    question_after,
    question_before,
)
from lmos.segments import iter_units
from lmos.training.classification import make_episode
from lmos.training.corpus import PassageSampler
from lmos.training.facts import (
    TRAINING_FAMILIES,
    WILD_FAMILIES,
    make_facts,
    make_near_miss,
    make_update,
)
from lmos.training.questions import PassageQuestion
from lmos.training.settings import require_options
from lmos.training.stories import make_story
from lmos.training.words import WordBank

IGNORE = -100


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


class Curriculum:
    """Advances on measured accuracy: copying first, then 1, 2, 4 ... facts in a context."""

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
            self.num_facts = max(1, 2 * self.num_facts)
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
    """Token ids of one task; `targets` is `IGNORE` where nothing is learned."""

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
        """The loss of one step, and the accuracies of its learned tokens by task."""
        rng = random.Random(self._seed * 1_000_003 + step)
        config = self._config
        window = self._window(rng)
        batch = [self._row(rng, window) for _ in range(config.batch_size * config.window // window)]
        rows = _pack(batch, window).to(self._model.device)
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
        for index, task in enumerate(_TASKS):
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

    def _row(self, rng: random.Random, window: int) -> list[_Sample]:
        """What stands in one sequence: one text, one copy task, or as many readings as fit."""
        config = self._config
        if rng.random() < config.text_share:
            return [self._text(rng, window)]
        if self.curriculum.num_facts == 0 or rng.random() < config.copy_share:
            return [self._copy(rng, window)]
        readings: list[_Sample] = []
        room = window
        for _ in range(_MAX_READINGS * max(1, window // config.window)):
            # A long sequence begins with one long reading; what fits is put behind it.
            reading = self._reading(rng, window if not readings else config.window)
            if len(reading.ids) <= room:
                readings.append(reading)
                room -= len(reading.ids)
        return readings or [self._text(rng, window)]

    def _reading(self, rng: random.Random, room: int) -> _Sample:
        config = self._config
        share = rng.random()
        if self._questions and share < config.passage_share:
            return self._passage_question(rng)
        share -= config.passage_share
        if share < config.recall_share:
            return self._recall(rng)
        share -= config.recall_share
        if share < config.story_share:
            return self._story(rng, room)
        share -= config.story_share
        if share < config.episode_share:
            episode = make_episode(rng, self._words, num_irrelevant=rng.randint(0, 4))
            asked = [(episode.query, episode.answer)]
            return self._read("episodes", asked, " ".join(episode.examples))
        return self._facts(rng, room)

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

    def _facts(self, rng: random.Random, room: int) -> _Sample:
        """A few facts, often in running text; some are asked for, at times an absent one too."""
        num_facts = _log_uniform(rng, 1, self.curriculum.num_facts)
        few = rng.random() < self._config.drill_share
        families = rng.sample(_FAMILIES, rng.randint(1, 2)) if few else _FAMILIES
        absent, *facts = make_facts(rng, self._words, families, num_facts + 1)
        told = [other.statement for other in facts]
        if rng.random() < self._config.update_share:
            place = rng.randrange(len(facts))
            facts[place] = make_update(rng, self._words, facts[place])
            told.append(facts[place].statement)
        rng.shuffle(facts)
        if self.curriculum.num_facts > 1 and rng.random() < self._config.near_miss_share:
            for _ in range(rng.randint(1, 3)):
                near_miss = make_near_miss(rng, self._words, facts[0])
                told.insert(rng.randint(0, len(told)), near_miss)
        asked = [(fact.question, fact.answer) for fact in facts[: self._num_questions(rng)]]
        if rng.random() < self._config.unknown_share:
            asked.insert(rng.randint(0, len(asked)), (absent.question, UNKNOWN_ANSWER))
        passage = self._among_noise(rng, told, asked[0][0], room)
        return self._read("facts", asked, passage)

    def _recall(self, rng: random.Random) -> _Sample:
        """Facts of one relation, then what each names and its answer: who is meant must match."""
        num_facts = rng.randint(2, max(2, min(8, self.curriculum.num_facts)))
        (family,) = rng.sample(_FAMILIES, 1)
        facts = make_facts(rng, self._words, [family], num_facts)
        ids = self._encode("".join(f"{fact.statement}\n" for fact in facts))
        targets = [IGNORE] * len(ids)
        for fact in rng.sample(facts, num_facts):
            _, _, *named = fact.key
            prompt = self._encode(f"{', '.join(named)}:")
            reply = [*self._encode(answer_text(fact.answer)), self._end]
            ids += prompt + reply
            targets += [IGNORE] * len(prompt) + reply
        return _Sample(ids, targets, "recall")

    def _num_questions(self, rng: random.Random) -> int:
        """One, as in use, or many, so that a text teaches more."""
        return 1 if rng.random() < 0.3 else _MAX_QUESTIONS

    def _story(self, rng: random.Random, room: int) -> _Sample:
        """A story as it was told, only what the questions need of it, or all but that."""
        longest = 2 + 2 * self.curriculum.num_facts * room // self._config.window
        num_sentences = _log_uniform(rng, 2, longest)
        story = make_story(rng, self._words, num_sentences, self._num_questions(rng))
        told = set(range(len(story.sentences)))
        needed = {index for question in story.questions for index in question.relevant}
        asked = [(q.question, answer_through(q.steps, q.answer)) for q in story.questions]
        if rng.random() < self._config.unknown_share:
            told, asked = told - needed, [(question, UNKNOWN_ANSWER) for question, _ in asked]
        elif rng.random() < 0.4:
            told = needed
        sentences = [story.sentences[index] for index in sorted(told)]
        passage = self._among_noise(rng, sentences, asked[0][0], room)
        return self._read("stories", asked, passage)

    def _among_noise(
        self, rng: random.Random, sentences: Sequence[str], question: str, room: int
    ) -> str:
        """The sentences in their order, often with text between them once they are several."""
        parts = list(sentences)
        if room > self._config.window:
            num_noises = rng.randint(2, room // _NOISE_TOKENS)
        elif self.curriculum.num_facts > 1 and rng.random() < self._config.noise_share:
            num_noises = rng.randint(1, 3)
        else:
            num_noises = 0
        for _ in range(num_noises):
            parts.insert(rng.randint(0, len(parts)), self._noise(rng, question))
        line_share = rng.choice((0.0, 0.5, 1.0))
        ends = ["\n" if rng.random() < line_share else " " for _ in parts]
        return "".join(part + end for part, end in zip(parts, ends, strict=True)).rstrip()

    def _noise(self, rng: random.Random, question: str) -> str:
        """Running text, often whole sentences, at times with a name that the question has."""
        text = self._passages.sample(rng, rng.randint(30, 200))
        units = list(iter_units(text, len(text) * 4))
        if len(units) > 2 and rng.random() < 0.7:
            text = "".join(units[1:-1])
        text = " ".join(text.split())
        names = _NAME.findall(question)
        places = list(_NAME.finditer(text))
        if names and places and rng.random() < 0.4:
            start, stop = rng.choice(places).span()
            text = text[:start] + rng.choice(names) + text[stop:]
        return text

    def _passage_question(self, rng: random.Random) -> _Sample:
        question = rng.choice(self._questions)
        asked, answer = rng.choice(question.pairs)
        place = max(0, question.passage.find(answer))
        start = max(0, place - rng.randint(0, 400))
        passage = " ".join(
            question.passage[start : place + len(answer) + rng.randint(1, 200)].split()
        )
        return self._read("passages", [(asked, answer)], passage)

    def _read(self, task: str, asked: Sequence[tuple[str, str]], passage: str) -> _Sample:
        """The first question, the passage, then each question with its answer."""
        ids = self._encode(question_before(asked[0][0])) + self._encode(passage + "\n")
        targets = [IGNORE] * len(ids)
        for question, answer in asked:
            prompt = self._encode(question_after(question))
            reply = [*self._encode(answer_text(answer)), self._end]
            ids += prompt + reply
            targets += [IGNORE] * len(prompt) + reply
        return _Sample(ids, targets, task)


@dataclass
class _Rows:
    """A batch: samples side by side in rows; each sees itself alone and counts from position 0."""

    ids_BT: Tensor
    targets_BT: Tensor
    tasks_BT: Tensor
    positions_BT: Tensor
    mask_BTT: Tensor

    def to(self, device: torch.device) -> _Rows:
        return _Rows(**{name: part.to(device) for name, part in vars(self).items()})


def _log_uniform(rng: random.Random, least: int, most: int) -> int:
    """A whole number from `least` to `most`, as likely to double as to double again."""
    return min(most, int(least * (1 + most / least) ** rng.random()))


def _pack(batch: Sequence[Sequence[_Sample]], window: int) -> _Rows:
    ids_BT = torch.zeros(len(batch), window, dtype=torch.long)
    targets_BT = torch.full_like(ids_BT, IGNORE)
    tasks_BT = torch.full_like(ids_BT, len(_TASKS))
    samples_BT = torch.full_like(ids_BT, PADDING)
    positions_BT = torch.zeros_like(ids_BT)
    for row, samples in enumerate(batch):
        start = 0
        for number, sample in enumerate(samples):
            length = min(window - start, len(sample.ids))
            place = slice(start, start + length)
            ids_BT[row, place] = torch.tensor(sample.ids[:length])
            # The first token follows another sample: nobody can know it.
            targets_BT[row, place] = torch.tensor([IGNORE, *sample.targets[1:length]])
            tasks_BT[row, place] = _TASKS.index(sample.task)
            samples_BT[row, place] = number
            positions_BT[row, place] = torch.arange(length)
            start += length
    mask_BTT = segmented_mask(samples_BT, 0, "strict")
    return _Rows(ids_BT, targets_BT, tasks_BT, positions_BT, mask_BTT)


_TASKS = ("text", "copy", "recall", "facts", "passages", "stories", "episodes")
_MAX_READINGS = 12
_MAX_QUESTIONS = 6
_NOISE_TOKENS = 48
_NAME = re.compile(r"(?<=[\w,;] )[A-Z][a-z]+")
_FAMILIES = (*TRAINING_FAMILIES, *WILD_FAMILIES)

"""Calibration: a model's own answers, right and wrong, in; the curve of its confidence out.

Asks a session questions of which half have no answer in the store, and fits a logistic curve to
what was known about each answer when it ended. Knows nothing of how a model is trained.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from lmos.errors import ConfigError, DataError
from lmos.model.base import BaseModel
from lmos.model.confidence import Calibration, Evidence
from lmos.session import Session, make_manifest
from lmos.settings import CALIBRATION_TEXTS, FALSE_SHARE
from lmos.store.memory import MemoryStore
from lmos.text.content import is_same
from lmos.training.unanswerable import HalfAnsweredSampler

ALL_EVIDENCE = tuple(each.name for each in fields(Evidence))
_NUM_FOLDS = 5
_DECAY = 1.0


@dataclass(frozen=True)
class CalibrationConfig:
    """How a calibration is fitted, with the default options of retrieval.

    Attributes:
        num_texts: Texts, each in a store of its own.
        num_questions: Asked of each, about half of them without an answer.
        min_chars: Length of the shortest text.
        max_chars: Of the longest.
        false_share: At most this share of the questions without an answer passes as found; sets
            the threshold.
        seed: Of texts and questions.
    """

    num_texts: int = CALIBRATION_TEXTS
    num_questions: int = 24
    min_chars: int = 2_000
    max_chars: int = 200_000
    false_share: float = FALSE_SHARE
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_texts < _NUM_FOLDS or self.num_questions < 2:
            raise ConfigError(
                f"expected at least {_NUM_FOLDS} texts and 2 questions of each, got "
                f"{self.num_texts} and {self.num_questions}"
            )
        if not 0 < self.min_chars <= self.max_chars:
            raise ConfigError(
                f"expected 0 < min_chars ≤ max_chars, got {self.min_chars} and {self.max_chars}"
            )
        if not 0 < self.false_share < 1:
            raise ConfigError(f"false_share: expected more than 0, below 1, got {self.false_share}")


@dataclass(frozen=True)
class Judged:
    """An answer that was checked.

    Attributes:
        evidence: What was known when it ended.
        text_number: Which text was asked.
        has_answer: Whether the text holds an answer.
        is_given: Whether the model said anything but that it does not know.
        is_right: Whether it said the right thing.
    """

    evidence: Evidence
    text_number: int
    has_answer: bool
    is_given: bool
    is_right: bool


@dataclass(frozen=True)
class CalibrationReport:
    """How good a calibration is, on answers about texts that it was not fitted to.

    Attributes:
        num_questions: Answers that were judged.
        auroc: Chance that a right answer has more confidence than another.
        brier: Mean square of confidence less outcome; 0 is best, 0.25 is that of always one half.
        false_share: Questions without an answer that pass as found.
        found_share: Right answers that pass as found.
    """

    num_questions: int
    auroc: float
    brier: float
    false_share: float
    found_share: float


def calibrate(
    model: BaseModel,
    sampler: HalfAnsweredSampler,
    config: CalibrationConfig,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[Calibration, CalibrationReport]:
    """Fit the confidence of a model. The model is left as it is.

    Args:
        model: With its adapter.
        sampler: Texts that neither training nor a benchmark has seen.
        config: How much to ask.
        progress: Told after each text.

    Raises:
        DataError: The model answers nothing right, or everything: there is nothing to learn from.
    """
    rng = random.Random(config.seed)
    judged: list[Judged] = []
    for number in range(config.num_texts):
        judged += _judge_text(model, sampler, config, number, rng)
        progress(1)
    return fit_calibration(judged, config.false_share, model.answering_hash)


def fit_calibration(
    judged: Sequence[Judged],
    false_share: float,
    adapter_hash: str,
    names: Sequence[str] = ALL_EVIDENCE,
) -> tuple[Calibration, CalibrationReport]:
    """Fit a curve, and say how good it is by fitting it again without a fifth of the texts.

    Args:
        judged: Answers about at least five texts.
        false_share: See `CalibrationConfig`.
        adapter_hash: Of the adapter that gave the answers.
        names: Of the evidence that the curve is made of.

    Raises:
        DataError: All answers are right, or none.
    """
    evidence_NF = torch.tensor(
        [[getattr(one.evidence, name) for name in names] for one in judged], dtype=torch.float64
    )
    right_N = torch.tensor([one.is_right for one in judged], dtype=torch.float64)
    if not 0 < right_N.mean() < 1:
        raise DataError(
            f"expected some right answers and some wrong ones of {len(judged)}, got "
            f"{int(right_N.sum())} right; train the model first"
        )
    folds_N = torch.tensor([one.text_number % _NUM_FOLDS for one in judged])
    unseen_N = torch.zeros_like(right_N)
    for fold in range(_NUM_FOLDS):
        weights_F, bias = fit_logistic(evidence_NF[folds_N != fold], right_N[folds_N != fold])
        rows_N = folds_N == fold
        unseen_N[rows_N] = (evidence_NF[rows_N] @ weights_F + bias).sigmoid()
    threshold = _threshold(judged, unseen_N, false_share)
    weights_F, bias = fit_logistic(evidence_NF, right_N)
    weights = dict(zip(names, weights_F.tolist(), strict=True))
    calibration = Calibration(weights, bias, threshold, adapter_hash)
    return calibration, _report(judged, unseen_N, right_N, threshold)


def fit_logistic(
    x_NF: Float[Tensor, "N F"], y_N: Float[Tensor, " N"]
) -> tuple[Float[Tensor, " F"], float]:
    """Weights and bias of a logistic regression, with weight decay on standardised inputs."""
    mean_F, scale_F = x_NF.mean(0), x_NF.std(0).clamp(min=1e-6)
    z_NF = (x_NF - mean_F) / scale_F
    weights_F = torch.zeros(x_NF.shape[1], dtype=x_NF.dtype, requires_grad=True)
    bias = torch.zeros((), dtype=x_NF.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights_F, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits_N = z_NF @ weights_F + bias
        errors = torch.nn.functional.binary_cross_entropy_with_logits(
            logits_N, y_N, reduction="sum"
        )
        total = errors + _DECAY / 2 * weights_F.square().sum()
        torch.autograd.backward(total)
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    raw_F = (weights_F / scale_F).detach()
    return raw_F, float(bias.detach() - raw_F @ mean_F)


def area_under_roc(scores_N: Float[Tensor, " N"], is_positive_N: Float[Tensor, " N"]) -> float:
    """Chance that a positive has a larger score than a negative; a tie counts half."""
    positives, negatives = scores_N[is_positive_N > 0.5], scores_N[is_positive_N <= 0.5]
    larger = (positives[:, None] > negatives).double() + (positives[:, None] == negatives) / 2
    return float(larger.mean())


def _judge_text(
    model: BaseModel,
    sampler: HalfAnsweredSampler,
    config: CalibrationConfig,
    number: int,
    rng: random.Random,
) -> list[Judged]:
    num_chars = round(config.min_chars * (config.max_chars / config.min_chars) ** rng.random())
    drawn = sampler.sample(rng, num_chars, config.num_questions)
    judged = []
    with Session(model, MemoryStore(make_manifest(model))) as session:
        session.add("text", drawn.text)
        for asked in drawn.asked:
            answer = session.ask(asked.question).complete()
            assert answer.evidence is not None
            is_right = asked.answer is not None and is_same(answer.text, asked.answer)
            is_given = answer.is_given
            judged.append(
                Judged(answer.evidence, number, asked.answer is not None, is_given, is_right)
            )
    return judged


def _threshold(judged: Sequence[Judged], confidence_N: Tensor, false_share: float) -> float:
    """The least confidence at which no more than `false_share` of false answers pass."""
    rows = [
        (confidence, one)
        for confidence, one in zip(confidence_N.tolist(), judged, strict=True)
        if not one.has_answer
    ]
    num_allowed = int(false_share * len(rows))
    given = sorted((confidence for confidence, one in rows if one.is_given), reverse=True)
    if num_allowed >= len(given):
        return 0.0
    return float(torch.nextafter(torch.tensor(given[num_allowed]), torch.tensor(1.0)))


def _report(
    judged: Sequence[Judged], unseen_N: Tensor, right_N: Tensor, threshold: float
) -> CalibrationReport:
    has_answer_N = torch.tensor([one.has_answer for one in judged])
    is_given_N = torch.tensor([one.is_given for one in judged])
    is_found_N = (unseen_N >= threshold) & is_given_N
    return CalibrationReport(
        num_questions=len(judged),
        auroc=area_under_roc(unseen_N, right_N),
        brier=float((unseen_N - right_N).square().mean()),
        false_share=float(is_found_N[~has_answer_N].double().mean()),
        found_share=float(is_found_N[right_N > 0.5].double().mean()),
    )

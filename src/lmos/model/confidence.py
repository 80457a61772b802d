"""Confidence: how likely an answer is right, by numbers that are at hand when it ends.

A few numbers and a logistic curve through them. Knows neither models nor stores, nor how a curve
is fitted.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import fmean, median
from typing import NamedTuple

from lmos.errors import ModelError
from lmos.text.content import is_polar

CALIBRATION_FILE = "lmos_calibration.json"
CALIBRATION_FORMAT = 1
LEAST_LOG_PROBABILITY = -20.0
"""Of a token; what is less likely counts as this."""

_WORD = re.compile(r"\w+")


class SecondReading(NamedTuple):
    """What was said to a question that was asked again, of less text.

    Attributes:
        is_same: Whether it was the same answer.
        log_probabilities: Of its tokens.
        unknown_log_probability: Of `UNKNOWN_ANSWER` in its place; see `Evidence`.
    """

    is_same: bool
    log_probabilities: Sequence[float]
    unknown_log_probability: float


@dataclass(frozen=True)
class Evidence:
    """What is known about an answer when it ends. All logarithms are natural.

    Attributes:
        mean_log_probability: Of the answer's tokens.
        min_log_probability: Of its least likely token.
        unknown_log_probability: Of `UNKNOWN_ANSWER` in the answer's place, up to the first token
            in which the two differ.
        best_score: Of the best node that was kept.
        runner_up_gap: By how much it is better than the next.
        median_gap: By how much it is better than the median of its level.
        score_entropy: Of the softmax over the scores of its level.
        question_share: Share of the question's words in the passage that holds most of them.
        name_share: The same of its names only: words after the first with a capital or a digit.
        quoted_share: 1 if the answer stands in a passage word for word, or is a mere yes or no,
            else 0.
        alone_share: 1 if the passage that holds the answer says the same when it is read without
            the others, else 0. Where nothing was read again, this and the next two are as if it
            had said the same in the same way.
        alone_mean_log_probability: Of the tokens of what it says alone.
        alone_unknown_log_probability: Of `UNKNOWN_ANSWER` in their place.
    """

    mean_log_probability: float
    min_log_probability: float
    unknown_log_probability: float
    best_score: float
    runner_up_gap: float
    median_gap: float
    score_entropy: float
    question_share: float
    name_share: float
    quoted_share: float
    alone_share: float
    alone_mean_log_probability: float
    alone_unknown_log_probability: float

    @classmethod
    def gather(
        cls,
        question: str,
        answer: str,
        log_probabilities: Sequence[float],
        unknown_log_probability: float,
        scores: Sequence[float],
        passages: Sequence[str],
        alone: SecondReading | None = None,
    ) -> Evidence:
        """Put together what is known.

        Args:
            question: As asked.
            answer: Complete.
            log_probabilities: Of the answer's tokens.
            unknown_log_probability: See `Evidence`.
            scores: Of the nodes that were kept at the last level of the walk, best first.
            passages: What the reader was given.
            alone: What the passage that holds the answer said alone, if it was read again.
        """
        tokens = _clamped(log_probabilities)
        if alone is None:
            alone = SecondReading(True, log_probabilities, unknown_log_probability)
        scores = list(scores) or [0.0]
        return cls(
            mean_log_probability=fmean(tokens),
            min_log_probability=min(tokens),
            unknown_log_probability=max(unknown_log_probability, LEAST_LOG_PROBABILITY),
            best_score=scores[0],
            runner_up_gap=scores[0] - scores[min(1, len(scores) - 1)],
            median_gap=scores[0] - median(scores),
            score_entropy=_entropy(scores),
            question_share=_word_share(_words(question), passages),
            name_share=_word_share(_names(question), passages),
            quoted_share=float(
                is_polar(answer) or any(find_words(answer, passage) for passage in passages)
            ),
            alone_share=float(alone.is_same),
            alone_mean_log_probability=fmean(_clamped(alone.log_probabilities)),
            alone_unknown_log_probability=max(alone.unknown_log_probability, LEAST_LOG_PROBABILITY),
        )


@dataclass(frozen=True)
class Calibration:
    """A logistic curve from evidence to confidence, fitted for one adapter.

    Attributes:
        weights: By name of the evidence.
        bias: Added to the weighted sum.
        threshold: Confidence below which an answer counts as not found.
        adapter_hash: Of the adapter that it was fitted for.
    """

    weights: Mapping[str, float]
    bias: float
    threshold: float
    adapter_hash: str

    def confidence(self, evidence: Evidence) -> float:
        """The probability, in 0..1, that the answer is right."""
        values = asdict(evidence)
        total = self.bias + sum(weight * values[name] for name, weight in self.weights.items())
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, total))))

    def save(self, folder: Path) -> None:
        """Write `lmos_calibration.json` into a model or adapter folder."""
        values = {"format": CALIBRATION_FORMAT, **asdict(self)}
        part = folder / f"{CALIBRATION_FILE}.part"
        part.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        part.replace(folder / CALIBRATION_FILE)

    @classmethod
    def load(cls, folder: Path) -> Calibration | None:
        """Read what `save` wrote; `None` if there is nothing.

        Raises:
            ModelError: The file cannot be read.
        """
        path = folder / CALIBRATION_FILE
        if not path.is_file():
            return None
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            version = int(values["format"])
            weights = {str(name): float(weight) for name, weight in values["weights"].items()}
            calibration = cls(
                weights, float(values["bias"]), float(values["threshold"]), values["adapter_hash"]
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{path} cannot be read: {error!r}; fit it again") from error
        unknown = weights.keys() - {field.name for field in fields(Evidence)}
        if version > CALIBRATION_FORMAT or unknown:
            raise ModelError(
                f"{path} has format {version} and weights that this lmos does not know "
                f"({', '.join(sorted(unknown)) or 'none'}); upgrade lmos, or fit it again"
            )
        return calibration


def confidence_of(evidence: Evidence, calibration: Calibration | None) -> float:
    """The confidence, in 0..1: calibrated, or a plain guess where nothing was fitted.

    The guess is the mean probability of the answer's tokens times that of not saying "unknown".
    """
    if calibration is not None:
        return calibration.confidence(evidence)
    is_known = 1 - math.exp(min(0.0, evidence.unknown_log_probability))
    return math.exp(min(0.0, evidence.mean_log_probability)) * is_known


def find_words(words: str, text: str) -> tuple[int, int] | None:
    """Where words stand in a text, whatever their case and the white space between them.

    Returns:
        `(start, stop)` in characters of the text, or `None`. Nothing stands anywhere.
    """
    parts = words.split()
    if not parts:
        return None
    pattern = r"\s+".join(re.escape(part) for part in parts)
    found = re.search(rf"(?<!\w){pattern}(?!\w)", text, flags=re.IGNORECASE)
    return None if found is None else found.span()


def _clamped(log_probabilities: Sequence[float]) -> list[float]:
    tokens = [max(value, LEAST_LOG_PROBABILITY) for value in log_probabilities]
    return tokens or [LEAST_LOG_PROBABILITY]


def _entropy(scores: Sequence[float]) -> float:
    weights = [math.exp(score - max(scores)) for score in scores]
    shares = [weight / sum(weights) for weight in weights]
    return -sum(share * math.log(share) for share in shares if share > 0)


def _word_share(asked: set[str], passages: Iterable[str]) -> float:
    """Share of the words in the passage that holds most of them; 1 if there are none."""
    if not asked:
        return 1.0
    shares = (len(asked & _words(passage)) / len(asked) for passage in passages)
    return max(shares, default=0.0)


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))


def _names(question: str) -> set[str]:
    _, *rest = _WORD.findall(question) or [""]
    return {word.lower() for word in rest if word != word.lower() or not word.isalpha()}

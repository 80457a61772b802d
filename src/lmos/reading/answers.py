"""Answers: a question's text as it is generated, and when it ends how far to trust it.

Knows a stream of text and what was retrieved. Knows neither how it was found nor who asked.
"""

from __future__ import annotations

import time as clock
from collections.abc import Iterator
from dataclasses import dataclass, field

from lmos.model.confidence import Calibration, Evidence, confidence_of
from lmos.model.formats import is_unknown
from lmos.reading.citations import Citation, Passage, cite
from lmos.reading.generation import AnswerStream
from lmos.reading.rereading import Differing, Reader
from lmos.search.retriever import Retrieval
from lmos.text.content import rest_of_word
from lmos.text.normal import readable


@dataclass
class Answer:
    """A question's answer. Iterate over it to stream; it is complete when that ends.

    Attributes:
        question: As asked.
        retrieval: What was found and how.
        citations: What it was generated from, best first; those that hold the answer word for
            word are marked when it is complete.
        timing: Seconds by step: `retrieve`, `first_token`, `total`.
        text: The answer so far.
        confidence: How likely it is right, in 0..1; 0 until it is complete. The chance itself if
            the model is calibrated, else only larger for better answers.
        is_found: Whether the context holds an answer, as far as the model can tell; else `text` is
            a guess, or says that there is none. A model that is not calibrated can tell by its own
            words alone: all counts but that it does not know.
        evidence: What the confidence was made of; `None` until the answer is complete.
        reason: Why there is nothing to answer from; `None` if there is something.
        differing: What other passages say, where they say something else; known when it is
            complete.
        is_own: Whether the store was not asked, and the model answered in its own words.
        num_prompt_tokens: Positions that were read before the first token.
    """

    question: str
    retrieval: Retrieval
    citations: tuple[Citation, ...]
    timing: dict[str, float]
    _stream: AnswerStream = field(repr=False)
    _passages: tuple[Passage, ...] = field(repr=False)
    _calibration: Calibration | None = field(repr=False)
    _start: float = field(repr=False)
    _reader: Reader | None = field(default=None, repr=False)
    text: str = ""
    confidence: float = 0.0
    is_found: bool = False
    evidence: Evidence | None = None
    reason: str | None = None
    differing: tuple[Differing, ...] = ()
    num_prompt_tokens: int = 0
    is_own: bool = False

    def __post_init__(self) -> None:
        self._pieces = iter(self._stream)

    def __iter__(self) -> Iterator[str]:
        for piece in self._pieces:
            if not self.text:
                self.timing["first_token"] = clock.perf_counter() - self._start
            self.text += piece
            yield piece
        rest = rest_of_word(self.text, [each.read_text for each in self._passages])
        if rest and self.evidence is None:
            self.text = self.text.rstrip() + rest
            yield rest
        if self.evidence is None:
            self._finish()

    @property
    def num_tokens(self) -> int:
        """Tokens that were generated so far."""
        return len(self._stream.log_probabilities)

    @property
    def is_calibrated(self) -> bool:
        """Whether `confidence` was fitted to how often this model is right."""
        return self._calibration is not None

    @property
    def is_given(self) -> bool:
        """Whether the model said anything but that it does not know, sure of it or not."""
        return not is_unknown(self.text)

    def complete(self) -> Answer:
        """Generate to the end."""
        for _ in self:
            pass
        return self

    def _finish(self) -> None:
        """Mark what holds the answer, and judge it."""
        said = self.text.strip() if self.is_given else ""
        self.citations = cite(self._passages, said)
        walk = self.retrieval.walk
        alone = self._reader.read_again(said) if said and self._reader is not None else None
        self.evidence = Evidence.gather(
            readable(self.question),
            readable(said),
            self._stream.log_probabilities,
            self._stream.unknown_log_probability,
            [score for _, score in walk[-1].kept] if walk else [],
            [passage.told_text for passage in self._passages],
            alone,
        )
        # Whatever the model says when it has read nothing does not come from the context.
        if self._passages:
            self.confidence = confidence_of(self.evidence, self._calibration)
        threshold = 0.0 if self._calibration is None else self._calibration.threshold
        self.is_found = bool(self._passages) and self.is_given and self.confidence >= threshold
        if self.is_found and self._reader is not None:
            self.differing = self._reader.differing(said, self._passages)
        self.timing["total"] = clock.perf_counter() - self._start

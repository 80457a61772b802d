"""Segments: text to windows of tokens, and windows to spans.

Every cut depends only on where the one before was and on a bounded look ahead, so that text added
in pieces is cut as it would have been in one. Knows a tokenizer, and what a model says of borders,
as functions; knows neither models nor disks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lmos.errors import ConfigError
from lmos.nodes import Span
from lmos.tokens import Tokens

_SENTENCE_END = re.compile(r"""(?:[.!?…]["'”’)\]]*[ \t]+|\n\s*|[。！？])(?=\S)""")
_ABBREVIATION = re.compile(
    r"\b(?:Mr|Mrs|Ms|Dr|St|Prof|Capt|Col|Gen|Rev|No|vs|etc|e\.g|i\.e|[A-Z])\.$"
)

_MAX_CHAR_BYTES = 4

SEGMENTERS = ("sentence", "fixed", "surprise", "attention")

Encode = Callable[[str], Tokens]
ScoreBorders = Callable[[Sequence[int]], Sequence[float]]
"""The tokens of a window to how good a place each is for a span to begin; larger is better."""
WindowContent = tuple[tuple[int, ...], tuple[Span, ...]]
"""The tokens of a window and the spans among them; windows with the same have the same nodes."""


@dataclass(frozen=True)
class SegmentConfig:
    """How text is cut.

    Attributes:
        window: Most tokens in a window.
        ratio: Tokens in a span: exactly (`fixed`, the last of a window may be shorter) or about
            (at most one and a half times as many, and at least three quarters as many in any two
            neighbours of a window).
        segmenter: `sentence` keeps sentences whole where their length allows; `fixed` does not
            look; `surprise` and `attention` begin spans where the model says, see `borders`.
    """

    window: int = 256
    ratio: int = 16
    segmenter: str = "sentence"

    def __post_init__(self) -> None:
        if not 2 <= self.ratio <= self.window:
            raise ConfigError(
                f"expected 2 ≤ ratio ≤ window, got ratio {self.ratio} and window {self.window}"
            )
        if self.segmenter not in SEGMENTERS:
            raise ConfigError(
                f"segmenter: expected {' or '.join(SEGMENTERS)}, got {self.segmenter!r}"
            )

    @property
    def look_ahead_bytes(self) -> int:
        """Text after a sealed window that its end depends on: a unit, and a character on each side.

        What changes further on leaves the window as it is.
        """
        return self.window + 2 * _MAX_CHAR_BYTES


@dataclass(frozen=True)
class Window:
    """Consecutive tokens that are compressed in one forward pass.

    Attributes:
        token_ids: At most `SegmentConfig.window` of them.
        byte_ends: End of each token, in bytes of the source.
        byte_span: The window's text, in bytes of the source.
        spans: Token indices within the window; they partition it.
        is_sealed: Whether more text can no longer change the window.
    """

    token_ids: tuple[int, ...]
    byte_ends: tuple[int, ...]
    byte_span: Span
    spans: tuple[Span, ...]
    is_sealed: bool

    @property
    def content(self) -> WindowContent:
        """What the nodes of the window follow from, wherever it stands."""
        return self.token_ids, self.spans

    def byte_span_of(self, span: Span) -> Span:
        """The bytes of the source under a span of this window's tokens."""
        start = self.byte_ends[span.start - 1] if span.start else self.byte_span.start
        return Span(start, self.byte_ends[span.stop - 1])


def iter_units(text: str, max_bytes: int) -> Iterator[str]:
    """Cut text into sentences, and sentences longer than `max_bytes` at spaces.

    The units' concatenation is the text. Every unit but the last is the same whatever follows, and
    cutting anew from the start of any unit gives the same units from there on.
    """
    start = 0
    while start < len(text):
        stop = _unit_stop(text, start, max_bytes)
        yield text[start:stop]
        start = stop


def _unit_stop(text: str, start: int, max_bytes: int) -> int:
    """Where the unit that starts at `start` ends; looks one character further than it may reach."""
    ahead = text[start : start + max_bytes + 1]
    head = ahead.encode()[:max_bytes].decode(errors="ignore")
    for end in iter_sentence_ends(ahead):
        if end <= len(head):
            return start + end
    if head == ahead:
        return start + len(head)
    return start + (head.rfind(" ") + 1 or len(head) or 1)


def iter_sentence_ends(text: str) -> Iterator[int]:
    """Where sentences and lines end that something follows; white space is part of them."""
    for match in _SENTENCE_END.finditer(text):
        is_period = match.group()[0] == "."
        if not (is_period and _ABBREVIATION.search(text, 0, match.start() + 1)):
            yield match.end()


def iter_windows(
    text: str,
    encode: Encode,
    config: SegmentConfig,
    byte_start: int = 0,
    score_borders: ScoreBorders | None = None,
) -> Iterator[Window]:
    """Cut text into windows of whole units, each as full as fits.

    Args:
        text: From the start of a window on.
        encode: Text to tokens; it sees one unit at a time.
        config: How to cut.
        byte_start: Where `text` begins in its source.
        score_borders: Asked of each window by the segmenters `surprise` and `attention`.

    Raises:
        ConfigError: A character takes more tokens than a window holds.
    """
    ids: list[int] = []
    ends: list[int] = []
    unit_lens: list[int] = []
    start = stop = byte_start
    for unit, is_final in _iter_tokens(text, encode, config.window):
        if len(ids) + len(unit) > config.window:
            # The unit that did not fit must be complete, or more text could make it fit.
            spans = _divide(ids, unit_lens, config, score_borders)
            yield _window(ids, ends, Span(start, stop), spans, is_sealed=is_final)
            ids, ends, unit_lens, start = [], [], [], stop
        ids.extend(unit.ids)
        ends.extend(stop + end for end in unit.byte_ends)
        unit_lens.append(len(unit))
        stop += unit.byte_ends[-1]
    if ids:
        spans = _divide(ids, unit_lens, config, score_borders)
        yield _window(ids, ends, Span(start, stop), spans, is_sealed=False)


def _iter_tokens(text: str, encode: Encode, window: int) -> Iterator[tuple[Tokens, bool]]:
    """The tokens of each unit, and whether it is the same whatever follows.

    A unit of more tokens than a window holds is cut in half until it has fewer; what follows such a
    cut is as uncertain as the cut itself.
    """
    start = 0
    is_final = True
    while start < len(text):
        stop = _unit_stop(text, start, window)
        is_final = is_final and stop < len(text)
        tokens = encode(text[start:stop])
        while len(tokens) > window:
            if stop - start == 1:
                raise ConfigError(
                    f"window: expected room for {text[start]!r}, which takes {len(tokens)} tokens, "
                    f"got {window}"
                )
            stop = (start + stop) // 2
            tokens = encode(text[start:stop])
        yield tokens, is_final
        start = stop


def _window(
    ids: list[int], ends: list[int], byte_span: Span, spans: list[Span], *, is_sealed: bool
) -> Window:
    return Window(tuple(ids), tuple(ends), byte_span, tuple(spans), is_sealed)


def _divide(
    ids: list[int], unit_lens: list[int], config: SegmentConfig, score_borders: ScoreBorders | None
) -> list[Span]:
    """The spans of a window; they follow from its own tokens and nothing else."""
    if config.segmenter == "sentence":
        return sentence_spans(unit_lens, config.ratio)
    if config.segmenter == "fixed":
        starts = range(0, len(ids), config.ratio)
        return [Span(start, min(start + config.ratio, len(ids))) for start in starts]
    assert score_borders is not None, f"{config.segmenter} needs a model's scores"
    return peak_spans(score_borders(ids), config.ratio)


def sentence_spans(unit_lens: list[int], ratio: int) -> list[Span]:
    """Join short sentences and divide long ones until spans are about `ratio` tokens long.

    Args:
        unit_lens: Tokens in each sentence.
        ratio: Sentences are joined while the sum stays within `1.5 * ratio`; longer ones are
            divided into equal parts.
    """
    longest = ratio * 3 // 2
    groups: list[int] = []
    for length in unit_lens:
        if groups and groups[-1] + length <= longest and min(groups[-1], length) < ratio // 2:
            groups[-1] += length
        else:
            groups.append(length)
    spans = []
    start = 0
    for length in groups:
        num_parts = -(-length // longest)
        for part in range(num_parts):
            stop = start + (part + 1) * length // num_parts - part * length // num_parts
            spans.append(Span(start, stop))
            start = stop
    return spans


def peak_spans(scores: Sequence[float], ratio: int) -> list[Span]:
    """Begin each span at the token with the best score among those within reach.

    Args:
        scores: For each token of a window, how good a place it is for a span to begin.
        ratio: Spans have from half to one and a half times as many tokens; the only one of a window
            with fewer tokens is shorter.
    """
    shortest, longest = (ratio + 1) // 2, ratio * 3 // 2
    starts = [0]
    while len(scores) - starts[-1] > longest:
        last = min(starts[-1] + longest, len(scores) - shortest)
        starts.append(max(range(starts[-1] + shortest, last + 1), key=scores.__getitem__))
    return [Span(start, stop) for start, stop in pairwise([*starts, len(scores)])]

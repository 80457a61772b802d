"""Segments: text to windows of tokens, and windows to spans.

Every cut depends only on where the one before was and on a bounded look ahead, so that text added
in pieces is cut as it would have been in one. Knows a tokenizer, and what a model says of borders,
as functions; knows neither models nor disks.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from lmos.errors import ConfigError
from lmos.model.tokens import Tokens
from lmos.nodes import Span
from lmos.settings import DEFAULT_WINDOW, SEGMENTERS, require_choice
from lmos.store import Manifest
from lmos.text.normal import see
from lmos.text.plainunits import find_plain_stop
from lmos.text.units import Unit, find_unit, may_join
from lmos.text.units import iter_units as iter_units

_MAX_CHAR_BYTES = 4

Encode = Callable[[str], Tokens]
ScoreBorders = Callable[[Sequence[int]], Sequence[float]]
"""The tokens of a window to how good a place each is for a span to begin; larger is better."""
WindowContent = tuple[tuple[int, ...], tuple[Span, ...]]
"""The tokens of a window and the spans among them; windows with the same have the same nodes."""


class AbstractSegmenter(abc.ABC):
    """Where the units of a text end. Short ones share a span, long ones are divided.

    Attributes:
        name: What the store's manifest calls it; the store is opened with the same one again.
    """

    name: str

    @abc.abstractmethod
    def find_stop(self, text: str, start: int, limit: int) -> int:
        """The end of the unit that begins at a character, at most `limit` characters on.

        It must follow from `text[start : start + limit]` alone, so that text that is added in
        pieces is cut as text that is added at once.

        Args:
            text: From somewhere before the unit to somewhere behind it.
            start: Its first character.
            limit: Its greatest length.

        Returns:
            A place after `start`; the unit is `text[start:stop]`.
        """


@dataclass(frozen=True)
class SegmentConfig:
    """How text is cut.

    Attributes:
        window: A window has at most so many tokens.
        ratio: Tokens in a span: exactly (`fixed`, the last of a window may be shorter) or about
            (at most one and a half times as many, and at least three quarters as many in any two
            neighbours of a window that may be joined).
        segmenter: `unit` keeps sentences, items, rows and turns whole where their length allows,
            what stands under different headings apart, and reads text in its normal form;
            `sentence` keeps what ends like a sentence whole; `fixed` does not look; `surprise` and
            `attention` begin spans where the model says, see `borders`. Or one of your own.
    """

    window: int = DEFAULT_WINDOW
    ratio: int = 16
    segmenter: str | AbstractSegmenter = SEGMENTERS[0]

    def __post_init__(self) -> None:
        if not 2 <= self.ratio <= self.window:
            raise ConfigError(
                f"expected 2 ≤ ratio ≤ window, got ratio {self.ratio} and window {self.window}"
            )
        if isinstance(self.segmenter, str):
            require_choice("segmenter", self.segmenter, *SEGMENTERS)

    @property
    def look_ahead_bytes(self) -> int:
        """Text after a sealed window that its end depends on: a unit, and a character on each side.

        What changes further on leaves the window as it is.
        """
        return self.window + 2 * _MAX_CHAR_BYTES


def name_of(segmenter: str | AbstractSegmenter) -> str:
    """What a manifest calls a segmenter.

    Raises:
        ConfigError: There is none of that name, or one of the user's own has a name of lmos'.
    """
    if isinstance(segmenter, str):
        require_choice("segmenter", segmenter, *SEGMENTERS)
        return segmenter
    if segmenter.name in SEGMENTERS or not segmenter.name.isidentifier():
        raise ConfigError(
            f"segmenter: expected a name of its own, a word in letters, got {segmenter.name!r}"
        )
    return segmenter.name


def segments_of(manifest: Manifest, segmenter: AbstractSegmenter | None) -> SegmentConfig:
    """How the text of a store is cut.

    Args:
        manifest: Of the store.
        segmenter: The user's own, if the store was made with one.

    Raises:
        ConfigError: The store was made with another one.
    """
    window, ratio, name = manifest.windows[0], manifest.ratios[0], manifest.segmenter
    if segmenter is not None and segmenter.name == name:
        return SegmentConfig(window, ratio, segmenter)
    if segmenter is None and name in SEGMENTERS:
        return SegmentConfig(window, ratio, name)
    given = "none" if segmenter is None else repr(segmenter.name)
    raise ConfigError(
        f"segmenter: the store was cut by {name!r}, got {given}; open it in Python with the "
        "segmenter that it was made with: Session.open(path, segmenter=...)"
    )


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
    parts: list[_Part] = []
    start = stop = byte_start
    for part in _iter_parts(text, encode, config):
        if len(ids) + len(part.tokens) > config.window:
            # The unit that did not fit must be complete, or more text could make it fit.
            spans = _divide(ids, parts, config, score_borders)
            yield _window(ids, ends, Span(start, stop), spans, is_sealed=part.is_final)
            ids, ends, parts, start = [], [], [], stop
        ids.extend(part.tokens.ids)
        ends.extend(stop + end for end in part.tokens.byte_ends)
        parts.append(part)
        stop += part.tokens.byte_ends[-1]
    if ids:
        spans = _divide(ids, parts, config, score_borders)
        yield _window(ids, ends, Span(start, stop), spans, is_sealed=False)


@dataclass(frozen=True)
class _Part:
    """A unit, or as much of it as a window holds.

    Attributes:
        text: Its text.
        tokens: Of the text.
        unit: What it is, where the segmenter asks.
        is_final: Whether it is the same whatever follows.
    """

    text: str
    tokens: Tokens
    unit: Unit | None
    is_final: bool

    def may_join(self, following: _Part) -> bool:
        """Whether the next part may share a span with it."""
        if self.unit is None or following.unit is None:
            return True
        return may_join(self.text, self.unit, following.unit)


def _iter_parts(text: str, encode: Encode, config: SegmentConfig) -> Iterator[_Part]:
    """The units of a text; one of more tokens than a window holds is cut in half until it fits.

    What follows such a cut is as uncertain as the cut itself.
    """
    start, window = 0, config.window
    is_final = True
    is_by_units = config.segmenter == "unit"
    read = partial(_encode_seen, encode) if is_by_units else encode
    while start < len(text):
        unit = find_unit(text, start, window) if is_by_units else None
        stop = unit.stop if unit else _find_stop(text, start, config)
        is_final = is_final and stop < len(text)
        tokens = read(text[start:stop])
        while len(tokens) > window:
            if stop - start == 1:
                raise ConfigError(
                    f"window: expected room for {text[start]!r}, which takes {len(tokens)} tokens, "
                    f"got {window}"
                )
            stop = (start + stop) // 2
            tokens = read(text[start:stop])
        yield _Part(text[start:stop], tokens, unit, is_final)
        start = stop


def _find_stop(text: str, start: int, config: SegmentConfig) -> int:
    """The end of a unit for segmenters that look no deeper."""
    if isinstance(config.segmenter, str):
        return find_plain_stop(text, start, config.window)
    stop = config.segmenter.find_stop(text, start, config.window)
    last = min(start + config.window, len(text))
    if not start < stop <= last:
        raise ConfigError(
            f"segmenter {config.segmenter.name}: expected a unit from {start} to end at "
            f"{start + 1} to {last}, got {stop}"
        )
    return stop


def _encode_seen(encode: Encode, text: str) -> Tokens:
    """The tokens of a text as it is seen, with their ends in the text as it is."""
    seen = see(text)
    if not seen.text:
        return encode(text)
    tokens = encode(seen.text)
    return Tokens(tokens.ids, tuple(seen.origins[end] for end in tokens.byte_ends))


def _window(
    ids: list[int], ends: list[int], byte_span: Span, spans: list[Span], *, is_sealed: bool
) -> Window:
    return Window(tuple(ids), tuple(ends), byte_span, tuple(spans), is_sealed)


def _divide(
    ids: list[int], parts: list[_Part], config: SegmentConfig, score_borders: ScoreBorders | None
) -> list[Span]:
    """The spans of a window; they follow from its own tokens and nothing else."""
    if config.segmenter in ("unit", "sentence") or isinstance(config.segmenter, AbstractSegmenter):
        lengths = [len(part.tokens) for part in parts]
        joins = [before.may_join(part) for before, part in pairwise(parts)]
        return sentence_spans(lengths, config.ratio, joins)
    if config.segmenter == "fixed":
        starts = range(0, len(ids), config.ratio)
        return [Span(start, min(start + config.ratio, len(ids))) for start in starts]
    assert score_borders is not None, f"{config.segmenter} needs a model's scores"
    return peak_spans(score_borders(ids), config.ratio)


def sentence_spans(
    unit_lens: Sequence[int], ratio: int, may_join: Sequence[bool] | None = None
) -> list[Span]:
    """Join short units and divide long ones until spans are about `ratio` tokens long.

    Args:
        unit_lens: Tokens in each unit.
        ratio: Units are joined while the sum stays within `1.5 * ratio`; longer ones are divided
            into equal parts.
        may_join: Of each unit but the first, whether it may share a span with the one before;
            `None` if all may.
    """
    longest = ratio * 3 // 2
    groups: list[int] = []
    joins = [False, *(may_join if may_join is not None else [True] * (len(unit_lens) - 1))]
    for length, is_joined in zip(unit_lens, joins, strict=False):
        is_short = bool(groups) and min(groups[-1], length) < ratio // 2
        if is_joined and is_short and groups[-1] + length <= longest:
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

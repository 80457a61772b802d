"""Segments: every cut is a partition, within its bounds, and stays when text is appended."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lmos.errors import ConfigError
from lmos.model.base import BaseModel
from lmos.model.tokens import Tokens
from lmos.nodes import Span
from lmos.settings import SEGMENTERS
from lmos.tree.segments import (
    SegmentConfig,
    Window,
    iter_units,
    iter_windows,
    peak_spans,
    sentence_spans,
)

WORDS = [
    "Dr.",
    "A.",
    "the",
    "fox",
    "3.14",
    "said:",
    '"Yes!"',
    "réunion",
    "世界",
    "。",
    "🌍",
    "…",
    "(b)",
]
GAPS = [
    " ",
    "  ",
    "\n",
    "\n\n",
    ". ",
    "! ",
    '." ',
    "? \n",
    ".\n \t",
    "",
    "。",
    "\u0301\xa0",
    "\r\n",
    "\xad",
]
PROSE = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(GAPS)), max_size=60).map(
    lambda pairs: "".join(word + gap for word, gap in pairs)
)
UNICODE = st.text(st.characters(exclude_categories=["Cs"]), max_size=120)
RUNS = st.lists(
    st.tuples(
        st.sampled_from(["x", "世", "🌍", "\n", " ", ".", "A. ", "\t", '"']), st.integers(1, 70)
    ),
    max_size=5,
).map(lambda runs: "".join(text * count for text, count in runs))
TEXTS = st.one_of(PROSE, UNICODE, RUNS)
CONFIGS = st.builds(
    lambda window, ratio, segmenter: SegmentConfig(window, min(ratio, window), segmenter),
    st.integers(4, 48),
    st.integers(2, 12),
    st.sampled_from(SEGMENTERS),
)


def byte_tokens(text: str) -> Tokens:
    """A token a byte, but runs of letters by twos: more text can change the last token.

    A token inside a character ends where the character does, as tokenizers say it.
    """
    ids: list[int] = []
    ends: list[int] = []
    stop = 0
    index = 0
    while index < len(text):
        taken = text[index : index + 2] if text[index : index + 2].isalpha() else text[index]
        taken = taken if len(taken.encode()) == len(taken) else text[index]
        index += len(taken)
        stop += len(taken.encode())
        for byte in [0] if len(taken) == 2 else taken.encode():
            ids.append(byte)
            ends.append(stop)
    return Tokens(tuple(ids), tuple(ends))


def wordy_tokens(text: str) -> Tokens:
    """More tokens than bytes, as of tokenizers that begin with a mark of their own."""
    tokens = byte_tokens(text)
    return Tokens((999, 999, *tokens.ids), (0, 0, *tokens.byte_ends))


ENCODERS = st.sampled_from([byte_tokens, wordy_tokens])


def scrambled(token_ids: Sequence[int]) -> list[float]:
    """Scores that depend on every token before."""
    return [float(hash(tuple(token_ids[: stop + 1])) % 17) for stop in range(len(token_ids))]


def windows_of(text: str, config: SegmentConfig, encode: object = byte_tokens) -> list[Window]:
    return list(iter_windows(text, encode, config, 0, scrambled))  # type: ignore[arg-type]


# Units


@given(TEXTS, st.integers(1, 40))
@settings(deadline=None, max_examples=200)
def test_units_concatenate_to_the_text(text: str, max_bytes: int) -> None:
    units = list(iter_units(text, max_bytes))
    assert "".join(units) == text
    assert all(units)
    assert all(len(unit.encode()) <= max_bytes or len(unit) == 1 for unit in units)


@given(TEXTS, TEXTS, st.integers(1, 40))
@settings(deadline=None, max_examples=300)
def test_all_units_but_the_last_stay_when_text_is_appended(
    text: str, more: str, max_bytes: int
) -> None:
    *final, _ = [*iter_units(text, max_bytes)] or [""]
    assert list(iter_units(text + more, max_bytes))[: len(final)] == final


@given(TEXTS, st.integers(1, 40), st.integers(0, 20))
@example("x" * 9 + "A. foo", 9, 1)
@example("x" * 8 + ". foo", 9, 1)
@settings(deadline=None, max_examples=300)
def test_cutting_anew_from_any_unit_gives_the_same_units(
    text: str, max_bytes: int, number: int
) -> None:
    units = list(iter_units(text, max_bytes))
    assert list(iter_units("".join(units[number:]), max_bytes)) == units[number:]


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("One. Two! Three? Four", ["One. ", "Two! ", "Three? ", "Four"]),
        ('He said "yes." Then left.', ['He said "yes." ', "Then left."]),
        ("Dr. Who met Mr. A. Smith. Then", ["Dr. Who met Mr. A. Smith. ", "Then"]),
        ("pi is 3.14 now. So", ["pi is 3.14 now. ", "So"]),
        ("a\n\n  b\nc", ["a\n\n  ", "b\n", "c"]),
        ("你好。世界！好", ["你好。", "世界！", "好"]),
        ("wait… what", ["wait… ", "what"]),
        ("\n\n\n", ["\n\n\n"]),
        ("", []),
    ],
)
def test_units_are_sentences(text: str, units: list[str]) -> None:
    assert list(iter_units(text, max_bytes=256)) == units


def test_a_long_sentence_is_cut_at_spaces_and_a_long_word_anywhere() -> None:
    assert list(iter_units("aa bb cc dd", 7)) == ["aa bb ", "cc dd"]
    assert list(iter_units("x" * 10, 4)) == ["xxxx", "xxxx", "xx"]
    assert list(iter_units("🌍🌍🌍", 5)) == ["🌍", "🌍", "🌍"]


def test_cutting_costs_no_more_the_longer_the_text() -> None:
    # Quadratic code takes minutes for these.
    assert sum(map(len, iter_units("A. " * 100_000, 256))) == 300_000
    assert sum(map(len, iter_units("x" * 1_000_000, 256))) == 1_000_000


# Windows


@given(TEXTS, CONFIGS, ENCODERS, st.integers(0, 5))
@settings(deadline=None, max_examples=300)
def test_windows_partition_the_bytes_and_spans_the_window(
    text: str, config: SegmentConfig, encode: object, byte_start: int
) -> None:
    config = SegmentConfig(max(config.window, 6), config.ratio, config.segmenter)
    windows = list(iter_windows(text, encode, config, byte_start, scrambled))  # type: ignore[arg-type]
    stop = byte_start
    for window in windows:
        assert window.byte_span.start == stop
        stop = window.byte_span.stop
        assert 1 <= len(window.token_ids) <= config.window
        assert len(window.byte_ends) == len(window.token_ids)
        ends = (window.byte_span.start, *window.byte_ends)
        assert all(left <= right for left, right in pairwise(ends))
        assert window.byte_ends[-1] == window.byte_span.stop
        assert [0, *(span.stop for span in window.spans)] == [
            *(span.start for span in window.spans),
            len(window.token_ids),
        ]
        byte_spans = [window.byte_span_of(span) for span in window.spans]
        assert byte_spans[0].start == window.byte_span.start
        assert byte_spans[-1].stop == window.byte_span.stop
        assert all(left.stop == right.start for left, right in pairwise(byte_spans))
    assert stop == byte_start + len(text.encode())
    for window in windows:
        assert text.encode()[slice(*shifted(window.byte_span, -byte_start))].decode()


@given(TEXTS, TEXTS, CONFIGS, ENCODERS)
@example(". :A. 0", "", SegmentConfig(6, 2), wordy_tokens)
@settings(deadline=None, max_examples=300)
def test_sealed_windows_stay_when_text_is_appended(
    text: str, more: str, config: SegmentConfig, encode: object
) -> None:
    config = SegmentConfig(max(config.window, 6), config.ratio, config.segmenter)
    before, after = windows_of(text, config, encode), windows_of(text + more, config, encode)
    sealed = [window for window in before if window.is_sealed]
    assert before[: len(sealed)] == sealed
    assert after[: len(sealed)] == sealed


@given(TEXTS, CONFIGS, ENCODERS, st.integers(0, 9))
@settings(deadline=None, max_examples=300)
def test_cutting_anew_after_any_sealed_window_gives_the_same_windows(
    text: str, config: SegmentConfig, encode: object, number: int
) -> None:
    config = SegmentConfig(max(config.window, 6), config.ratio, config.segmenter)
    windows = windows_of(text, config, encode)
    if number < len(windows) and all(window.is_sealed for window in windows[:number]):
        start = windows[number].byte_span.start
        rest = text.encode()[start:].decode()
        cut = iter_windows(rest, encode, config, start, scrambled)  # type: ignore[arg-type]
        assert list(cut) == windows[number:]


@given(TEXTS, TEXTS, CONFIGS, ENCODERS, st.integers(0, 5))
@settings(deadline=None, max_examples=300)
def test_a_sealed_window_looks_ahead_no_further_than_it_says(
    text: str, other: str, config: SegmentConfig, encode: object, number: int
) -> None:
    config = SegmentConfig(max(config.window, 6), config.ratio, config.segmenter)
    sealed = [window for window in windows_of(text, config, encode) if window.is_sealed]
    if not sealed:
        return
    stop = sealed[min(number, len(sealed) - 1)].byte_span.stop
    same = text.encode()[: stop + config.look_ahead_bytes].decode(errors="ignore")
    while len(same.encode()) < stop + config.look_ahead_bytes and same != text:
        same = text[: len(same) + 1]
    kept = [window for window in sealed if window.byte_span.stop <= stop]
    assert windows_of(same + other, config, encode)[: len(kept)] == kept


@given(TEXTS, CONFIGS)
@settings(deadline=None, max_examples=200)
def test_spans_are_about_as_long_as_the_ratio_says(text: str, config: SegmentConfig) -> None:
    for window in windows_of(text, config):
        lens = [span.stop - span.start for span in window.spans]
        if config.segmenter == "fixed":
            assert lens[:-1] == [config.ratio] * (len(lens) - 1)
            assert 1 <= lens[-1] <= config.ratio
        else:
            assert max(lens) <= config.ratio * 3 // 2
        if config.segmenter in ("surprise", "attention"):
            assert all(sum(pair) >= config.ratio * 3 // 4 for pair in pairwise(lens))


@given(
    st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=1, max_size=12),
    st.integers(2, 20),
)
@settings(deadline=None, max_examples=200)
def test_short_units_share_a_span_where_they_may_and_nowhere_else(
    units: list[tuple[int, bool]], ratio: int
) -> None:
    lengths = [length for length, _ in units]
    joins = [may_join for _, may_join in units[1:]]
    spans = sentence_spans(lengths, ratio, joins)
    borders = {sum(lengths[: place + 1]): may_join for place, may_join in enumerate(joins)}
    for before, after in pairwise(spans):
        if borders.get(after.start, True):
            assert after.stop - before.start >= ratio * 3 // 4
    starts = {span.start for span in spans}
    assert {place for place, may_join in borders.items() if not may_join} <= starts


def test_what_stands_under_different_headings_shares_no_span() -> None:
    config = SegmentConfig(window=256, ratio=24)
    text = "One. Two.\n# B\nSix. Ten.\n\n- a\n- b\n\n|a|b|\n|1|2|\nAna: x\nBen: y\n"
    (window,) = windows_of(text, config)
    assert [text.encode()[slice(*window.byte_span_of(span))].decode() for span in window.spans] == [
        "One. Two.\n",
        "# B\nSix. Ten.\n\n",
        "- a\n- b\n\n",
        "|a|b|\n",
        "|1|2|\n",
        "Ana: x\n",
        "Ben: y\n",
    ]


def test_texts_that_look_the_same_have_the_same_tokens_and_bytes_of_their_own() -> None:
    config = SegmentConfig(window=64, ratio=8)
    plain, odd = "Café au lait. So.", "\ufeffCafe\u0301\xa0au\xad lait. So."
    (seen,), (window,) = windows_of(plain, config), windows_of(odd, config)
    assert window.content == seen.content
    assert window.byte_ends[-1] == len(odd.encode())
    ends = [end for end in window.byte_ends if odd.encode()[:end].decode().endswith("\xa0")]
    assert len(ends) == 1
    (raw,) = windows_of(odd, SegmentConfig(64, 8, "sentence"))
    assert raw.token_ids != seen.token_ids


def test_text_in_which_nothing_can_be_seen_has_tokens_all_the_same() -> None:
    (window,) = windows_of("\ufeff\u200b", SegmentConfig(window=64, ratio=8))
    assert window.byte_span == Span(0, 6)


@given(st.lists(st.integers(1, 60), max_size=12), st.integers(2, 20))
@settings(deadline=None, max_examples=200)
def test_spans_do_not_join_parts_of_sentences(unit_lens: list[int], ratio: int) -> None:
    spans = sentence_spans(unit_lens, ratio)
    starts = {sum(unit_lens[:number]) for number in range(len(unit_lens) + 1)}
    assert sum(span.stop - span.start for span in spans) == sum(unit_lens)
    for span in spans:
        inner = starts & set(range(span.start + 1, span.stop))
        assert not inner or {span.start, span.stop} <= starts


@given(st.lists(st.integers(0, 9), min_size=1, max_size=80), st.integers(2, 20))
@settings(deadline=None, max_examples=200)
def test_spans_begin_at_the_best_score_within_reach(scores: list[int], ratio: int) -> None:
    spans = peak_spans(scores, ratio)
    assert [spans[0].start, spans[-1].stop] == [0, len(scores)]
    shortest = min(len(scores), -(-ratio // 2))
    assert all(shortest <= span.stop - span.start <= ratio * 3 // 2 for span in spans)
    for span, following in pairwise(spans):
        reach = range(span.start + shortest, span.start + ratio * 3 // 2 + 1)
        rivals = [scores[start] for start in reach if len(scores) - start >= shortest]
        assert following.start == span.stop
        assert scores[following.start] == max(rivals)


def test_a_full_window_is_sealed_by_the_sentence_that_does_not_fit() -> None:
    config = SegmentConfig(window=8, ratio=4)
    assert [window.is_sealed for window in windows_of("1.2. 3.4. 5.", config)] == [True, False]
    # "3.4." may yet become part of something that fits.
    assert [window.is_sealed for window in windows_of("1.2. 3.4.", config)] == [False, False]


def test_a_character_that_no_window_can_hold_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"room for '🌍', which takes 4 tokens, got 3"):
        windows_of("a 🌍", SegmentConfig(window=3, ratio=2))


@pytest.mark.parametrize("values", [(8, 1, "fixed"), (8, 9, "fixed"), (1, 1, "fixed"), (8, 2, "?")])
def test_a_config_out_of_range_is_refused(values: tuple[int, int, str]) -> None:
    with pytest.raises(ConfigError):
        SegmentConfig(*values)


def test_a_real_tokenizer_is_cut_like_any_other(tiny_llama: BaseModel) -> None:
    config = SegmentConfig(window=32, ratio=8)
    text = "Die Maße sind 3×4 m. Ünïcödé isn't hard… 世界人民大団結万歳！\n\nSo? 🌍🌍 Yes.\n" * 5
    windows = list(iter_windows(text, tiny_llama.encode, config))
    ids = [token_id for window in windows for token_id in window.token_ids]
    assert tiny_llama.decode(ids) == text
    assert len(windows) > 5


def shifted(span: Span, offset: int) -> Span:
    return Span(span.start + offset, span.stop + offset)

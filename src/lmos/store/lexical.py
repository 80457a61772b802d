"""Which leaves share words with a question, and how telling those words are.

Scores are in nats: a leaf has, of each word of the question, what the word tells, the logarithm of
how rare it is (the IDF of BM25). How often it stands in a leaf does not count, leaves are too short
for that. Where it stands in the leaf beside alone, most of it counts: a sentence is longer than a
leaf. And it counts for all leaves of a source that has more of it than others have, or that is
named so: on a page about Egypt, the line "Coastline: 2,450 km" need not name the country. Pure
functions; both stores use them. Knows neither disks nor models.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lmos.nodes import NodeIds
from lmos.store.base import Spans
from lmos.store.words import is_dense, plain, words_of

REACH_BYTES = 64
"""Text before a leaf that `iter_leaf_words` needs."""
_INDEX_BITS = 32
_WORD_BYTES = 48
_SHARE_BESIDE = 0.7
_COMMON = 0.25
"""A word in a larger share of all leaves does not count, if there is another."""
_SATURATION = 1.2
"""As k1 of BM25: a word that a source has once need not be what it is about."""
_WHOLE_NAME = math.log(4)
"""In nats, how telling a word of a source's name must be to count whole."""
_MAX_PLACES = 20_000
"""Of all words of a question together, rare ones first; the rest tells little."""

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class WordPlaces:
    """Where words stand.

    Attributes:
        num_leaves: Of the store.
        size: In how many leaves a source is.
        named: Sources that have a word in their name.
        count: In how many leaves a word is.
        codes: In which, ascending, as `leaf_code` numbers them.
    """

    num_leaves: int
    size: Callable[[int], int]
    named: Callable[[str], Collection[int]]
    count: Callable[[str], int]
    codes: Callable[[str], Codes]


def leaf_code(source_id: int, index: int) -> int:
    """A leaf as one number, in order of source and index; neighbours differ by one."""
    return source_id << _INDEX_BITS | index


def words_of_names(names: Iterable[tuple[int, str]]) -> dict[str, list[int]]:
    """In the names of which sources each word stands, of numbers and names of sources."""
    found: dict[str, list[int]] = defaultdict(list)
    for source_id, name in names:
        for word in _words_of_name(name):
            found[word].append(source_id)
    return dict(found)


@lru_cache(maxsize=1 << 16)
def _words_of_name(name: str) -> frozenset[str]:
    return frozenset(words_of(name))


def iter_leaf_words(text: bytes, start: int, spans: Spans) -> Iterator[list[str]]:
    """The words of leaves one after the other; one that is cut counts where it ends.

    So what a leaf has does not depend on what follows.

    Args:
        text: Of the source, from byte `start` on, which is 0 or `REACH_BYTES` before the first.
        start: Where it begins.
        spans: Of neighbouring leaves.
    """
    for first, last in (spans[:, 2:] - start).tolist():
        first = _char_start(text, first)
        own = text[first:last].decode(errors="ignore")
        before = text[_char_start(text, max(first - _WORD_BYTES, 0)) : first]
        yield words_of(_cut_word(before, own) + own)


def score_leaves(
    question: str, places: WordPlaces, limit: int, source_ids: Collection[int] | None = None
) -> tuple[NodeIds, NDArray[np.float32]]:
    """The leaves that share the most telling words with a question, best first.

    Args:
        question: Any text.
        places: Where words stand.
        limit: At most so many leaves are returned.
        source_ids: Only leaves of these; `None` for all.
    """
    words, postings, weights_W = _postings(question, places)
    codes_U, which_M = np.unique(np.concatenate(postings), return_inverse=True)
    has_WU = np.zeros((len(postings), len(codes_U)), np.float32)
    has_WU[np.repeat(np.arange(len(postings)), list(map(len, postings))), which_M] = 1
    is_next_U = np.diff(codes_U) == 1
    beside_WU = np.zeros_like(has_WU)
    beside_WU[:, 1:] = has_WU[:, :-1] * is_next_U
    beside_WU[:, :-1] = np.maximum(beside_WU[:, :-1], has_WU[:, 1:] * is_next_U)
    told_WU = _told_by_sources(words, postings, weights_W, codes_U, places)
    scores_U = weights_W @ np.maximum(np.maximum(has_WU, _SHARE_BESIDE * beside_WU), told_WU)
    if source_ids is not None:
        is_in_U = np.isin(codes_U >> _INDEX_BITS, list(source_ids))
        codes_U, scores_U = codes_U[is_in_U], scores_U[is_in_U]
    best = np.argsort(-scores_U, kind="stable")[:limit]
    return _leaf_ids(codes_U[best]), scores_U[best]


def _told_by_sources(
    words: list[str],
    postings: list[Codes],
    weights_W: NDArray[np.float32],
    codes_U: Codes,
    places: WordPlaces,
) -> NDArray[np.float32]:
    """Of each word and leaf, how much of the word counts because of the leaf's source: 0 to 1.

    In nats, how much likelier the word is in a leaf of this source than in any: nothing where a
    source has no more of it than its length lets expect, as a novel has of "come". What is in a
    source's name counts whole if sources named so are a quarter of the store or less.
    """
    ids_S, source_U = np.unique(codes_U >> _INDEX_BITS, return_inverse=True)
    counts_WS = np.zeros((len(postings), len(ids_S)), np.float32)
    for counts_S, codes in zip(counts_WS, postings, strict=True):
        counts_S += np.bincount(np.searchsorted(ids_S, codes >> _INDEX_BITS), minlength=len(ids_S))
    sizes_S = np.array([places.size(number) for number in ids_S.tolist()], np.float32)
    totals_W1 = np.maximum(counts_WS.sum(1, keepdims=True), 1)
    expected_WS = totals_W1 * sizes_S / max(places.num_leaves, 1)
    lift_WS = np.log(np.maximum(counts_WS / expected_WS, 1))
    share_WS = np.minimum(lift_WS / np.maximum(weights_W, 1e-6)[:, None], 1)
    told_WS = share_WS * counts_WS / (counts_WS + _SATURATION)
    for told_S, word in zip(told_WS, words, strict=True):
        if named := places.named(word):
            lift = math.log(places.num_leaves / max(sum(map(places.size, named)), 1))
            share = min(max(lift, 0.0) / _WHOLE_NAME, 1.0)
            is_named_S = np.isin(ids_S, list(named))
            told_S[is_named_S] = np.maximum(told_S[is_named_S], share)
    result: NDArray[np.float32] = told_WS.astype(np.float32)[:, source_U]
    return result


def _postings(
    question: str, places: WordPlaces
) -> tuple[list[str], list[Codes], NDArray[np.float32]]:
    """The words that count, their leaves, and what each tells; at least one, maybe empty."""
    counts = {word: places.count(word) for word in dict.fromkeys(words_of(question))}
    known = sorted((count, word) for word, count in counts.items() if count or places.named(word))
    rare = [pair for pair in known if pair[0] <= _COMMON * places.num_leaves] or known
    words, postings, weights = [""], [np.empty(0, np.int64)], [0.0]
    room = _MAX_PLACES
    for count, word in rare:
        if len(postings) > 1 and count > room:
            break
        room -= count
        words.append(word)
        postings.append(places.codes(word))
        weights.append(math.log1p((places.num_leaves - count + 0.5) / (count + 0.5)))
    return words, postings, np.array(weights, np.float32)


def _leaf_ids(codes_N: Codes) -> NodeIds:
    sources_N, indices_N = np.divmod(codes_N, 1 << _INDEX_BITS)
    return NodeIds(np.column_stack([sources_N, np.ones_like(codes_N), indices_N]))


def _char_start(text: bytes, place: int) -> int:
    """Where the character begins that a byte belongs to."""
    for _ in range(3):
        if 0 < place < len(text) and text[place] & 0xC0 == 0x80:
            place -= 1
    return place


def _cut_word(before: bytes, own: str) -> str:
    """What stands in `before` of the word that goes on in `own`; of a dense script a character."""
    if not own or own[0].isspace() or not plain(own[0]).strip():
        return ""
    run = plain(before.decode(errors="ignore")).rpartition(" ")[2]
    dense = [place for place, char in enumerate(run) if is_dense(char)]
    if not dense:
        return run
    return run[dense[-1] :] if dense[-1] == len(run) - 1 else run[dense[-1] + 1 :]

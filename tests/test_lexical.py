"""Leaves by shared words: fast code against slow, words cut by a leaf's end, common words."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmos.nodes import NodeId
from lmos.store.lexical import (
    REACH_BYTES,
    WordPlaces,
    iter_leaf_words,
    leaf_code,
    score_leaves,
    words_of_names,
)


def places_of(
    leaves: dict[tuple[int, int], list[str]], names: dict[int, str] | None = None
) -> WordPlaces:
    """Where words stand, of leaves by source and index, and of sources' names."""
    named = words_of_names((names or {}).items())

    def codes(word: str) -> np.ndarray:
        found = [leaf_code(*place) for place, words in sorted(leaves.items()) if word in words]
        return np.array(found, np.int64)

    sizes = Counter(source_id for source_id, _ in leaves)
    return WordPlaces(
        num_leaves=len(leaves),
        size=sizes.__getitem__,
        named=lambda word: named.get(word, ()),
        count=lambda word: len(codes(word)),
        codes=codes,
    )


def slow_scores(
    question: list[str], leaves: dict[tuple[int, int], list[str]], names: dict[int, str]
) -> dict[tuple[int, int], float]:
    """The score of each leaf that has a word of the question, from the definition."""
    scores = {}
    sources: dict[int, list[list[str]]] = defaultdict(list)
    for (source_id, _), words in leaves.items():
        sources[source_id].append(words)
    for (source_id, index), words in leaves.items():
        if not set(words) & set(question):
            continue
        beside = [leaves.get((source_id, index + step), []) for step in (-1, 1)]
        total = 0.0
        for word in set(question):
            count = sum(word in each for each in leaves.values())
            told = math.log1p((len(leaves) - count + 0.5) / (count + 0.5))
            named = {number for number, name in names.items() if word in name.split()}
            if not count and not named:
                continue
            here = sum(word in each for each in sources[source_id])
            expected = max(count, 1) * len(sources[source_id]) / len(leaves)
            lift = math.log(max(here / expected, 1))
            by_source = min(lift / max(told, 1e-6), 1) * here / (here + 1.2)
            by_name = 0.0
            if source_id in named:
                size = sum(number in named for number, _ in leaves)
                by_name = min(math.log(len(leaves) / size) / math.log(4), 1)
            beside_share = 0.7 * any(word in each for each in beside)
            shares = [word in words, beside_share, by_source, by_name]
            total += told * max(shares)
        scores[source_id, index] = total
    return scores


def test_scores_are_those_of_the_definition() -> None:
    dice = random.Random(1)
    rare = [f"w{number}" for number in range(30)]
    leaves = {
        (source_id, index): dice.sample(rare, 4) for source_id in (1, 2, 5) for index in range(20)
    }
    names = {1: "w1 w2 w99", 2: "w2 w3", 5: "notes"}
    for _ in range(20):
        question = [*dice.sample(rare, 3), "w2", "w99"]
        ids, scores = score_leaves(" ".join(question), places_of(leaves, names), 1000)
        expected = slow_scores(question, leaves, names)
        assert {(each.source_id, each.index) for each in ids} == set(expected)
        for node_id, score in zip(ids, scores.tolist(), strict=True):
            assert node_id.level == 1
            assert score == pytest.approx(expected[node_id.source_id, node_id.index], rel=1e-5)
        assert scores.tolist() == sorted(scores.tolist(), reverse=True)
        some, _ = score_leaves(" ".join(question), places_of(leaves, names), 1000, {2, 5})
        assert some == [node_id for node_id in ids if node_id.source_id != 1]
        best, _ = score_leaves(" ".join(question), places_of(leaves, names), 5)
        assert best == ids[:5]


def test_common_words_count_only_where_there_is_no_other() -> None:
    leaves = {(1, index): ["the"] for index in range(50)} | {(1, 60): ["fox"]}
    assert score_leaves("the fox", places_of(leaves), 9)[0] == [(1, 1, 60)]
    assert len(score_leaves("the", places_of(leaves), 9)[0]) == 9
    assert len(score_leaves("a zebra", places_of(leaves), 9)[0]) == 0
    assert len(score_leaves("fox", places_of({}), 9)[0]) == 0


def test_a_line_of_the_source_that_is_about_a_word_goes_before_those_of_others() -> None:
    fill = [["x"], ["y"], ["z"]]
    pages = {
        1: [["egypt"], *fill, ["coast"], *fill, ["egypt", "nile"]],
        2: [["kenya"], *fill, ["coast"], *fill, ["kenya"], *fill, ["egypt"]],
        3: [["chad"], *fill, ["lake"], *fill, ["chad"]],
    }
    leaves = {
        (source_id, index): words
        for source_id, page in pages.items()
        for index, words in enumerate(page)
    }

    def scores_of(question: str, some: dict[tuple[int, int], list[str]]) -> dict[NodeId, float]:
        ids, scores = score_leaves(question, places_of(some), 99)
        return dict(zip(ids, scores.tolist(), strict=True))

    egypt, kenya = NodeId(1, 1, 4), NodeId(2, 1, 4)
    coasts = scores_of("coast", leaves)
    assert coasts[egypt] == coasts[kenya]
    of_egypt, of_kenya = (scores_of(f"coast {name}", leaves) for name in ("egypt", "kenya"))
    assert of_egypt[egypt] > of_egypt[kenya] == coasts[kenya]
    assert of_kenya[kenya] > of_kenya[egypt] == coasts[egypt]
    words = {index: ["come"] if index % 6 == 0 else ["x"] for index in range(60)} | {9: ["coast"]}
    mixed = leaves | {(4, index): each for index, each in words.items()}
    long = NodeId(4, 1, 9)
    gain = scores_of("come coast", mixed)[long] - scores_of("coast", mixed)[long]
    assert 0 <= gain < 0.5, "a long text is not about a word that is often in long texts"
    alone = {place: words for place, words in leaves.items() if place[0] == 1}
    assert scores_of("coast egypt", alone)[egypt] == scores_of("coast", alone)[egypt]


def test_leaves_of_two_sources_are_not_neighbours() -> None:
    leaves = {(1, 0): ["fox"], (2, 0): ["den"], (2, 1): ["hen"]}
    (_, alone), (_, together) = (
        score_leaves(words, places_of(leaves | {(3, 9): ["x"]}), 9) for words in ("den", "fox den")
    )
    assert together.max() == pytest.approx(alone.max())


def test_a_word_that_is_cut_counts_where_it_ends() -> None:
    text = b"The watchtower stands"
    spans = np.array([[0, 0, 0, 9], [0, 0, 9, 16], [0, 0, 16, 21]])
    words = list(iter_leaf_words(text, 0, spans))
    assert words == [["the", "watch"], ["watcht", "s"], ["stand"]]


def test_neighbours_across_a_cut_are_a_pair_where_words_have_no_spaces() -> None:
    text = "東京は寒い".encode()
    spans = np.array([[0, 0, 0, 4], [0, 0, 4, 15]])
    first, second = iter_leaf_words(text, 0, spans)
    assert first == ["東"]
    assert {"東京", "京は", "寒い"} <= set(second)


@given(st.lists(st.text(max_size=9), min_size=1, max_size=9), st.integers(0, 8))
def test_words_of_leaves_do_not_depend_on_how_much_text_is_read(
    parts: list[str], first: int
) -> None:
    """Nor on what follows."""
    text = "".join(parts).encode() * 8
    ends = sorted({*range(0, len(text), 11), len(text)})
    spans = np.array([(0, 0, *pair) for pair in pairwise(ends)])
    spans = spans.reshape(-1, 4).astype(np.int64)
    whole = list(iter_leaf_words(text, 0, spans))
    if first < len(spans):
        start = max(int(spans[first, 2]) - REACH_BYTES, 0)
        assert list(iter_leaf_words(text[start:], start, spans[first:])) == whole[first:]
        shorter = text[: int(spans[first, 3])]
        assert list(iter_leaf_words(shorter, 0, spans[: first + 1])) == whole[: first + 1]

"""Citations and excerpts: whole sentences of a source, exact to the byte."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from building import filled_store, prose
from lmos.model.base import BaseModel
from lmos.nodes import Hit, NodeId, Span
from lmos.reading.citations import Citation, cite, read_passages
from lmos.store import AbstractStore
from lmos.text.normal import readable
from lmos.tree.excerpts import Excerpt, read_excerpt

TEXT = "It rained. The plumber came, déjà vu, to mend\nthe tap. Nobody paid!\nSunday"


def excerpt_of(text: str) -> Excerpt:
    return Excerpt(0, text.encode(), is_head=True, is_tail=True)


def span_of(part: str, text: str = TEXT) -> Span:
    start = text.encode().index(part.encode())
    return Span(start, start + len(part.encode()))


@pytest.mark.parametrize(
    ("part", "words", "sentences"),
    [
        ("lumb", "plumber", "The plumber came, déjà vu, to mend\nthe tap."),
        ("rained. The pl", "rained. The plumber", TEXT[: TEXT.index(" Nobody")]),
        ("jà", "déjà", "The plumber came, déjà vu, to mend\nthe tap."),
        ("tap. ", "tap. ", "The plumber came, déjà vu, to mend\nthe tap."),
        ("Nobody paid!\n", "Nobody paid!\n", "Nobody paid!"),
        ("nday", "Sunday", "Sunday"),
        ("It rained. ", "It rained. ", "It rained."),
    ],
)
def test_a_stretch_is_widened_to_words_and_to_sentences(
    part: str, words: str, sentences: str
) -> None:
    excerpt = excerpt_of(TEXT)
    assert excerpt.decode(excerpt.words_around(span_of(part))) == words
    assert excerpt.decode(excerpt.sentences_around(span_of(part))) == sentences


CHAT = "[09:15] Tom: hi\n[09:20] Maya: who feeds the cat?\n[09:21] Tom: Ines does. At 7.\nBye\n"


@pytest.mark.parametrize(
    ("text", "part", "exchange"),
    [
        (CHAT, "feeds", "[09:20] Maya: who feeds the cat?\n[09:21] Tom: Ines does. At 7."),
        (CHAT, "hi", "[09:15] Tom: hi"),
        (CHAT, "Ines", "[09:21] Tom: Ines does. At 7."),
        ("Ana: Wo ist er？\nBen: Da, Ö.", "Wo", "Ana: Wo ist er？\nBen: Da, Ö."),
        ("Ana: Where?\n\nIt rained.", "Where", "Ana: Where?"),
        ("Ana: Where?", "Where", "Ana: Where?"),
        ("Who knows? Ben does.", "Who", "Who knows?"),
    ],
)
def test_what_is_asked_in_a_talk_is_read_with_the_reply(
    text: str, part: str, exchange: str
) -> None:
    excerpt = excerpt_of(text)
    assert excerpt.decode(excerpt.exchange_around(span_of(part, text))) == exchange


def test_what_does_not_end_in_the_excerpt_is_cut_at_words_or_left() -> None:
    inner = Excerpt(100, b"ng sentence with no end in si", is_head=False, is_tail=False)
    assert inner.sentences_around(Span(110, 114)) == Span(103, 116)
    word = Excerpt(100, b"xxxxxxxx", is_head=False, is_tail=False)
    assert word.words_around(Span(102, 104)) == Span(102, 104)
    assert word.sentences_around(Span(102, 104)) == Span(102, 104)


@given(st.text("aB.é世🌍 \n", max_size=40), st.data())
@settings(deadline=None, max_examples=300)
def test_widened_spans_hold_the_stretch_and_whole_characters(
    text: str, data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, len(text)))
    last = data.draw(st.integers(first, len(text)))
    span = Span(len(text[:first].encode()), len(text[:last].encode()))
    excerpt = excerpt_of(text)
    words, sentences = excerpt.words_around(span), excerpt.sentences_around(span)
    assert words.start <= span.start <= span.stop <= words.stop
    stretch = text[first:last].strip()
    for wider in (words, sentences):
        assert stretch in text.encode()[slice(*wider)].decode()
    assert not stretch or len(text.encode()[slice(*words)].split()) == len(stretch.split())


# Citations


@pytest.fixture(scope="module")
def store(tiny_llama: BaseModel) -> AbstractStore:
    return filled_store(tiny_llama, a=TEXT + "\n" + prose(200), b=prose(300, seed=1))


def hit(store: AbstractStore, node_id: NodeId, *, is_text: bool = True, score: float = 0.0) -> Hit:
    """A node opened with its neighbours, two on each side."""
    (node,) = store.nodes([node_id])
    source = store.source_by_id(node_id.source_id)
    span = node.byte_span
    if is_text:
        count = source.level_counts[0]
        near = [max(0, node_id.index - 2), min(count - 1, node_id.index + 2)]
        ends = store.nodes([node_id._replace(index=index) for index in near])
        span = Span(ends[0].byte_span.start, ends[1].byte_span.stop)
    return Hit(source, node, span, is_text, score=score, weight=0.25)


def test_citations_are_whole_sentences_and_exact_bytes_of_their_source(
    store: AbstractStore,
) -> None:
    num_inside = 0
    for level in (1, 2, 3):
        for node_id in store.level_ids(level):
            found = hit(store, node_id, is_text=level == 1)
            (citation,) = cite(read_passages(store, [found]))
            raw = store.text(node_id.source_id)
            assert raw[citation.start_byte : citation.end_byte].decode() == citation.text
            span, place = found.node.byte_span, Span(citation.start_byte, citation.end_byte)
            assert raw[slice(*span)].decode().strip() in citation.text
            assert citation.text == citation.text.strip() or not citation.text.strip()
            for before, after in ((place.start - 1, place.start), (place.stop - 1, place.stop)):
                pair = raw[max(before, 0) : after + 1].decode(errors="ignore")
                assert not (len(pair) == 2 and pair.isalnum()), citation.text
            num_inside += place.start < span.start or place.stop > span.stop
    assert num_inside > 20


def test_an_answer_beside_the_hit_is_cited_with_it(store: AbstractStore) -> None:
    leaves = [node_id for node_id in store.level_ids(1) if node_id.source_id == 1]
    passages = read_passages(store, [hit(store, node_id) for node_id in leaves])
    passage = next(
        passage
        for passage in passages
        if "Sunday" in passage.read_text and "Sunday" not in passage.cite("").text
    )
    assert "Sunday" in passage.cite("sunday").text
    assert passage.cite("sunday").has_answer
    assert not passage.cite("").has_answer
    assert not passage.cite("Monday").has_answer


def test_hits_of_the_same_sentences_are_cited_once_best_first(store: AbstractStore) -> None:
    leaves = [node_id for node_id in store.level_ids(1) if node_id.source_id == 1]
    places: dict[tuple[int, int], list[int]] = {}
    for index, node_id in enumerate(leaves):
        (citation,) = cite(read_passages(store, [hit(store, node_id, is_text=False)]))
        places.setdefault((citation.start_byte, citation.end_byte), []).append(index)
    twins = next(indices for indices in places.values() if len(indices) > 1)[:2]
    other = next(indices[0] for indices in places.values() if len(indices) == 1)
    hits = [
        hit(store, leaves[twins[0]], is_text=False, score=1.0),
        hit(store, leaves[twins[1]], is_text=True, score=3.0),
        hit(store, leaves[other], is_text=False, score=2.0),
    ]
    best, second = cite(read_passages(store, hits))
    assert (best.score, best.weight, best.level) == (3.0, 0.5, 0)
    assert (second.score, second.weight, second.level) == (2.0, 0.25, 1)


@given(st.integers(0, 200), st.integers(0, 40), st.integers(0, 30))
@settings(deadline=None)
def test_an_excerpt_reaches_as_far_as_it_says(
    store: AbstractStore, start: int, length: int, reach: int
) -> None:
    source = store.source_by_id(2)
    raw = store.text(2)
    span = Span(start, min(start + length, len(raw)))
    while span.start and raw[span.start] & 0xC0 == 0x80:
        span = Span(span.start - 1, span.stop)
    while span.stop < len(raw) and raw[span.stop] & 0xC0 == 0x80:
        span = Span(span.start, span.stop + 1)
    excerpt = read_excerpt(store, source, span, reach)
    stop = excerpt.start + len(excerpt.text)
    assert excerpt.text == raw[excerpt.start : stop]
    assert span.start - reach <= excerpt.start <= span.start
    assert span.stop <= stop <= span.stop + reach
    assert excerpt.is_head == (excerpt.start == 0)
    assert excerpt.is_tail == (stop == len(raw))
    assert excerpt.decode(span) == raw[slice(*span)].decode()


@pytest.fixture(scope="module")
def notes(tiny_llama: BaseModel) -> AbstractStore:
    diary = (
        "\ufeff# Diary\n\nIt rained.\n\n## 15 February\n\nI met Ana in the cafe\u0301. We ate.\n"
    )
    table = "name,age,city\nAna,3,Oslo\nBen,4,Rome\n"
    return filled_store(tiny_llama, diary=diary, table=table)


def cited(store: AbstractStore, name: str, part: str, answer: str = "") -> list[Citation]:
    """Of all nodes of a source, the citations with some text."""
    source = store.find_source(name)
    assert source is not None
    leaves = [node_id for node_id in store.level_ids(1) if node_id.source_id == source.source_id]
    hits = [hit(store, node_id, is_text=False) for node_id in leaves]
    return [found for found in cite(read_passages(store, hits), answer) if part in found.text]


def test_a_citation_says_what_it_stands_under(notes: AbstractStore) -> None:
    assert {found.headings for found in cited(notes, "diary", "rained")} == {("Diary",)}
    assert {found.headings for found in cited(notes, "diary", "ate")} == {("Diary", "15 February")}
    for row in ("Ana,3", "Ben,4"):
        assert {found.columns for found in cited(notes, "table", row)} == {"name | age | city"}
    assert {found.columns for found in cited(notes, "table", "name")} == {None}


def test_an_answer_in_a_heading_is_in_what_stands_under_it(notes: AbstractStore) -> None:
    assert all(found.has_answer for found in cited(notes, "diary", "ate", "15 february"))
    assert not any(found.has_answer for found in cited(notes, "diary", "rained", "15 february"))


def test_an_answer_is_found_however_its_letters_are_written(notes: AbstractStore) -> None:
    for answer in ("caf\u00e9", "cafe\u0301"):
        assert any(found.has_answer for found in cited(notes, "diary", "caf", answer))


def test_a_byte_order_mark_is_not_cited(notes: AbstractStore) -> None:
    (first,) = {(found.start_byte, found.text[:2]) for found in cited(notes, "diary", "# Diary")}
    assert first == (3, "# ")


def test_what_was_read_is_told_as_it_is_seen(notes: AbstractStore) -> None:
    hits = [hit(notes, node_id) for node_id in notes.level_ids(1)]
    texts = [passage.read_text for passage in read_passages(notes, hits)]
    assert any("café" in text for text in texts)
    assert all(readable(text) == text for text in texts)

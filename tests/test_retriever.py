"""The retriever: what a walk visits, what it returns, and that it leaves no trace."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from building import children_of, filled_store, prose, put, small_manifest
from lmos.errors import ConfigError, QueryError
from lmos.model.base import BaseModel
from lmos.nodes import Hit, NodeId
from lmos.paper import JointScorer
from lmos.search.passages import passage_of
from lmos.search.retriever import Retrieval, RetrievalConfig, Retriever
from lmos.search.scorers import CachedScorer
from lmos.store import AbstractStore
from lmos.store.memory import MemoryStore
from lmos.store.sqlite import SQLiteStore
from lmos.store.whole import copy_source
from lmos.tree.builder import SourceText, TreeBuilder
from lmos.tree.keys import query_vectors
from trees import observe

ASKED = [17, 40, 41, 99]
ALL = 10_000
TEXTS = {"a": prose(150), "b": prose(80, seed=1), "c": prose(3, seed=2)}
SCORERS = {"cached": CachedScorer, "joint": JointScorer}
SCORER = pytest.mark.parametrize("scorer", list(SCORERS))


@pytest.fixture(scope="module")
def store(tiny_llama: BaseModel) -> MemoryStore:
    return filled_store(tiny_llama, **TEXTS)


def retrieve(model: BaseModel, store: AbstractStore, **options: Any) -> Retrieval:
    scorer = SCORERS[options.pop("scorer", "cached")](model)
    config = RetrievalConfig(**{"max_texts": 1, "text_mass": 1.0, "max_embeddings": 4} | options)
    return Retriever(model, config, scorer=scorer).retrieve(store, ASKED)


def ids_of(retrieval: Retrieval) -> set[NodeId]:
    return {hit.node.id for hit in retrieval.hits}


# The walk


@SCORER
def test_a_walk_that_drops_nothing_keeps_the_leaves_of_a_flat_scan(
    tiny_llama: BaseModel, store: AbstractStore, scorer: str
) -> None:
    tree, flat = (
        retrieve(tiny_llama, store, strategy=strategy, scorer=scorer, beam=ALL, level=1, budget=ALL)
        for strategy in ("tree", "flat")
    )
    assert ids_of(tree) == ids_of(flat) == set(store.level_ids(1))
    if scorer == "cached":
        best = [sorted(found.hits, key=lambda hit: -hit.score)[0].node.id for found in (tree, flat)]
        assert best[0] == best[1]


@SCORER
@pytest.mark.parametrize(("top_c", "beam"), [(1, 0), (2, 3), (1, 8), (1, ALL)])
def test_candidates_are_the_roots_and_the_children_of_the_kept(
    tiny_llama: BaseModel, store: AbstractStore, scorer: str, top_c: int, beam: int
) -> None:
    retrieval = retrieve(tiny_llama, store, scorer=scorer, top_c=top_c, beam=beam)
    above: list[NodeId] = []
    assert [trace.level for trace in retrieval.walk] == [3, 2, 1]
    for trace in retrieval.walk:
        roots = {node_id for node_id in store.root_ids() if node_id.level == trace.level}
        candidates = roots | {child for node_id in above for child in children_of(store, node_id)}
        above = [node_id for node_id, _ in trace.kept]
        assert trace.num_candidates == len(candidates)
        assert set(above) <= candidates
        assert min(beam, len(candidates)) <= len(above) <= max(2 * top_c, beam)
        scores = [score for _, score in trace.kept]
        assert scores == sorted(scores, reverse=True)


def test_of_the_wanted_level_fewer_are_kept_than_of_those_above(
    tiny_llama: BaseModel, store: AbstractStore
) -> None:
    for target, strategy in ((1, "tree"), (2, "tree"), (1, "flat")):
        options = {"top_c": 1, "beam": 9, "level": target, "strategy": strategy}
        some = retrieve(tiny_llama, store, **options, max_found=4).walk
        more = retrieve(tiny_llama, store, **options).walk
        assert len(more) == len(some) > 0
        for few, many in zip(some, more, strict=True):
            if few.level > target:
                assert few == many
            else:
                assert len(many.kept) >= 9 > len(few.kept) >= 4
                assert set(few.kept) < set(many.kept)


@SCORER
def test_kept_nodes_are_the_best_of_their_candidates(
    tiny_llama: BaseModel, store: AbstractStore, scorer: str
) -> None:
    everything = retrieve(tiny_llama, store, scorer=scorer, strategy="flat", beam=ALL, level=2)
    best = [kept for kept, _ in everything.walk[0].kept]
    some = retrieve(tiny_llama, store, scorer=scorer, strategy="flat", top_c=1, beam=5, level=2)
    kept = [kept for kept, _ in some.walk[0].kept]
    assert kept[0] == best[0]
    # The other retrieval token's own choice may be anywhere.
    assert len(set(kept) - set(best[:5])) <= 1


def test_the_newest_text_is_found_at_once(tiny_llama: BaseModel) -> None:
    store = filled_store(tiny_llama, a=TEXTS["a"])
    newest = put(store, tiny_llama, "new", "Just now. ")
    assert newest.level_counts[1:] == (0, 0)
    leaves = {node_id for node_id in store.level_ids(1) if node_id.source_id == newest.source_id}
    for strategy in ("tree", "flat"):
        found = retrieve(tiny_llama, store, strategy=strategy, beam=ALL, level=1, budget=ALL)
        assert leaves
        assert leaves <= ids_of(found)


def test_a_path_starts_at_a_root_and_goes_from_parent_to_child(
    tiny_llama: BaseModel, store: AbstractStore
) -> None:
    retrieval = retrieve(tiny_llama, store, beam=12, budget=ALL)
    scores = {node_id: score for trace in retrieval.walk for node_id, score in trace.kept}
    assert {len(hit.path) for hit in retrieval.hits} >= {3}
    for hit in retrieval.hits:
        ids = [NodeId(hit.source.source_id, step.level, step.index) for step in hit.path]
        assert ids[0] in store.root_ids()
        assert ids[-1] == hit.node.id
        assert all(child in children_of(store, parent) for parent, child in pairwise(ids))
        assert [step.score for step in hit.path] == [scores[node_id] for node_id in ids]
        assert hit.score == hit.path[-1].score
    flat = retrieve(tiny_llama, store, strategy="flat")
    assert all(len(hit.path) == 1 and hit.path[0].score == hit.score for hit in flat.hits)


# Planted


def plant(model: BaseModel, store: MemoryStore, leaf: NodeId) -> set[NodeId]:
    """Make a leaf and its ancestors what `ASKED` looks for; returns them."""
    with torch.no_grad():
        wanted_K = query_vectors(model, [ASKED], model.scoring_layer)[0, 0]
        text = SourceText("a", TEXTS["a"].encode())
        (patch,) = TreeBuilder(model, store.manifest).build(store, [text])
    planted, index, levels = {leaf}, leaf.index, []
    for level, part in enumerate(patch.levels, 1):
        if level > 1:
            above = [n for n, children in enumerate(part.children) if index in range(*children)]
            index = above[0]
            planted.add(NodeId(leaf.source_id, level, index))
        part.keys[index] = wanted_K * 100
        levels.append(part)
    store.put_source("a", replace(patch, levels=tuple(levels)))
    return planted


@pytest.mark.parametrize("index", [0, 7, 20])
@pytest.mark.parametrize("strategy", ["tree", "flat"])
def test_a_planted_key_is_found_first(tiny_llama: BaseModel, strategy: str, index: int) -> None:
    store = MemoryStore(small_manifest(tiny_llama))
    planted = plant(tiny_llama, store, NodeId(1, 1, index))
    put(store, tiny_llama, "b", TEXTS["b"])
    retrieval = retrieve(tiny_llama, store, strategy=strategy, top_c=1, beam=1)
    best = max(retrieval.hits, key=lambda hit: hit.score)
    assert best.node.id == NodeId(1, 1, index)
    assert best.is_text
    assert best.weight > 0.99
    if strategy == "tree":
        path = {NodeId(1, step.level, step.index) for step in best.path}
        assert path == planted
        assert all(trace.kept[0][0] in planted for trace in retrieval.walk)


def test_what_led_to_a_question_is_searched_with_as_well(tiny_llama: BaseModel) -> None:
    store = MemoryStore(small_manifest(tiny_llama))
    put(store, tiny_llama, "a", TEXTS["a"])
    config = RetrievalConfig(strategy="flat", top_c=1, beam=0)
    lead = [*tiny_llama.encode("Who keeps the mill?").ids, *ASKED]
    retriever = Retriever(tiny_llama, config)
    alone, led, both = (
        {node_id for node_id, _ in found.walk[-1].kept}
        for found in (
            retriever.retrieve(store, ASKED),
            retriever.retrieve(store, lead),
            retriever.retrieve(store, ASKED, lead),
        )
    )
    assert alone | led == both


# What comes back


@pytest.mark.parametrize("margin", [0, 1])
def test_texts_begin_and_end_with_whole_words(
    tiny_llama: BaseModel, store: AbstractStore, margin: int
) -> None:
    config = {"margin": margin, "max_texts": ALL, "budget": ALL, "beam": ALL}
    num_widened = 0
    for hit in retrieve(tiny_llama, store, **config).hits:
        assert hit.is_text
        raw, node = store.text(hit.source.source_id), hit.node.byte_span
        for place in hit.byte_span:
            if 0 < place < len(raw):
                assert raw[place - 1 : place].isspace() or raw[place : place + 1].isspace()
        num_widened += hit.byte_span.start < node.start or hit.byte_span.stop > node.stop
    assert num_widened > 5


def num_positions(model: BaseModel, store: AbstractStore, hits: Sequence[Hit]) -> int:
    """What the hits take: one for each embedding, and what the reader is given of each text."""
    texts = [passage_of(store, hit.source, hit.byte_span) for hit in hits if hit.is_text]
    tokens = sum(map(len, model.format.passage_ids(texts))) if texts else 0
    return tokens + len(hits) - len(texts)


@SCORER
@pytest.mark.parametrize("budget", [1, 5, 30, 100, 1000])
def test_the_budget_is_kept(
    tiny_llama: BaseModel, store: AbstractStore, scorer: str, budget: int
) -> None:
    kinds = set()
    for margin in (0, 1, 2):
        hits = retrieve(
            tiny_llama, store, scorer=scorer, budget=budget, margin=margin, beam=60
        ).hits
        kinds |= {hit.is_text for hit in hits}
        assert 1 <= num_positions(tiny_llama, store, hits) <= budget
    assert True in kinds or budget <= 5
    assert budget > 1 or kinds == {False}


def test_what_the_budget_allows_is_returned(tiny_llama: BaseModel, store: AbstractStore) -> None:
    found = retrieve(tiny_llama, store, beam=40, budget=7, level=1)
    assert len(found.hits) == 7
    best = sorted((score for _, score in found.walk[-1].kept), reverse=True)[:7]
    assert sorted((hit.score for hit in found.hits), reverse=True) == best


@pytest.mark.parametrize("max_texts", [0, 1, 3])
def test_no_more_texts_than_wanted_and_they_are_the_best(
    tiny_llama: BaseModel, store: AbstractStore, max_texts: int
) -> None:
    hits = retrieve(tiny_llama, store, max_texts=max_texts, budget=ALL).hits
    ranked = sorted(hits, key=lambda hit: -hit.score)
    assert [hit.is_text for hit in ranked] == [True] * max_texts + [False] * (len(hits) - max_texts)
    assert len(hits) > max_texts


@pytest.mark.parametrize("mass", [1e-6, 0.3, 0.8])
def test_texts_are_opened_until_their_weights_reach_the_mass(
    tiny_llama: BaseModel, store: AbstractStore, mass: float
) -> None:
    options = {"max_texts": ALL, "max_embeddings": ALL, "budget": ALL, "margin": 0}
    hits = retrieve(tiny_llama, store, text_mass=mass, **options).hits
    ranked = sorted(hits, key=lambda hit: (-hit.score, hit.node.id))
    texts = [hit for hit in ranked if hit.is_text]
    assert texts == ranked[: len(texts)]
    assert sum(hit.weight for hit in texts) >= mass - 1e-6
    assert sum(hit.weight for hit in texts[:-1]) < mass
    assert len(texts) < len(hits)


def test_a_mass_of_one_opens_the_others_however_far_the_best_leads(
    tiny_llama: BaseModel, store: AbstractStore
) -> None:
    config = RetrievalConfig(max_texts=3, max_embeddings=0, text_mass=1.0, budget=ALL, margin=0)
    ranked = zip(store.level_ids(1), (90.0, 9.0, 8.0, 7.0), strict=False)
    hits = Retriever(tiny_llama, config).open(store, ranked)
    assert sorted(hit.score for hit in hits) == [8.0, 9.0, 90.0]


@SCORER
@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_hits_come_in_time_order_and_their_weights_sum_to_one(
    tiny_llama: BaseModel, scorer: str, level: int
) -> None:
    store = MemoryStore(small_manifest(tiny_llama))
    for name, time in (("c", 5.0), ("b", 1.0), ("a", 3.0), ("d", 1.0)):
        put(store, tiny_llama, name, TEXTS.get(name, prose(50, seed=9)), time)
    options = {"scorer": scorer, "level": level, "beam": 80, "budget": ALL}
    hits = retrieve(tiny_llama, store, **options, max_embeddings=ALL).hits
    places = [(hit.source.time, hit.source.source_id, hit.byte_span.start) for hit in hits]
    assert places == sorted(places)
    assert len({hit.source.name for hit in hits}) >= 3
    assert sum(hit.weight for hit in hits) == pytest.approx(1)
    ranked = sorted(hits, key=lambda hit: hit.score)
    assert all(left.weight <= right.weight for left, right in pairwise(ranked))


@pytest.mark.parametrize("margin", [0, 1, 3])
@pytest.mark.parametrize("max_texts", [3, 100])
def test_texts_do_not_overlap_and_cover_their_nodes(
    tiny_llama: BaseModel, store: AbstractStore, margin: int, max_texts: int
) -> None:
    config = {"margin": margin, "max_texts": max_texts, "budget": ALL, "beam": 40}
    hits = [hit for hit in retrieve(tiny_llama, store, **config).hits if hit.is_text]
    for source in store.sources():
        spans = [hit.byte_span for hit in hits if hit.source == source]
        assert all(left.stop <= right.start for left, right in pairwise(spans))
        covered = {byte for span in spans for byte in range(*span)}
        own = set()
        for hit in hits:
            if hit.source == source:
                text = store.text(source.source_id, hit.node.byte_span)
                start = hit.node.byte_span.start + len(text) - len(text.lstrip())
                own |= set(range(start, start + len(text.strip())))
        assert own <= covered


GATES = "iron oak copper marble old narrow river mountain silver hidden eastern last".split()


def test_an_opened_node_is_read_as_whole_sentences(tiny_llama: BaseModel) -> None:
    store = MemoryStore(small_manifest(tiny_llama))
    sentences = [f"The {word} keeper of gate {i} sleeps." for i, word in enumerate(GATES)]
    put(store, tiny_llama, "gates", " ".join(sentences))
    hits = retrieve(tiny_llama, store, margin=12, max_texts=4, max_embeddings=0, budget=ALL).hits
    assert len(hits) == 4
    for hit in hits:
        text = store.text(hit.source.source_id, hit.byte_span).decode()
        assert all(part.strip(" .") + "." in sentences for part in text.split(". "))


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("strategy", ["tree", "flat"])
def test_above_the_text_embeddings_come_back(
    tiny_llama: BaseModel, store: AbstractStore, level: int, strategy: str
) -> None:
    hits = retrieve(tiny_llama, store, level=level, strategy=strategy, budget=ALL, beam=ALL).hits
    assert not any(hit.is_text for hit in hits)
    assert all(hit.byte_span == hit.node.byte_span for hit in hits)
    expected = set(store.level_ids(level))
    if strategy == "tree":
        # Text too new for that level is found where its roots are.
        expected |= {node_id for node_id in store.root_ids() if node_id.level < level}
    assert {hit.node.id for hit in hits} == expected


@pytest.mark.parametrize("strategy", ["tree", "flat"])
@pytest.mark.parametrize("level", [0, 2])
def test_an_empty_store_has_no_hits(tiny_llama: BaseModel, strategy: str, level: int) -> None:
    store = MemoryStore(small_manifest(tiny_llama))
    assert retrieve(tiny_llama, store, strategy=strategy, level=level) == Retrieval(())


def test_a_question_without_words_is_refused(tiny_llama: BaseModel, store: AbstractStore) -> None:
    with pytest.raises(QueryError):
        Retriever(tiny_llama, RetrievalConfig()).retrieve(store, [])


# Without a trace


def stores_of(tmp_path: Path, model: BaseModel, store: AbstractStore) -> Sequence[AbstractStore]:
    """A store in memory, and one on disk that may not be written to."""
    with SQLiteStore.create(tmp_path / "disk", small_manifest(model)) as disk:
        for second, (name, text) in enumerate(TEXTS.items()):
            put(disk, model, name, text, float(second))
    return store, SQLiteStore.open(tmp_path / "disk", read_only=True)


@SCORER
@pytest.mark.parametrize("strategy", ["tree", "flat", "hybrid"])
def test_retrieval_never_writes(
    tiny_llama: BaseModel, store: AbstractStore, tmp_path: Path, scorer: str, strategy: str
) -> None:
    for any_store in stores_of(tmp_path, tiny_llama, store):
        with any_store:
            before, version = observe(any_store), any_store.version
            files = {path.name: digest(path) for path in tmp_path.iterdir()}
            first = retrieve(tiny_llama, any_store, scorer=scorer, strategy=strategy)
            assert retrieve(tiny_llama, any_store, scorer=scorer, strategy=strategy) == first
            assert observe(any_store) == before
            assert any_store.version == version
            assert {path.name: digest(path) for path in tmp_path.iterdir()} == files


class Interrupted(SQLiteStore):
    """A store to which something happens each time that keys are read."""

    def keys(self, ids: Sequence[NodeId]) -> torch.Tensor:
        self.happens()
        return super().keys(ids)

    def happens(self) -> None:
        """Replaced by the test."""


@pytest.mark.parametrize("strategy", ["tree", "flat", "hybrid"])
def test_a_walk_sees_one_commit_whatever_is_written_meanwhile(
    tiny_llama: BaseModel, tmp_path: Path, strategy: str
) -> None:
    with SQLiteStore.create(tmp_path / "disk", small_manifest(tiny_llama)) as writer:
        put(writer, tiny_llama, "a", TEXTS["a"], 1.0)
        put(writer, tiny_llama, "b", TEXTS["b"], 2.0)
        before = retrieve(tiny_llama, writer, strategy=strategy)
        with Interrupted.open(tmp_path / "disk", read_only=True) as reader:
            assert isinstance(reader, Interrupted)

            def forget_and_add() -> None:
                reader.happens = lambda: None  # type: ignore[method-assign]
                writer.delete_source("a")
                put(writer, tiny_llama, "new", TEXTS["a"], 0.0)

            reader.happens = forget_and_add  # type: ignore[method-assign]
            assert retrieve(tiny_llama, reader, strategy=strategy) == before
            after = retrieve(tiny_llama, reader, strategy=strategy)
            assert after == retrieve(tiny_llama, writer, strategy=strategy) != before


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_store_on_disk_returns_what_a_store_in_memory_does(
    tiny_llama: BaseModel, store: AbstractStore, tmp_path: Path
) -> None:
    memory, disk = stores_of(tmp_path, tiny_llama, store)
    with disk:
        assert retrieve(tiny_llama, memory) == retrieve(tiny_llama, disk)


@SCORER
def test_what_is_forgotten_never_returns_and_what_stays_is_found_as_before(
    tiny_llama: BaseModel, scorer: str
) -> None:
    store = filled_store(tiny_llama, a=TEXTS["a"], b=TEXTS["b"])
    store.delete_source("b")
    alone = filled_store(tiny_llama, a=TEXTS["a"])
    for options in ({"beam": ALL, "budget": ALL}, {"strategy": "flat"}, {}):
        found = retrieve(tiny_llama, store, scorer=scorer, **options)
        assert {hit.source.name for hit in found.hits} == {"a"}
        assert found == retrieve(tiny_llama, alone, scorer=scorer, **options)


def test_no_question_changes_what_another_retrieves(
    tiny_llama: BaseModel, store: AbstractStore
) -> None:
    retriever = Retriever(tiny_llama, RetrievalConfig())
    before = retriever.retrieve(store, ASKED)
    retriever.retrieve(store, [4, 5, 6])
    assert retriever.retrieve(store, ASKED) == before


# Time and labels


def labelled_store(model: BaseModel, names: str) -> MemoryStore:
    """Some of four sources, the last without a time or labels; ids are those of all four."""
    store = MemoryStore(small_manifest(model))
    for number, name in enumerate("abcd"):
        text = prose(60, seed=number)
        labels = {"owner": "me" if name in "ac" else "you", "kind": "note"}
        time, labels = (10.0 * number, labels) if name != "d" else (None, {})
        put(store, model, name, text, time, labels)
    for name in set("abcd") - set(names):
        store.delete_source(name)
    return store


@SCORER
@pytest.mark.parametrize("strategy", ["tree", "flat"])
@pytest.mark.parametrize(
    ("limits", "names"),
    [
        ({}, "abcd"),
        ({"since": 10.0}, "bc"),
        ({"until": 10.0}, "a"),
        ({"since": 5.0, "until": 15.0}, "b"),
        ({"where": {"owner": "me"}}, "ac"),
        ({"where": {"owner": "me", "kind": "note"}, "since": 1.0}, "c"),
        ({"where": {"owner": ""}}, ""),
    ],
)
def test_the_walk_is_that_of_a_store_with_only_the_sources_asked_for(
    tiny_llama: BaseModel, scorer: str, strategy: str, limits: dict[str, Any], names: str
) -> None:
    config = {"scorer": scorer, "strategy": strategy, "beam": 5}
    found = retrieve(tiny_llama, labelled_store(tiny_llama, "abcd"), **config, **limits)
    assert found == retrieve(tiny_llama, labelled_store(tiny_llama, names), **config)
    assert {hit.source.name for hit in found.hits} <= set(names)


def test_limits_that_leave_no_time_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^until: expected a time after 5, got 5"):
        RetrievalConfig(since=5.0, until=5.0)


# Options


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("strategy", "trees"),
        ("top_c", 0),
        ("beam", -1),
        ("max_found", -1),
        ("level", -1),
        ("budget", 0),
        ("max_texts", -1),
        ("text_mass", 0.0),
        ("text_mass", 1.1),
        ("margin", -1),
    ],
)
def test_an_option_out_of_range_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: expected"):
        RetrievalConfig(**{name: value})


def test_a_level_that_the_store_lacks_is_refused(
    tiny_llama: BaseModel, store: AbstractStore
) -> None:
    with pytest.raises(ConfigError, match=r"level: expected 0\.\.3 for this store, got 4"):
        retrieve(tiny_llama, store, level=4)


# What others found


def test_nodes_that_another_search_found_are_opened_as_a_walk_opens_its_own(
    tiny_llama: BaseModel, store: AbstractStore
) -> None:
    config = RetrievalConfig(strategy="tree", budget=60, max_texts=3)
    found = Retriever(tiny_llama, config).retrieve(store, ASKED)
    opened = Retriever(tiny_llama, config).open(store, found.walk[-1].kept)
    assert [replace(hit, path=()) for hit in found.hits] == [
        replace(hit, path=()) for hit in opened
    ]


# Words of the question


def worded_store(model: BaseModel) -> MemoryStore:
    """Prose, in the midst of which one name stands once."""
    text = prose(300)
    middle = text.index(" ", len(text) // 4)
    named = f"{text[:middle]} Zanzibar{text[middle:]}"
    return filled_store(model, a=named, b=prose(150, seed=1))


def retrieve_words(
    model: BaseModel, store: AbstractStore, question: str, **options: Any
) -> Retrieval:
    usual: dict[str, Any] = {"strategy": "hybrid", "level": 1, "top_c": 1, "beam": 2}
    config = RetrievalConfig(**usual | options)
    return Retriever(model, config).retrieve(store, model.encode(question).ids)


def text_of(store: AbstractStore, hit: Hit) -> str:
    return store.text(hit.source.source_id, hit.node.byte_span).decode(errors="replace")


def test_a_name_is_found_by_its_letters_and_the_way_to_it_is_shown(
    tiny_llama: BaseModel,
) -> None:
    store = worded_store(tiny_llama)
    found = retrieve_words(tiny_llama, store, "Where is ZANZIBAR?")
    best = max(found.hits, key=lambda hit: hit.score)
    assert best.parts is not None
    assert best.parts.lexical > 3
    assert best.score > best.parts.attention
    assert "zib" in text_of(store, best)
    assert [step.level for step in best.path] == [3, 2, 1]
    assert [trace.level for trace in found.walk] == [3, 2, 1]
    for trace in found.walk:
        assert trace.lexical is not None
        assert max(trace.lexical) == pytest.approx(best.parts.lexical)


def test_leaves_with_words_are_candidates_beside_those_that_were_walked_to(
    tiny_llama: BaseModel,
) -> None:
    store = worded_store(tiny_llama)
    words = dict.fromkeys(store.text(1).decode().split())
    options: dict[str, Any] = {"lexical_weight": 0.0, "budget": ALL, "max_found": ALL, "beam": 1}
    hybrid, tree = (
        retrieve_words(tiny_llama, store, " ".join([*words][:9]), strategy=strategy, **options)
        for strategy in ("hybrid", "tree")
    )
    for with_words, without in zip(hybrid.walk[:-1], tree.walk[:-1], strict=True):
        assert with_words.kept == without.kept, "a weight of 0 is attention alone"
    assert hybrid.walk[-1].num_candidates > tree.walk[-1].num_candidates


def test_sources_that_are_left_out_are_not_found_by_words_either(tiny_llama: BaseModel) -> None:
    store = worded_store(tiny_llama)
    found = retrieve_words(tiny_llama, store, "Zanzibar", since=1.0, beam=ALL, budget=ALL)
    assert {hit.source.name for hit in found.hits} == {"b"}
    assert all(hit.parts is not None and hit.parts.lexical == 0 for hit in found.hits)


@pytest.mark.parametrize("question", ["Zanzibar", "?!"])
def test_without_shared_words_or_without_an_index_the_walk_is_that_of_the_tree(
    tiny_llama: BaseModel, question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = worded_store(tiny_llama)
    if question == "Zanzibar":
        monkeypatch.setattr(MemoryStore, "has_words", False)
    hybrid, tree = (
        retrieve_words(tiny_llama, store, question, strategy=strategy)
        for strategy in ("hybrid", "tree")
    )
    assert [trace.kept for trace in hybrid.walk] == [trace.kept for trace in tree.walk]
    assert [hit.node.id for hit in hybrid.hits] == [hit.node.id for hit in tree.hits]


def test_a_store_on_disk_finds_words_as_one_in_memory(
    tiny_llama: BaseModel, tmp_path: Path
) -> None:
    memory = worded_store(tiny_llama)
    with SQLiteStore.create(tmp_path / "disk", small_manifest(tiny_llama)) as disk:
        for source in memory.sources():
            copy_source(memory, source, disk)
        before = digest(disk.path)
        found = retrieve_words(tiny_llama, disk, "Is it Zanzibar?")
        assert found == retrieve_words(tiny_llama, memory, "Is it Zanzibar?")
        assert digest(disk.path) == before


@pytest.mark.parametrize("weight", [-1.0, float("inf"), float("nan")])
def test_a_weight_that_cannot_be_is_refused(weight: float) -> None:
    with pytest.raises(ConfigError, match="lexical_weight: expected a number of at least 0"):
        RetrievalConfig(lexical_weight=weight)

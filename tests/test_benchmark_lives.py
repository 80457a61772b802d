"""Benchmarks of what stays: embeddings instead of text, many sessions, many compressions."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from benchmarks.lifelong import Life, degradation, live
from benchmarks.recompression import recompress, revise, rewrite
from benchmarks.retention import SOURCE, Forms, Retention, best_leaf_hits, level_hits, mean_pooled
from benchmarks.stores import Leaves, new_session
from benchmarks.tallies import Tallies
from building import assert_same_content, prose
from lmos.model.base import BaseModel
from lmos.nodes import Span
from lmos.search.retriever import RetrievalConfig
from lmos.session import Session
from lmos.training.contexts import Context, hide_facts
from lmos.training.families import TRAINING_FAMILIES
from lmos.training.words import WordBank
from lmos.tree.compressor import Compressor
from test_benchmarks import SMALL, measured, model_folder

__all__ = ["model_folder"]

TEXT = prose(400)


@pytest.fixture(scope="module")
def session(tiny_llama: BaseModel) -> Session:
    session = new_session(tiny_llama, (4, 4, 4))
    session.add(SOURCE, TEXT)
    return session


# Retention


@pytest.mark.parametrize("level", [1, 2, 3])
def test_the_nodes_of_a_form_cover_every_byte_once(session: Session, level: int) -> None:
    hits = level_hits(session, level)
    assert not any(hit.is_text for hit in hits)
    assert max(hit.node.id.level for hit in hits) == level
    ends = [0, *(hit.node.byte_span.stop for hit in hits)]
    spans = [Span(start, stop) for start, stop in pairwise(ends)]
    assert [hit.node.byte_span for hit in hits] == spans
    assert ends[-1] == len(TEXT.encode())


def test_higher_levels_take_fewer_positions(session: Session) -> None:
    sizes = [len(level_hits(session, level)) for level in (1, 2, 3)]
    assert sizes[0] > sizes[1] > sizes[2]


def test_the_best_leaf_is_read_as_text_among_all_others(session: Session) -> None:
    hits = best_leaf_hits(session, "Where does the fox sleep?")
    assert sum(hit.is_text for hit in hits) == 1
    assert {hit.node.id for hit in hits} == set(session.store.level_ids(1))


def test_mean_pooled_leaves_are_means_in_an_otherwise_equal_store(tiny_llama: BaseModel) -> None:
    pooled = mean_pooled(tiny_llama, (4, 4, 4), TEXT)
    assert pooled.store.verify() == []
    ids = pooled.store.level_ids(1)
    leaves = Leaves(tiny_llama, pooled.store)
    window = pooled.store.windows(ids[0].source_id)[0]
    (node,) = pooled.store.nodes(ids[:1])
    x_TD = tiny_llama.embed(torch.tensor(window.token_ids[slice(*node.children)]))
    mean_D = tiny_llama.adapter.to_input_scale(x_TD.mean(0)[None, None])[0, 0]
    torch.testing.assert_close(pooled.store.embeddings(ids[:1])[0], mean_D)
    assert len(leaves.texts) == len(ids)


def test_every_form_is_measured_against_the_text(tiny_llama: BaseModel) -> None:
    words = WordBank(held_out=True)
    context = hide_facts(random.Random(0), prose(4), words, TRAINING_FAMILIES, 1)
    names = [name for name, *_ in Forms(tiny_llama, context, 8).iter_hits("Who?")]
    retention = Retention(tiny_llama)
    retention.measure(Context(context.text, context.questions), context.questions, [8], seed=0)
    cells = {cell["read as"]: cell for cell in retention.cells()}
    assert list(cells) == ["text", *names]
    assert cells["text"]["tokens_per_position"] == 1.0
    assert cells["level 1"]["tokens_per_position"] > 4
    kinds = [name for name in ("words", "exact_strings") if name in cells["text"]]
    assert len(kinds) == 1


def test_retention_is_measured(model_folder: Path, tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text(prose(400), encoding="utf-8")
    result = measured(
        tmp_path,
        *("retention", "--data", book, "--model", model_folder, "--seeds", 1, "--k", 8),
        *("--tokens", 10, "--facts", 2, "--contexts", 1, "--questions", 1),
    )
    assert {cell["k"] for cell in result["cells"]} == {"–", 8}


# Lifelong


@pytest.fixture
def life(tiny_llama: BaseModel) -> Life:
    life = Life(tiny_llama, prose(400), random.Random(1), 2, 20, change_share=0.5)
    for _ in range(12):
        life.add_session()
    return life


def test_a_life_knows_where_each_fact_was_last_told(life: Life) -> None:
    store = life.session.store
    assert len(store.sources()) == 12
    for told in life.told.values():
        source = store.source(told.place.source)
        statement = store.text(source.source_id, told.place.span).decode()
        assert statement == told.fact.statement
        assert source.time == told.session
    changed = [told for told in life.told.values() if told.outdated]
    assert changed
    assert len(life.told) < 24


def test_questions_come_from_every_age_and_know_the_answer_before(life: Life) -> None:
    asked = life.ask_by_age(8)
    assert list(asked)[:2] == ["≤ 1", "≤ 10"]
    sessions = [int(each.golds[0].source.split()[1]) for each in asked["≤ 10"]]
    assert all(1 < 12 - number <= 10 for number in sessions)
    everything = [each for group in life.ask_by_age(1000).values() for each in group]
    assert len(everything) == len(life.told)
    outdated = [each for each in everything if each.outdated]
    assert outdated
    assert all(each.outdated != each.answer for each in outdated)


def test_every_stage_is_asked_once_it_is_reached(tiny_llama: BaseModel) -> None:
    life = Life(tiny_llama, prose(400), random.Random(1), 1, 20, change_share=0.0)
    tallies = Tallies()
    config = RetrievalConfig(budget=60, beam=8)
    live(life, life.session, [3, 1], config, 4, tallies, 0, ["tree", "oracle retrieval"])
    assert [cell["sessions"] for cell in tallies.cells()] == [1, 1, 3, 3, 3, 3]
    assert tallies.total("gold_read", **{"read with": "oracle retrieval"}).mean == 1.0


def test_degradation_is_the_early_share_over_the_late_one() -> None:
    tallies = Tallies()
    for sessions, flags in ((1, [False]), (10, [True, True]), (100, [True, False])):
        for flag in flags:
            labels = {"sessions": sessions, "read with": "tree"}
            tallies.add(labels, 0, exact_match=flag, gold_read=False)
    exact, found = degradation(tallies, [100, 1, 10])
    assert (exact["from"], exact["to"], exact["degradation"]) == (10, 100, 2.0)
    assert found["degradation"] is None


# Recompression


def test_a_source_that_was_revised_is_as_it_was(tiny_llama: BaseModel) -> None:
    once, often = (revise(tiny_llama, TEXT, times) for times in (0, 3))
    assert often.store.version == 7
    assert_same_content(once.store, often.store)


def test_leaves_are_written_again_each_from_itself_in_its_window(tiny_llama: BaseModel) -> None:
    nodes_ND = torch.randn(20, tiny_llama.embedding_width)
    torch.testing.assert_close(rewrite(tiny_llama, nodes_ND, 0), nodes_ND)
    with torch.no_grad():
        spans_1T = torch.arange(4)[None]
        last = Compressor(tiny_llama).compress(nodes_ND[None, 16:], spans_1T, 4, level=2)[0]
    torch.testing.assert_close(rewrite(tiny_llama, nodes_ND, 1)[16:], last)
    twice = rewrite(tiny_llama, rewrite(tiny_llama, nodes_ND, 1), 1)
    torch.testing.assert_close(rewrite(tiny_llama, nodes_ND, 2), twice)


def test_a_context_that_was_recompressed_keeps_its_text_and_tree(tiny_llama: BaseModel) -> None:
    session = recompress(tiny_llama, TEXT, 1)
    plain = recompress(tiny_llama, TEXT, 0)
    assert session.store.verify() == []
    ids = session.store.level_ids(1)
    assert plain.store.level_ids(1) == ids
    assert not torch.allclose(session.store.embeddings(ids), plain.store.embeddings(ids))


def test_lives_are_measured(model_folder: Path, tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text(prose(900), encoding="utf-8")
    result = measured(
        tmp_path,
        *("lifelong", "--data", book, "--model", model_folder, *SMALL, "--facts", 1),
        *("--sessions", 1, "--sessions", 2, "--tokens", 10, "--questions", 2, "--way", "tree"),
        *("--passes", 1, "--contexts", 1),
    )
    stages = [cell["sessions"] for cell in result["cells"] if "sessions" in cell]
    assert set(stages) == {1, 2}
    ratios = [cell for cell in result["cells"] if "perplexity_ratio" in cell]
    assert [cell["passes"] for cell in ratios] == [0, 1, 0, 1]
    assert ratios[1]["way"] == "revised"
    assert ratios[1]["perplexity_ratio"] == pytest.approx(1.0, abs=1e-6)

"""What benchmarks share: counting, reading, and the ways to find what is read."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from benchmarks.__main__ import main
from benchmarks.lexical import LexicalIndex
from benchmarks.reading import Asked, answer_loss, fits, is_read, is_right, read, whole_context
from benchmarks.report import Share
from benchmarks.stores import Leaves, Place, leaves_of, new_session
from benchmarks.tallies import Tallies
from benchmarks.ways import WAYS, Reader, tally_questions
from building import prose
from conftest import new_llama
from lmos.model.base import BaseModel
from lmos.nodes import Span
from lmos.reading.generation import prompt_embeddings
from lmos.search.retriever import RetrievalConfig, Retriever
from lmos.session import Session
from lmos.tree.keys import node_keys

CONFIG = RetrievalConfig(budget=80, beam=12, max_texts=2, text_mass=1.0, margin=0)
FACT = "The code of the blue bicycle is 4812."
BEFORE = prose(60)


@pytest.fixture(scope="module")
def session(tiny_llama: BaseModel) -> Session:
    session = new_session(tiny_llama, (16, 4, 4))
    session.add("early", prose(40, seed=3), time=1.0)
    session.add("diary", f"{BEFORE}. {FACT} {prose(60, seed=2)}", time=2.0)
    return session


@pytest.fixture(scope="module")
def asked() -> Asked:
    start = len(f"{BEFORE}. ".encode())
    gold = Place("diary", Span(start, start + len(FACT)))
    return Asked("What is the code?", "4812", (gold,))


@pytest.fixture(scope="module")
def model_folder(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with room for a small haystack, as a folder that says that it was trained."""
    folder = tmp_path_factory.mktemp("model")
    model = new_llama(tokenizer_folder, max_position_embeddings=1024)
    model.is_trained = True
    model.save_pretrained(folder)
    return folder


def run(*arguments: object) -> Result:
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(main, words, catch_exceptions=False)


def measured(folder: Path, *arguments: object) -> Any:
    """The result file of a benchmark that succeeds."""
    path = folder / "new" / "result.json"
    result = run(*arguments, "--json", path)
    assert result.exit_code == 0, result.output
    return json.loads(path.read_text(encoding="utf-8"))


def test_shares_add_up_over_seeds_and_keep_each_seed() -> None:
    tallies = Tallies()
    for seed, flags in enumerate(([True, False], [True, True])):
        for flag in flags:
            tallies.add({"way": "tree"}, seed, right=flag, found=[flag, True])
    assert tallies.total("right", way="tree") == Share(3, 4)
    (cell,) = tallies.cells()
    assert cell["right"]["by_seed"] == [0.5, 1.0]
    assert cell["found"]["total"] == 8
    assert cell["right"]["low"] < 0.75 < cell["right"]["high"]
    assert "0.750" in tallies.table()


def test_a_pivot_takes_the_mean_of_tasks_not_of_questions() -> None:
    tallies = Tallies()
    tallies.add({"way": "tree", "task": "a"}, 0, right=[True])
    tallies.add({"way": "tree", "task": "b"}, 0, right=[False] * 9)
    assert tallies.pivot("right", "way", "task").endswith("| 0.500 |")


def test_bm25_finds_the_text_with_the_words() -> None:
    index = LexicalIndex(["rain all day", "the piano of Hugo", "a blue bicycle"])
    assert index.rank("whose piano?", 1) == [1]
    assert len(index.rank("bicycle", 10)) == 3


@pytest.mark.parametrize(
    ("given", "right"), [("The 4812.", True), ("4812", True), ("481", False), ("", False)]
)
def test_an_answer_is_right_whatever_its_articles_and_points(given: str, right: bool) -> None:
    assert is_right(given, "4812") is right


def test_a_place_is_read_only_when_every_byte_of_it_is(session: Session, asked: Asked) -> None:
    (gold,) = asked.golds
    leaves = leaves_of(session.store, gold)
    assert len(leaves) > 1
    retriever = Retriever(session.model, RetrievalConfig(max_texts=9, text_mass=1.0, margin=0))
    hits = retriever.open(session.store, [(leaf, 0.0) for leaf in leaves])
    assert is_read(hits, gold)
    assert not is_read(hits[1:], gold)
    assert not is_read(hits[:-1], gold)
    assert not is_read(hits, gold._replace(source="early"))


def test_leaves_of_a_place_hold_it_and_no_other_leaf_does(session: Session, asked: Asked) -> None:
    (gold,) = asked.golds
    source_id = session.store.source("diary").source_id
    overlapping = [
        node.id
        for node in session.store.nodes(session.store.level_ids(1))
        if node.id.source_id == source_id
        and node.byte_span.start < gold.span.stop
        and node.byte_span.stop > gold.span.start
    ]
    assert leaves_of(session.store, gold) == overlapping


def test_leaf_texts_are_the_sources(session: Session) -> None:
    texts = [session.store.text(source.source_id).decode() for source in session.sources()]
    leaves = Leaves(session.model, session.store)
    joined = "".join(leaves.texts)
    assert len(joined) >= len("".join(texts))  # A character cut in two counts twice.
    assert FACT[:4] in joined


def test_mean_pool_keys_are_those_of_the_mean_of_a_leafs_tokens(
    session: Session, keyed_llama: BaseModel
) -> None:
    model, store = keyed_llama, session.store
    leaves = Leaves(model, store)
    number = len(leaves.ids) - 2
    (node,) = store.nodes([leaves.ids[number]])
    windows = store.windows(node.id.source_id)
    ids = [token for window in windows for token in window.token_ids][slice(*node.children)]
    mean_11D = model.embed(torch.tensor(ids)).mean(0)[None, None]
    mean_1D = model.adapter.to_input_scale(mean_11D)[0]
    key_K = node_keys(model, mean_1D, 1, model.scoring_layer)[0]
    torch.testing.assert_close(leaves.mean_keys[number], key_K)


def test_the_whole_context_is_every_byte_in_time_order(session: Session) -> None:
    hits = whole_context(session.store)
    assert [hit.source.name for hit in hits] == ["early", "diary"]
    assert [hit.byte_span.stop for hit in hits] == [s.num_bytes for s in session.sources()]
    assert not fits(session.model, session.store, hits * 3, "Why?")


def test_the_loss_of_an_answer_is_that_of_its_tokens_one_by_one(session: Session) -> None:
    model, store = session.model, session.store
    ids = [*model.format.answer_ids("4812"), model.end_id]
    x_TD = prompt_embeddings(model, store, (), "Why?")
    losses = []
    with torch.no_grad():
        for token_id in ids:
            logits_V = model.logits(model.forward(x_TD[None])[0, -1])
            losses.append(-logits_V.log_softmax(-1)[token_id].item())
            x_TD = torch.cat([x_TD, model.embed(torch.tensor([token_id]))])
    loss = answer_loss(model, store, (), "Why?", "4812")
    assert loss == pytest.approx(sum(losses) / len(losses), rel=1e-4)


def reader(session: Session, **changes: Any) -> Reader:
    return Reader(session, CONFIG, random.Random(0), **changes)


def test_each_way_reads_what_its_name_says(session: Session, asked: Asked) -> None:
    other = new_session(session.model)
    other.add("elsewhere", prose(30, seed=8))
    hits = {}
    for way in WAYS:
        reading = reader(session, other=other).answer(way, asked)
        if reading is not None:
            hits[way] = reading.hits
    assert set(hits) == set(WAYS) - {"dense", "full context"}
    assert hits["no memory"] == ()
    assert is_read(hits["oracle retrieval"], asked.golds[0])
    assert {hit.source.name for hit in hits["shuffled memory"]} == {"elsewhere"}
    num_texts = sum(hit.is_text for hit in hits["hybrid"])
    assert sum(hit.is_text for hit in hits["random retrieval"]) == num_texts
    for way in ("tree", "flat scan", "BM25", "mean-pool"):
        assert {hit.source.name for hit in hits[way]} <= {"early", "diary"}
        assert 1 <= sum(hit.is_text for hit in hits[way]) <= CONFIG.max_texts


def test_everything_is_read_where_it_fits(tiny_llama: BaseModel) -> None:
    session = new_session(tiny_llama)
    session.add("diary", FACT)
    asked = Asked("What is the code?", "4812", (Place("diary", Span(0, len(FACT))),))
    reading = reader(session).answer("full context", asked)
    assert reading is not None
    assert reading.answer == read(session.model, session.store, reading.hits, asked.question)
    assert is_read(reading.hits, asked.golds[0])


def test_without_another_store_memory_cannot_be_shuffled(session: Session, asked: Asked) -> None:
    assert reader(session).answer("shuffled memory", asked) is None


def test_right_answers_and_found_passages_are_counted(session: Session, asked: Asked) -> None:
    tallies = Tallies()
    given = reader(session).answer("tree", asked)
    assert given is not None
    questions = [asked, Asked(asked.question, given.answer, asked.golds)]
    tally_questions(tallies, reader(session), questions, {}, 0, ["tree", "oracle retrieval"])
    assert tallies.total("exact_match", **{"read with": "tree"}).total == 2
    assert tallies.total("exact_match", **{"read with": "tree"}).right >= 1
    assert tallies.total("gold_read", **{"read with": "oracle retrieval"}) == Share(2, 2)
    assert tallies.total("gold_kept", **{"read with": "tree"}).total == 2
    assert tallies.total("exact_match", **{"read with": "BM25"}) == Share(0, 0)


SMALL = ("--seeds", 1, "--budget", 60, "--margin", 0, "--beam", 8)


def test_facts_are_measured_in_every_way(model_folder: Path, tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text(prose(400), encoding="utf-8")
    result = measured(
        tmp_path,
        *("facts", "--data", book, "--model", model_folder, *SMALL),
        *("--tokens", 60, "--facts", 4, "--questions", 4),
    )
    cells = {cell["read with"]: cell for cell in result["cells"]}
    assert set(cells) == set(WAYS) - {"dense"}
    assert all(cell["exact_match"]["total"] == 4 for cell in cells.values())
    assert cells["oracle retrieval"]["gold_read"]["mean"] == 1.0
    assert cells["no memory"]["gold_read"]["mean"] == 0.0
    assert result["benchmark"] == "facts"
    assert result["settings"]["config"]["budget"] == 60


def test_a_dense_model_without_its_library_is_left_out_with_a_note(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    book = tmp_path / "book.txt"
    book.write_text(prose(400), encoding="utf-8")
    result = run(
        *("facts", "--data", book, "--model", model_folder, *SMALL, "--dense", "some/model"),
        *("--tokens", 60, "--facts", 4, "--questions", 4, "--way", "no memory", "--way", "dense"),
    )
    assert result.exit_code == 0
    assert "sentence-transformers is not installed" in result.stderr
    assert "dense" not in result.stdout


def test_books_that_are_too_short_are_an_error_and_nothing_is_written(
    model_folder: Path, tmp_path: Path
) -> None:
    book = tmp_path / "book.txt"
    book.write_text(prose(40), encoding="utf-8")
    result = run(
        *("facts", "--data", book, "--model", model_folder, "--json", tmp_path / "new.json")
    )
    assert result.exit_code == 1
    assert "72000 characters for 16000 tokens" in result.stderr
    assert not (tmp_path / "new.json").exists()


def test_every_benchmark_is_documented() -> None:
    document = Path(__file__).parent.parent / "docs" / "benchmarks.md"
    named = re.findall(r"^\| `(\w+)` \|", document.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert set(named) == set(main.commands) - {"plot"}

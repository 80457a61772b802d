"""The benchmarks one by one: what they take for gold, how they count, and that they run."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from benchmarks.facts import Trial
from benchmarks.icl import EpisodeStore, iter_folio, read_lines
from benchmarks.passages import read_collection
from benchmarks.reading import Asked
from benchmarks.recall import CollectionStore, make_rankers, rank_of
from benchmarks.report import Share, area_under_curve, gap_closed
from benchmarks.unknown import unanswerable
from building import prose
from lmos.errors import DataError
from lmos.model.base import BaseModel
from lmos.search.retriever import RetrievalConfig
from lmos.training.classification import make_episode
from lmos.training.words import WordBank
from test_benchmarks import SMALL, measured, model_folder, run

__all__ = ["model_folder"]


# Unknown


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order() -> None:
    rng = random.Random(0)
    positives = [rng.randrange(6) + 1.0 for _ in range(30)]
    negatives = [rng.randrange(6) + 0.0 for _ in range(40)]
    pairs = [(a > b) + (a == b) / 2 for a in positives for b in negatives]
    area = area_under_curve(positives, negatives)
    assert area.mean == pytest.approx(sum(pairs) / len(pairs))
    assert area.low < area.mean < area.high
    assert area_under_curve([1.0], []).mean == 0.5


def test_a_question_that_both_stores_are_asked_is_not_called_unanswerable() -> None:
    mine, theirs = (
        Trial(session=None, questions=tuple(Asked(text, "x") for text in texts))  # type: ignore[arg-type]
        for texts in (("Who?", "Where?"), ("Who?", "When?"))
    )
    assert [asked.question for asked in unanswerable(mine, theirs)] == ["When?"]


def test_false_answers_and_areas_are_measured(model_folder: Path, tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text(prose(400), encoding="utf-8")
    result = measured(
        tmp_path,
        *("unknown", "--data", book, "--model", model_folder, *SMALL),
        *("--tokens", 60, "--facts", 2, "--questions", 1),
    )
    tree = [cell for cell in result["cells"] if cell["read with"] == "tree"]
    assert tree[0]["exact_match"]["total"] == 2
    assert tree[0]["false_answer"]["total"] <= 2
    assert all(0 <= cell["right_auroc"]["mean"] <= 1 for cell in tree[1:])
    assert len(tree) == 5


# Recall


@pytest.fixture
def squad(tmp_path: Path) -> Path:
    def paragraph(text: str, question: str) -> dict[str, Any]:
        answers = [{"text": text.split()[0], "answer_start": 0}]
        return {"context": text, "qas": [{"id": "1", "question": question, "answers": answers}]}

    articles = [
        {
            "title": f"Article {number}",
            "paragraphs": [
                paragraph(f"Word{number}{place}\n {prose(60, seed)}", f"Which word{number}{place}?")
                for place, seed in enumerate(range(3 * number, 3 * number + 3))
            ],
        }
        for number in range(3)
    ]
    path = tmp_path / "squad.json"
    path.write_text(json.dumps({"data": articles}), encoding="utf-8")
    return path


def write_qmsum(folder: Path) -> Path:
    meeting = {
        "meeting_transcripts": [
            {"speaker": speaker, "content": f"{speaker} says\n {prose(5, number)}"}
            for number, speaker in enumerate(["Ann", "Bob", "Cem", "Dee"])
        ],
        "specific_query_list": [
            {"query": "What did Bob say?", "answer": "", "relevant_text_span": [["1", "2"]]},
            {"query": "Whole?", "answer": "", "relevant_text_span": [["3", "9"]]},
        ],
    }
    (folder / "a.json").write_text(json.dumps(meeting), encoding="utf-8")
    return folder


def test_a_collection_is_read_by_what_it_looks_like(squad: Path, tmp_path: Path) -> None:
    collection = read_collection(squad, "all")
    assert [len(lines) for lines in collection.documents.values()] == [3, 3, 3]
    assert collection.questions[4].golds == (1,)
    assert "\n" not in "".join(collection.documents["Article 0"])

    (tmp_path / "qmsum").mkdir()
    meetings = read_collection(write_qmsum(tmp_path / "qmsum"), "all")
    assert [asked.golds for asked in meetings.questions] == [(1, 2), (3,)]
    assert meetings.documents["a"][1].startswith("Bob: Bob says ")


def test_a_split_holds_whole_documents_and_splits_do_not_overlap(squad: Path) -> None:
    titles = {}
    for split in ("held-out", "training"):
        try:
            titles[split] = set(read_collection(squad, split).documents)
        except DataError:
            titles[split] = set()
    assert titles["held-out"] | titles["training"] == set(read_collection(squad, "all").documents)
    assert not titles["held-out"] & titles["training"]


def test_a_folder_in_no_known_format_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found none; expected a file of SQuAD"):
        read_collection(tmp_path, "all")
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(DataError, match=r"QMSum.s format in .*a\.json"):
        read_collection(tmp_path, "all")


def test_a_rank_counts_what_was_not_found_before() -> None:
    a, b, c = ("doc", 0), ("doc", 1), ("doc", 2)
    assert rank_of([{a}, {a}, {b}, {c}], [c]) == 3
    assert rank_of([{a, b}, {b}, {b, c}], [c]) == 2
    assert rank_of([{a}, {b}], [b, c]) == 2
    assert rank_of([{a}], [b]) is None


def test_nodes_of_every_level_overlap_the_passages_that_they_cover(
    squad: Path, tiny_llama: BaseModel
) -> None:
    kept = CollectionStore(tiny_llama, read_collection(squad, "all"))
    store = kept.session.store
    ids = [node_id for level in (1, 2) for node_id in store.level_ids(level)]
    for node, found in zip(store.nodes(ids), kept.passages_of(ids), strict=True):
        source = store.source_by_id(node.id.source_id)
        text = store.text(source.source_id)
        first = text[: node.byte_span.start].count(b"\n")
        last = text[: node.byte_span.stop - 1].count(b"\n")
        assert found == {(source.name, index) for index in range(first, last + 1)}


def test_bm25_finds_the_passage_with_the_word_by_leaf_and_by_passage(
    squad: Path, tiny_llama: BaseModel
) -> None:
    kept = CollectionStore(tiny_llama, read_collection(squad, "all"))
    rankers = make_rankers(kept, RetrievalConfig(), random.Random(0), dense_model=None)
    for name in ("BM25, leaves", "BM25, passages"):
        assert rank_of(rankers[name]("Which Word21?"), [("Article 2", 1)]) == 1
    assert rank_of(rankers["random"]("Which Word21?"), kept.passages) == 1


def test_recall_is_measured_for_every_ranking(
    model_folder: Path, squad: Path, tmp_path: Path
) -> None:
    result = measured(
        tmp_path,
        *("recall", "--data", squad, "--split", "all", "--model", model_folder),
        *("--seeds", 2, "--questions", 3),
    )
    cells = {cell["ranked by"]: cell for cell in result["cells"]}
    ways = {"hybrid", "tree", "flat scan", "flat scan, keys of 8 bits", "BM25, leaves"}
    assert ways <= set(cells)
    assert all(cell["recall@5"]["total"] == 6 for cell in cells.values())
    assert cells["flat scan"]["recall@20"]["mean"] == 1.0  # There are nine passages.


# In-context learning


def test_each_way_ranks_every_example_once(tiny_llama: BaseModel) -> None:
    episode = make_episode(random.Random(0), WordBank(held_out=True))
    kept = EpisodeStore(tiny_llama, episode)
    for way in ("ours", "BM25", "mean-pool", "random"):
        numbers = kept.rank(way, episode.query, random.Random(0))
        assert sorted(numbers) == list(range(6)), way
    texts = [
        kept.session.store.text(hit.source.source_id, hit.byte_span).decode()
        for hit in kept.texts(episode.relevant)
    ]
    assert texts == [episode.examples[number] for number in episode.relevant]
    hits = kept.embeddings(episode.relevant)
    assert {hit.source.name for hit in hits} == {f"example {n}" for n in episode.relevant}
    assert not any(hit.is_text for hit in hits)


def test_the_gap_closed_is_a_share_of_the_way_from_0_shot_to_full() -> None:
    closed = gap_closed(Share(20, 100), Share(60, 100), Share(40, 100))
    assert closed is not None
    assert closed.mean == pytest.approx(0.5)
    assert 0 < closed.low < 0.5 < closed.high < 1.1
    assert gap_closed(Share(1, 10), Share(1, 10), Share(1, 10)) is None


def write_folio(folder: Path) -> tuple[Path, Path]:
    folio, others = folder / "folio.jsonl", folder / "others.jsonl"
    rows = [
        {"premises": [f"Fact {n}."], "conclusion": f"fact {n} holds.", "label": "True"}
        for n in range(4)
    ]
    folio.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    sums = [{"question": f"{n} + 1?", "answer": f"Add.\n#### {n + 1}"} for n in range(5)]
    others.write_text("\n".join(map(json.dumps, sums)), encoding="utf-8")
    return folio, others


def test_relevant_examples_are_of_other_stories_and_irrelevant_ones_of_another_task(
    tmp_path: Path,
) -> None:
    folio, others = write_folio(tmp_path)
    rows = read_lines(folio, ("premises", "conclusion", "label"))
    sums = read_lines(others, ("question", "answer"))
    for episode in iter_folio(random.Random(0), rows, sums, 4):
        assert len(episode.examples) == 6
        for number, example in enumerate(episode.examples):
            assert ("true, false" in example) is (number in episode.relevant)
        assert not any(episode.query.split(" Is")[0] in example for example in episode.examples)
        assert episode.answer == "True"
    with pytest.raises(DataError, match=r"folio\.jsonl:1: expected JSON with question"):
        read_lines(folio, ("question",))


@pytest.mark.parametrize("is_folio", [False, True])
def test_in_context_learning_is_measured(
    model_folder: Path, tmp_path: Path, is_folio: bool
) -> None:
    folio, others = write_folio(tmp_path)
    data = ("--data", folio, "--others", others) if is_folio else ()
    result = measured(
        tmp_path, "icl", *data, "--model", model_folder, "--seeds", 1, "--episodes", 2
    )
    cells = {cell["read with"]: cell for cell in result["cells"]}
    assert {"0-shot", "full context", "ours, text", "ours, embeddings"} <= set(cells)
    assert cells["oracle retrieval"]["set_found"]["mean"] == 1.0
    assert cells["ours, text"]["exact_match"]["total"] == 2


def test_one_of_two_files_is_an_error(tmp_path: Path) -> None:
    folio, _ = write_folio(tmp_path)
    result = run("icl", "--data", folio)
    assert result.exit_code == 2
    assert "--data and --others together" in result.stderr

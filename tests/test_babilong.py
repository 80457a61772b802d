"""Stories in books: where the sentences go, and that a sample's store is as if built at once."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks import babilong
from benchmarks.babi import Story, find_tasks, read_stories
from benchmarks.babilong import build_haystack, cut_pages, hide_story, page_name, scatter
from building import assert_same_content, prose
from lmos.errors import DataError
from lmos.model.base import BaseModel
from lmos.store.memory import MemoryStore
from lmos.tree.builder import SourceText, TreeBuilder
from test_benchmarks import SMALL, measured, model_folder, run
from trees import observe

__all__ = ["model_folder"]

QA1 = """1 Mary moved to the bathroom.
2 John went to the hallway.
3 Where is Mary? \tbathroom\t1
4 Mary went to the garden.
5 Where is Mary? \tgarden\t4
1 Daniel took the apple.
2 Daniel went to the café.
3 Where is the apple?\tcafé\t1 2
"""
STORY = Story(("Mary moved to the café.", "John slept.", "Mary left."), "Where is Mary?", "", (0,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "qa1_single_test.txt").write_text(QA1, encoding="utf-8")
    (tmp_path / "qa1_single_train.txt").write_text(QA1, encoding="utf-8")
    return tmp_path


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(babilong, "PAGE_TOKENS", 40)


def test_each_question_is_a_story_of_the_sentences_before_it(folder: Path) -> None:
    path = find_tasks(folder, "*_test.txt", ("qa1",))["qa1"]
    first, second, third = read_stories(path)
    assert first.sentences == ("Mary moved to the bathroom.", "John went to the hallway.")
    assert (second.answer, second.golds, len(second.sentences)) == ("garden", (2,), 3)
    assert second.sentences[second.golds[0]] == "Mary went to the garden."
    assert (third.question, third.golds) == ("Where is the apple?", (0, 1))


@pytest.mark.parametrize("line", ["Mary moved.", "1 Where?\tgarden", "4 Where?\tgarden\t9"])
def test_a_line_that_is_not_in_the_format_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "qa1_test.txt"
    path.write_text(f"1 Mary moved.\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"qa1_test\.txt:2: expected"):
        read_stories(path)


def test_a_task_with_no_file_or_with_two_is_an_error(folder: Path) -> None:
    with pytest.raises(DataError, match="found 0"):
        find_tasks(folder, "*_test.txt", ("qa2",))
    with pytest.raises(DataError, match="found 2"):
        find_tasks(folder, "*.txt", ("qa1",))


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("seed", range(20))
def test_sentences_keep_their_order_and_the_book_its_text(seed: int) -> None:
    book = prose(200, seed)
    pages = cut_pages(book)
    assert len(pages) > 3
    assert "".join("".join(page) for page in pages) == book
    sentences = [f"Sentence {number}, déjà vu." for number in range(6)]
    texts, places = scatter(random.Random(seed), pages, sentences)
    order = [(int(place.source.split()[1]), place.span) for place in places]
    assert order == sorted(order)
    for (number, span), sentence in zip(order, sentences, strict=True):
        assert texts[number].encode()[slice(*span)].decode() == sentence
    for number, text in texts.items():
        rest = text
        for sentence in sentences:
            rest = rest.replace(sentence + " ", "")
        assert rest.split() == "".join(pages[number]).split()


@pytest.mark.usefixtures("small_pages")
def test_a_storys_store_is_the_one_that_would_have_been_built_at_once(
    tiny_llama: BaseModel,
) -> None:
    haystack = build_haystack(tiny_llama, prose(150))
    before = observe(haystack.store)
    session, asked = hide_story(tiny_llama, haystack, STORY, random.Random(1))
    assert observe(haystack.store) == before

    anew = MemoryStore(haystack.store.manifest)
    for source in session.sources():
        text = session.store.text(source.source_id)
        (patch,) = TreeBuilder(tiny_llama, anew.manifest).build(
            anew, [SourceText(source.name, text)]
        )
        anew.put_source(source.name, patch, time=source.time)
    assert_same_content(session.store, anew)

    (gold,) = asked.golds
    text = session.store.text(session.store.source(gold.source).source_id, gold.span)
    assert text.decode() == STORY.sentences[0]


def test_a_story_can_stand_without_a_book(tiny_llama: BaseModel) -> None:
    haystack = build_haystack(tiny_llama, "")
    session, asked = hide_story(tiny_llama, haystack, STORY, random.Random(1))
    (source,) = session.sources()
    assert source.name == page_name(0) == asked.golds[0].source
    text = session.store.text(source.source_id).decode()
    assert text.split() == " ".join(STORY.sentences).split()


def test_tasks_and_lengths_are_measured(model_folder: Path, folder: Path) -> None:
    (folder / "books").mkdir()
    (folder / "books" / "book.txt").write_text(prose(400), encoding="utf-8")
    result = measured(
        folder,
        *("babilong", "--data", folder, "--books", folder / "books", "--model", model_folder),
        *(*SMALL, "--task", "qa1", "--tokens", 0, "--tokens", 100, "--samples", 2),
        *("--way", "tree", "--way", "no memory", "--way", "shuffled memory"),
    )
    rows = [(cell["tokens"], cell["task"], cell["read with"]) for cell in result["cells"]]
    assert len(rows) == len(set(rows)) == 6
    assert {cell["exact_match"]["total"] for cell in result["cells"]} == {2}


def test_a_folder_without_the_task_is_an_error_without_a_traceback(
    model_folder: Path, tmp_path: Path
) -> None:
    result = run("babilong", "--data", tmp_path, "--books", tmp_path, "--model", model_folder)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: expected one file qa1_*_test.txt")

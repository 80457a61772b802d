"""What the reader reads: every passage with its place, and the same ids wherever it is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from lmos.model.formats import PromptFormat, ReadPassage, is_unknown, leans

MAY = 1_714_694_400.0
DIARY = ReadPassage("Fed the cat.\nIt rained.", "diary.md", MAY, ("May", "3 May"))


def encode(text: str) -> list[int]:
    return list(text.encode())


def decode(ids: Sequence[int]) -> str:
    return bytes(ids).decode()


def render(messages: Sequence[Mapping[str, str]]) -> str:
    turns = "".join(f"<{each['role']}>{each['content']}</>" for each in messages)
    return f"{turns}<assistant>"


@pytest.fixture
def chat() -> PromptFormat:
    return PromptFormat(encode, encode, render, frozenset({1}), system="Be brief.")


def test_a_whole_prompt_is_what_the_template_makes_of_it(chat: PromptFormat) -> None:
    ids = [*chat.context_ids([DIARY]), *chat.tail_ids("Who?\nWhen?", [("What?", "a cat")])]
    assert decode(ids) == (
        "<system>Be brief.</><user>Passages:\n"
        "[diary.md | 2024-05-03 | May > 3 May]\nFed the cat.\nIt rained.\n"
        "\nQuestion: What?</><assistant>a cat</><user>Question: Who? When?</><assistant>"
    )


def test_without_a_template_the_words_are_plain() -> None:
    plain = PromptFormat(encode, encode, None, system="Be brief.")
    ids = [*plain.context_ids([]), *plain.tail_ids("Who?"), *plain.answer_ids("Ida")]
    assert decode(ids) == "Be brief.\n\nPassages:\n(none)\n\nQuestion: Who?\nAnswer: Ida"
    assert plain.is_one_line


def test_only_plain_answers_end_with_their_line(chat: PromptFormat) -> None:
    assert not chat.is_one_line


def test_what_neighbours_share_is_said_once(chat: PromptFormat) -> None:
    other = ReadPassage("Slept.", "diary.md", MAY, ("May", "3 May"))
    rows = [ReadPassage(f"rope,{n}", "list.csv", None, (), "item,count") for n in (1, 2)]
    text = decode(chat.context_ids([DIARY, other, *rows, DIARY]))
    assert text.count("[diary.md | 2024-05-03 | May > 3 May]") == 2
    assert text.count("[list.csv]\nitem,count\nrope,1\nrope,2\n") == 1


def test_a_passage_never_costs_more_than_was_counted(chat: PromptFormat) -> None:
    row = ReadPassage("rope,1", "list.csv", None, (), "item,count")
    passages = [DIARY, DIARY, row, row, DIARY, ReadPassage("x")]
    pieces = chat.passage_ids(passages)
    for passage, piece in zip(passages, pieces, strict=True):
        assert len(piece) <= chat.passage_cost(passage)
    assert len(pieces[0]) == chat.passage_cost(DIARY)


def test_a_passage_without_text_is_not_mentioned(chat: PromptFormat) -> None:
    assert chat.passage_ids([ReadPassage(" \n", "diary.md")]) == [[]]


def test_a_time_that_no_calendar_has_is_left_out() -> None:
    assert ReadPassage("x", "a", 1e18).label == "[a]\n"
    assert ReadPassage("x").label == ""


@pytest.mark.parametrize("said", ["", "  ", "not found", "Not found.", '"not found"'])
def test_saying_nothing_is_not_knowing(said: str) -> None:
    assert is_unknown(said)


@pytest.mark.parametrize("said", ["no", "the fox was not found", "nothing"])
def test_other_answers_are_answers(said: str) -> None:
    assert not is_unknown(said)


@pytest.mark.parametrize(
    "asked", ["And when?", "Where does she live now?", "Why?", "how old is he"]
)
def test_a_question_that_points_back_leans(asked: str) -> None:
    assert leans(asked)


@pytest.mark.parametrize("asked", ["Where does Lena work now?", "What is the code of the garage?"])
def test_a_question_that_says_it_all_does_not(asked: str) -> None:
    assert not leans(asked)

"""The user's examples: read line by line, refused by file and line, made into contexts."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from commands import failure
from lmos.errors import DataError
from lmos.model.base import BaseModel
from lmos.training.contexts import Context
from lmos.training.corpus import is_held_out
from lmos.training.data import DataConfig, read_data
from lmos.training.examples import Example, ExampleSampler, MixedSampler, read_examples
from lmos.training.run import require_room

GOOD = {
    "context": ["Ravens nest early.", "The tower is old. Monks built it in 1312.\nBells came."],
    "question": "When was it built?",
    "answer": "1312",
    "gold": [1],
}


def example(*context: str, question: str = "What?", answer: str = "no", gold: int = 0) -> Example:
    return Example(context, question, answer, (gold,), "mine.jsonl, line 1")


def lines(*values: object) -> str:
    return "".join(f"{json.dumps(value)}\n" for value in values)


def gold_texts(context: Context) -> dict[str, list[str]]:
    text = context.text.encode()
    return {
        question.question: [text[gold.start : gold.stop].decode() for gold in question.golds]
        for question in context.questions
    }


def test_examples_are_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(lines({**GOOD, "id": 7}) + "\n" + lines({**GOOD, "gold": [1, 0, 1]}))
    first, second = read_examples(path)
    assert first.context == tuple(GOOD["context"])
    assert (first.question, first.answer) == ("When was it built?", "1312")
    assert first.place == f"{path}, line 1"
    assert (second.gold, second.place) == ((0, 1), f"{path}, line 3")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "expected a JSON object, got '{'"),
        ("[1, 2]", "expected a JSON object"),
        (lines({"question": "Why?"}), "context: expected a list of texts, got nothing"),
        (lines({**GOOD, "context": "Ravens"}), "context: expected a list of texts, got 'Ravens'"),
        (lines({**GOOD, "context": []}), "context: expected a list of texts"),
        (lines({**GOOD, "context": ["a", " "]}), "context: expected a list of texts"),
        (lines({**GOOD, "question": ""}), "question: expected text, got ''"),
        (lines({k: v for k, v in GOOD.items() if k != "answer"}), "answer: expected text, got no"),
        (lines({**GOOD, "answer": 1312}), "answer: expected text, got 1312"),
        (lines({**GOOD, "gold": []}), "gold: expected the indices of the passages"),
        (lines({**GOOD, "gold": [True]}), "gold: expected the indices"),
        (lines({**GOOD, "gold": [0, 2]}), "gold: expected indices from 0 to 1, got 2"),
        (lines({**GOOD, "gold": [-1]}), "gold: expected indices from 0 to 1, got -1"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(lines(GOOD) + line)
    with pytest.raises(DataError) as caught:
        read_examples(path)
    assert str(caught.value).startswith(f"{path}, line 2: ")
    assert message in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read as UTF-8"):
        read_examples(path)
    path.write_text("\n \n")
    with pytest.raises(DataError, match="holds no example"):
        read_examples(path)


def test_gold_is_where_the_answer_stands_or_else_the_whole_passage() -> None:
    text = "The tower is old. Monks built it in 1312.\nBells came later, in 1400."
    said = Example(("Ünder it ravens nest.", text), "When?", "in 1312", (1,), "")
    unsaid = Example(said.context, "How old?", "six centuries", (0, 1), "")
    context = ExampleSampler([said, unsaid]).sample(random.Random(0), 10, 10)
    assert gold_texts(context) == {
        "When?": ["Monks built it in 1312. "],
        "How old?": ["Ünder it ravens nest.\n", text.replace("\n", " ") + "\n"],
    }


def test_a_context_holds_whole_examples_until_it_is_long_enough() -> None:
    examples = [
        example(f"Passage {number} is short.", question=f"{number}?") for number in range(9)
    ]
    sampler = ExampleSampler(examples)
    short = sampler.sample(random.Random(0), 50, 9)
    assert len(short.questions) == 3
    everything = sampler.sample(random.Random(0), 10_000, 9)
    assert everything.text.count("Passage") == 9
    assert len({question.golds for question in everything.questions}) == 9
    assert sampler.sample(random.Random(0), 10_000, 4).text.count("Passage") == 9
    assert len(sampler.sample(random.Random(0), 10_000, 4).questions) == 4


def test_two_samplers_share_the_contexts() -> None:
    one, other = ExampleSampler([example("one")]), ExampleSampler([example("other")])
    rng = random.Random(0)
    drawn = [MixedSampler(one, other, 0.25).sample(rng, 1, 1).text for _ in range(400)]
    assert 60 < drawn.count("one\n") < 140


def test_examples_stand_beside_texts_or_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text(lines(GOOD, GOOD))
    alone = read_data(DataConfig(tmp_path))
    assert len(alone.examples) == 2
    assert "ravens" not in alone.passages.sample(random.Random(0), 100)
    assert alone.passages.sample(random.Random(0), 100).startswith("Ravens nest early.\nThe tower")
    (tmp_path / "sea.txt").write_text("The sea was calm. " * 20)
    beside = read_data(DataConfig(tmp_path))
    assert len(beside.examples) == 2
    assert "sea" in beside.passages.sample(random.Random(0), 100)
    assert read_data(DataConfig(tmp_path, exclude=("*.jsonl",))).examples == []


def test_a_folder_whose_texts_are_all_held_out_says_so(tmp_path: Path) -> None:
    name = next(f"{number}.txt" for number in range(1000) if is_held_out(f"{number}.txt"))
    (tmp_path / name).write_text("text")
    with pytest.raises(DataError, match="1 of the other split, which the names decide"):
        read_data(DataConfig(tmp_path))


def test_an_example_that_does_not_fit_the_model_is_named(tiny_llama: BaseModel) -> None:
    require_room(tiny_llama, [example("Ravens nest early.")])
    with pytest.raises(DataError, match=r"mine\.jsonl, line 1: the question takes 300 tokens"):
        require_room(tiny_llama, [example("Short.", question="?" * 300)])
    with pytest.raises(DataError, match="the question, the passages that it needs and the answer"):
        require_room(tiny_llama, [example("!" * 600)])
    # What is not needed may be as long as it likes.
    require_room(tiny_llama, [example("Ravens.", "!" * 600)])


def test_bad_examples_stop_a_training_before_it_writes(
    tiny_llama: BaseModel, tmp_path: Path
) -> None:
    tiny_llama.save_pretrained(tmp_path / "base")
    data, out = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    command: tuple[Any, ...] = ("train", "--base", tmp_path / "base", "--data", data, "--out", out)
    (data / "mine.jsonl").write_text(lines(GOOD, {**GOOD, "gold": [5]}))
    assert "mine.jsonl, line 2: gold: expected indices from 0 to 1, got 5" in failure(*command)
    (data / "mine.jsonl").write_text(lines({**GOOD, "context": ["a", "!" * 600]}))
    assert "mine.jsonl, line 1: the question, the passages" in failure(*command)
    assert not out.exists()

"""Openings: what all prompts begin with is read once, and answers are as if it were read anew."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from conftest import new_llama
from lmos.model.base import BaseModel
from lmos.model.decoding import Choice, Chosen, stream_tokens
from lmos.model.formats import ReadPassage

QUESTIONS = ("Who fed the cat?", "When?")
NUM_TOKENS = 5


@pytest.fixture
def model(tokenizer_folder: Path) -> BaseModel:
    return new_llama(tokenizer_folder)


def make_prompt(model: BaseModel, question: str) -> Tensor:
    ids = model.format.prompt_ids(question, [ReadPassage("Fed the cat.", "diary.md")])
    return model.embed(torch.tensor(ids)).detach()


def read_anew(model: BaseModel, prompt_TD: Tensor) -> list[Chosen]:
    choice = Choice(NUM_TOKENS)
    return list(stream_tokens(model.step, model._embed_one, prompt_TD[None], choice))


def require_same(model: BaseModel, prompt_TD: Tensor) -> None:
    # In this order: what is read anew is kept as the opening of the next prompt.
    got = list(model.generate(prompt_TD, NUM_TOKENS))
    expected = read_anew(model, prompt_TD)
    assert [each.token_id for each in got] == [each.token_id for each in expected]
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one.log_probabilities_V, other.log_probabilities_V)


class Heard:
    """How many items the first layer was given, pass by pass."""

    def __init__(self, model: BaseModel) -> None:
        self.lengths: list[int] = []
        model._layers()[0].register_forward_pre_hook(
            lambda _, arguments: self.lengths.append(arguments[0].shape[1])
        )


def test_answers_are_the_same_and_the_opening_is_read_once(model: BaseModel) -> None:
    next(model.generate(make_prompt(model, "Why?"), 1))
    for question in (*QUESTIONS, *QUESTIONS):
        require_same(model, make_prompt(model, question))
    heard, prompt_TD = Heard(model), make_prompt(model, "Where?")
    next(model.generate(prompt_TD, 1))
    assert heard.lengths == [len(prompt_TD) - len(model.format.head_ids(""))]


def test_other_weights_and_another_reader_read_it_anew(
    model: BaseModel, tokenizer_folder: Path, tmp_path: Path
) -> None:
    prompt_TD = make_prompt(model, QUESTIONS[0])
    require_same(model, prompt_TD)
    with torch.no_grad():
        for weight in model.module.parameters():
            weight.add_(
                0.02 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
            )
    require_same(model, make_prompt(model, QUESTIONS[0]))
    trained = new_llama(tokenizer_folder)
    trained.save_pretrained(tmp_path / "base")
    trained = BaseModel.from_pretrained(tmp_path / "base")
    trained.add_lora(2)
    with torch.no_grad():
        for name, weight in trained.module.named_parameters():
            if ".lora_" in name:
                weight.add_(0.2)
    trained.save_adapter(tmp_path / "reader")
    model.load_reader(tmp_path / "reader")
    require_same(model, make_prompt(model, QUESTIONS[0]))


def test_what_does_not_begin_so_is_read_whole(model: BaseModel) -> None:
    prompt_TD = make_prompt(model, QUESTIONS[0])
    heard = Heard(model)
    next(model.generate(prompt_TD[1:], 1))
    next(model.generate(prompt_TD[: len(model.format.head_ids(""))], 1))
    assert heard.lengths == [len(prompt_TD) - 1, len(model.format.head_ids(""))]

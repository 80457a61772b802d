"""When a turn is looked up in the store, and what the model says where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from conftest import new_llama
from lmos.errors import ConfigError, QueryError
from lmos.model.base import BaseModel
from lmos.model.lowrank import LowRank
from lmos.reading import needing
from lmos.session import Session
from test_threads import lora

TOLD = "Greta keeps a blue bicycle. Its lock opens with 4812."
TURNS = [("Who?", "Greta")]


@pytest.fixture(scope="module")
def session(tiny_llama: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    path = tmp_path_factory.mktemp("store") / "a.lmos"
    with Session.create(path, tiny_llama, (8, 2), window=32) as session:
        session.add("notes", TOLD)
        yield session


def test_never_answers_in_the_models_own_words(session: Session) -> None:
    answer = session.ask("Hello there", turns=TURNS, max_new_tokens=6, when="never").complete()
    prompt_TD = needing.own_prompt(session.model, "Hello there", TURNS)
    ids = [chosen.token_id for chosen in session.model.speak(prompt_TD, 6, 0.0, 0)]
    assert answer.text == session.model.decode(ids).lstrip().partition("\n")[0].rstrip("\ufffd")
    assert answer.is_own
    assert (answer.retrieval.hits, answer.citations, answer.reason) == ((), (), None)
    assert not answer.is_found


def test_uncertain_looks_up_what_the_reader_is_sure_not_to_know(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = needing.unknown_log_probability(session.model, "Who?")
    for least, is_own in ((said - 0.01, False), (said + 0.01, True)):
        monkeypatch.setattr(needing, "_LEAST_UNKNOWN", least)
        answer = session.ask("Who?", max_new_tokens=3, when="uncertain").complete()
        assert answer.is_own == is_own
        assert bool(answer.citations) != is_own


def test_always_is_the_default(session: Session) -> None:
    assert session.ask("Who?", max_new_tokens=3).citations


def test_the_models_own_words_are_said_without_the_reader(
    tokenizer_folder: Path, tmp_path: Path
) -> None:
    model = new_llama(tokenizer_folder)
    with torch.no_grad():
        x_TD: Tensor = model.embed(torch.tensor([5, 6, 7]))

    def first(reads: bool) -> Tensor:
        tokens = model.generate(x_TD, 2) if reads else model.speak(x_TD, 2, 0.0, 0)
        return next(iter(tokens)).log_probabilities_V

    plain = first(reads=False)
    assert plain.equal(first(reads=True))
    model._reader = LowRank(model.module, lora(tokenizer_folder, tmp_path))
    assert first(reads=False).equal(plain)
    assert not first(reads=True).equal(plain)


def test_mistakes_are_told(session: Session) -> None:
    with pytest.raises(ConfigError, match="when: expected one of always, never, uncertain"):
        session.ask("Who?", when="sometimes")
    with pytest.raises(QueryError, match="empty"):
        session.ask(" ", when="never")
    with pytest.raises(ConfigError, match="lower the budget or max_new_tokens"):
        session.ask("Who?", when="never", max_new_tokens=10_000)

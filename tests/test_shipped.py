"""The model that ships: found by name, with both adapters, it answers from what it was given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lmos.model.base import BaseModel
from lmos.session import Session, load_model

NOTES = """# Notes

## 4 May
The code of the cellar door is 7719. Ida has sold the canoe to Mr. Brandt.

## 9 May
The dentist moved to 14 Mill Lane. The garden hose is in the shed.
"""


@pytest.fixture(scope="module")
def model() -> BaseModel:
    return load_model()


@pytest.fixture
def session(model: BaseModel, tmp_path: Path) -> Iterator[Session]:
    with Session.create(tmp_path / "notes.lmos", model) as session:
        session.add("notes.md", NOTES)
        yield session


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is the code of the cellar door?", "7719"),
        ("Who did Ida sell the canoe to?", "Brandt"),
        ("Where is the garden hose?", "shed"),
    ],
)
def test_it_answers_and_cites(session: Session, question: str, answer: str) -> None:
    said = session.ask(question).complete()
    assert answer in said.text
    assert said.is_found
    assert answer in said.citations[0].text


def test_it_reads_what_is_asked_for_in_other_words(session: Session) -> None:
    # It is right, and near the limit of what is claimed: which side depends on the processor.
    said = session.ask("Who bought the canoe?").complete()
    assert "Brandt" in said.text
    assert "Brandt" in said.citations[0].text


def test_it_says_that_it_does_not_know(session: Session) -> None:
    assert not session.ask("What does Otto study in Vienna?").complete().is_found


def test_its_reader_can_be_left_out(model: BaseModel, tmp_path: Path) -> None:
    bare = load_model(reader="none")
    assert bare.answering_hash == bare.adapter_hash != model.answering_hash
    assert bare.calibration is None
    with Session.create(tmp_path / "bare.lmos", bare) as session:
        session.add("notes.md", NOTES)
    # A store is bound to what compressed it, not to who reads it.
    with Session.open(tmp_path / "bare.lmos", model) as session:
        assert "7719" in session.ask("What is the code of the cellar door?").complete().text


def test_calibration_belongs_to_adapter_and_reader(model: BaseModel) -> None:
    assert model.calibration is not None
    assert model.calibration.adapter_hash == model.answering_hash

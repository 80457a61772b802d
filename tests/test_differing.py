"""What single passages say when they are read again, with the model that ships."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from lmos import Session, load_model
from lmos.cli import main
from lmos.model.base import BaseModel
from lmos.model.formats import ReadPassage
from lmos.reading.differing import Reader

DAY = 86_400.0


@pytest.fixture(scope="module")
def model() -> BaseModel:
    return load_model()


@pytest.fixture
def session(model: BaseModel, tmp_path: Path) -> Iterator[Session]:
    with Session.create(tmp_path / "life.lmos", model) as session:
        yield session


def test_what_changed_is_told_beside_the_answer(session: Session) -> None:
    session.add("a.md", "The milk round starts at 6 am.", time=1000 * DAY)
    session.add("b.md", "From March the milk round starts at 5 am.", time=2000 * DAY)
    answer = session.ask("When does the milk round start?").complete()
    others = {other.text: other for other in answer.differing}
    assert answer.text == "5 am"
    assert list(others) == ["6 am"]
    assert others["6 am"].is_earlier
    assert others["6 am"].citation.source == "a.md"


def test_of_one_source_the_place_tells_which_is_earlier(session: Session) -> None:
    session.add("diary", "The rent is 640 pounds.\nThe cat slept.\nThe rent is 710 pounds now.\n")
    answer = session.ask("What is the rent?").complete()
    told = {answer.text, *(other.text for other in answer.differing)}
    assert told == {"640 pounds", "710 pounds"}
    assert [other.is_earlier for other in answer.differing] == [answer.text == "710 pounds"]


def test_what_is_said_of_others_does_not_differ(session: Session) -> None:
    session.add("notes", "The meeting with Olga is at 4 pm.\nThe meeting with Peter is at 5 pm.\n")
    answer = session.ask("When is the meeting with Olga?").complete()
    assert answer.text == "4 pm"
    assert answer.differing == ()


def test_the_same_in_other_words_does_not_differ(session: Session) -> None:
    session.add("notes", "The code of the shed is 4417.\nRemember: the code of the shed is 4417!\n")
    answer = session.ask("What is the code of the shed?").complete()
    assert answer.text == "4417"
    assert answer.differing == ()


def test_an_answer_is_read_again_in_its_own_passage(model: BaseModel) -> None:
    shed, bridge = ReadPassage("The shed code is 4417.", "a"), ReadPassage("Built in 1931.", "b")
    reader = Reader(model, "What is the code of the shed?", (), (shed, bridge))
    again, wrong = reader.read_again("4417"), reader.read_again("1931")
    assert again is not None
    assert again.is_same
    assert wrong is not None
    assert not wrong.is_same
    assert wrong.unknown_log_probability > again.unknown_log_probability


def test_what_stands_alone_or_nowhere_is_not_read_again(model: BaseModel) -> None:
    bridge, boat = ReadPassage("Built in 1931.", "b"), ReadPassage("There is no boat.", "c")
    question = "What is the code of the shed?"
    assert Reader(model, question, (), (bridge,)).read_again("1931") is None
    reader = Reader(model, question, (), (bridge, boat))
    assert [reader.read_again(said) for said in ("4417", "no")] == [None, None]
    assert reader.read_again("1931") is not None


def test_the_evidence_says_whether_the_passage_alone_holds_the_answer(session: Session) -> None:
    session.add("notes", "The code of the shed is 4417.\nThe bridge was built in 1931.\n")
    answer = session.ask("What is the code of the shed?").complete()
    assert answer.evidence is not None
    assert answer.text == "4417"
    assert answer.evidence.alone_share == 1


def test_the_command_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.md").write_text("The milk round starts at 6 am.\n")
    Path("b.md").write_text("From March the milk round starts at 5 am.\n")

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(main, list(arguments))
        assert result.exit_code == 0, result.output
        return result.stdout

    run("new", "life.lmos")
    run("add", "life.lmos", "a.md", "--time", "2024-01-05")
    run("add", "life.lmos", "b.md", "--time", "2024-03-01")
    lines = run("ask", "life.lmos", "When does the milk round start?").splitlines()
    assert lines[0] == "5 am"
    assert lines[1].startswith("(said earlier: 6 am – a.md, 2024-01-05")

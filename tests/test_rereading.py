"""What single passages say when they are read again, with the model that ships."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from openai import OpenAI

from lmos import Session, load_model
from lmos.cli import main
from lmos.mcp.sessions import OpenSessions
from lmos.mcp.tools import Tools
from lmos.model.base import BaseModel
from lmos.model.formats import ReadPassage
from lmos.reading.rereading import Reader
from lmos.reading.telling import without_differing
from lmos.server.openai.shapes import Message
from lmos.server.openai.talks import question_and_turns
from serving import Served, served

DAY = 86_400.0
QUESTION = "When does the milk round start?"
LINE = "(said earlier: 6 am – a.md, 1972-09-27"


@pytest.fixture(scope="module")
def model() -> BaseModel:
    return load_model()


@pytest.fixture
def session(model: BaseModel, tmp_path: Path) -> Iterator[Session]:
    with Session.create(tmp_path / "life.lmos", model) as session:
        yield session


def add_both(session: Session) -> None:
    """What was said first, and what later; at noon, which is the same day in most zones."""
    session.add("a.md", "The milk round starts at 6 am.", time=1000.5 * DAY)
    session.add("b.md", "From March the milk round starts at 5 am.", time=2000.5 * DAY)


@pytest.fixture(scope="module")
def server(model: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("stores")
    with Session.create(folder / "life.lmos", model) as session:
        add_both(session)
    with served(folder, model) as server:
        yield server


def test_what_changed_is_told_beside_the_answer(session: Session) -> None:
    add_both(session)
    answer = session.ask(QUESTION).complete()
    others = {other.text: other for other in answer.differing}
    assert answer.text == "5 am"
    assert list(others) == ["6 am"]
    assert others["6 am"].is_earlier
    assert others["6 am"].citation.source == "a.md"


def test_of_one_source_the_place_tells_which_is_earlier(session: Session) -> None:
    session.add("diary", "The rent is 640 pounds.\nThe cat slept.\nThe rent is 710 pounds now.\n")
    answer = session.ask("What is the rent?").complete()
    told = [text.split()[0] for text in (answer.text, *(each.text for each in answer.differing))]
    assert sorted(told) == ["640", "710"]
    assert [other.is_earlier for other in answer.differing] == [told[0] == "710"]


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


def test_rest_says_so(server: Served) -> None:
    with server.client() as client:
        reply = client.post("/stores/life/ask", json={"question": QUESTION}).json()
        body = {"question": QUESTION, "stream": True}
        events = client.post("/stores/life/ask", json=body).text.split("\n\n")
    (other,) = reply["differing"]
    assert (reply["answer"], other["answer"], other["is_earlier"]) == ("5 am", "6 am", True)
    cited = other["citation"]
    assert (cited["source"], cited["time"]) == ("a.md", 1000.5 * DAY)
    assert (cited["start_byte"], cited["end_byte"], cited["text"]) == (
        *(0, 30),
        "The milk round starts at 6 am.",
    )
    (last,) = [each for each in events if each.startswith("event: answer")]
    assert json.loads(last.split("data: ", 1)[1])["differing"] == reply["differing"]


def test_clients_of_openai_read_it_below_the_answer(server: Served) -> None:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        completion = client.chat.completions.create(
            model="life", messages=[{"role": "user", "content": QUESTION}]
        )
        response = client.responses.create(model="life", input=QUESTION)
        more = client.responses.create(
            model="life", input="And on Sundays?", previous_response_id=response.id
        )
    said = completion.choices[0].message.content or ""
    assert said.split("\n\n")[0].strip() == "5 am"
    assert said.split("\n\n")[1].startswith(LINE)
    assert response.output_text == said
    assert completion.to_dict()["lmos"]["differing"][0]["answer"] == "6 am"  # type: ignore[index]
    assert more.output_text


def test_a_talk_goes_on_from_the_answer_alone(server: Served) -> None:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        completion = client.chat.completions.create(
            model="life", messages=[{"role": "user", "content": QUESTION}]
        )
    said = completion.choices[0].message.content or ""
    talk = [("user", QUESTION), ("assistant", said), ("user", "And on Sundays?")]
    _, turns, _ = question_and_turns(
        [Message.model_validate({"role": who, "content": text}) for who, text in talk]
    )
    assert turns == ((QUESTION, "5 am"),)
    assert without_differing("Two (said earlier: one) of them") == "Two (said earlier: one) of them"


def test_agents_are_told(session: Session) -> None:
    add_both(session)
    given = Tools(OpenSessions({"life": session})).ask(QUESTION, store="life")
    (other,) = given.differing
    assert (given.answer, other.answer, other.is_earlier) == ("5 am", "6 am", True)
    assert (other.time or "").startswith("1972-09-27")
    assert other.citation.id == "lmos://life/a.md#0-30"

"""LangChain: documents that say where they are from, and a history kept in a store."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("langchain_core")

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from lmos.errors import ConfigError
from lmos.integrations.langchain import LmosChatMessageHistory, LmosRetriever
from lmos.model.base import BaseModel
from lmos.session import Session

FACTS = [f"Guest {name} came on Monday.\n\n" for name in ("Eva", "Ada", "Hugo", "Greta", "Clara")]


@pytest.fixture
def session(tiny_llama: BaseModel, tmp_path: Path) -> Session:
    session = Session.create(tmp_path / "life.lmos", tiny_llama)
    for number, fact in enumerate(FACTS):
        session.add(f"day {number}", fact)
    return session


def test_the_retriever_returns_documents_that_say_where_they_are_from(session: Session) -> None:
    retriever = LmosRetriever(session=session)
    (document,) = retriever.invoke("Did Hugo come?", k=1)
    assert isinstance(document, Document)
    where = document.metadata
    told = FACTS[int(where["source"].removeprefix("day "))].encode()
    assert document.page_content.encode() == told[where["start_byte"] : where["end_byte"]]
    assert document.page_content == told.decode().strip()
    assert len(retriever.invoke("Who came?")) == 5
    assert len(LmosRetriever(session=session, k=3).invoke("Who came?")) == 3
    with pytest.raises(ConfigError, match="at least one"):
        retriever.invoke("Who came?", k=0)


def test_a_talk_goes_on_where_it_was(session: Session) -> None:
    history = LmosChatMessageHistory(session, "talk")
    assert history.messages == []
    said: list[BaseMessage] = [
        HumanMessage("Who\ncame? \u2028 🌍"),
        AIMessage("Eva.", tool_calls=[{"name": "look", "args": {"x": 1}, "id": "1"}]),
    ]
    history.add_messages(said)
    history.add_user_message("And who went?")
    said.append(HumanMessage("And who went?"))
    assert LmosChatMessageHistory(session, "talk").messages == said
    history.clear()
    history.clear()
    assert history.messages == []
    assert "talk" not in [source.name for source in session.sources()]

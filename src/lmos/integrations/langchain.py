"""LangChain: a retriever over a store, and the history of a chat in one.

Knows LangChain's classes and sessions. Needs `pip install 'lmos[langchain]'`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from lmos.integrations.passages import find_passages, metadata_of, missing, place_of
from lmos.search.retriever import RetrievalConfig
from lmos.session import Session

try:
    from langchain_core.callbacks import CallbackManagerForRetrieverRun
    from langchain_core.chat_history import BaseChatMessageHistory
    from langchain_core.documents import Document
    from langchain_core.messages import BaseMessage, message_to_dict, messages_from_dict
    from langchain_core.retrievers import BaseRetriever
except ImportError as error:
    raise missing("langchain-core", "langchain") from error


class LmosRetriever(BaseRetriever):
    """Passages of a store as documents, best first.

    Attributes:
        session: Open, for reading at least.
        k: Most documents; `invoke(question, k=3)` says otherwise for once.
        config: How to search.
    """

    session: Session
    k: int = 5
    config: RetrievalConfig | None = None

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        found = find_passages(self.session, query, self.k if k is None else k, self.config)
        return [
            Document(id=place_of(each), page_content=each.text, metadata=metadata_of(each))
            for each in found
        ]


class LmosChatMessageHistory(BaseChatMessageHistory):
    """Messages of one talk, kept in a source of a store, a line of JSON each.

    Args:
        session: Open for writing, or shared.
        talk: Name of the source; a talk goes on where it was.
    """

    def __init__(self, session: Session, talk: str) -> None:
        self._session = session
        self._talk = talk

    @property
    def messages(self) -> list[BaseMessage]:
        """All of them, oldest first."""
        with self._session.store.snapshot():
            source = self._session.store.find_source(self._talk)
            text = "" if source is None else self._session.store.text(source.source_id).decode()
        return list(messages_from_dict([json.loads(line) for line in text.split("\n") if line]))

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Keep more of them; durable when this returns."""
        lines = [json.dumps(_as_dict(message), ensure_ascii=False) + "\n" for message in messages]
        if lines:
            self._session.append(self._talk, "".join(lines))

    def clear(self) -> None:
        """Forget the talk for good."""
        with self._session.store.writing():
            if self._session.store.find_source(self._talk) is not None:
                self._session.forget(self._talk)


def _as_dict(message: BaseMessage) -> dict[str, Any]:
    value: dict[str, Any] = message_to_dict(message)
    # What is left out has its default when it is read again.
    data = {name: each for name, each in value["data"].items() if each not in (None, {}, [], False)}
    return {**value, "data": {"content": message.content, **data}}

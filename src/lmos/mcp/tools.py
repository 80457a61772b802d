"""The tools: what an agent may do with a memory. Their words are for the agent that reads them.

Knows sessions and what their verbs return. Does not know how a tool is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import chain, zip_longest
from typing import Annotated

from pydantic import Field

from lmos.errors import DataError
from lmos.mcp.documents import (
    cited_passage,
    differing_answer,
    fetch_document,
    found_passage,
    listed_source,
    newest_first,
)
from lmos.mcp.places import Place
from lmos.mcp.sessions import Sessions
from lmos.mcp.shapes import (
    Document,
    Forgotten,
    FoundPassage,
    GivenAnswer,
    Noted,
    SearchResults,
    SourceList,
)
from lmos.nodes import Span
from lmos.search.retriever import RetrievalConfig
from lmos.session import Session
from lmos.upkeep.folders import names_like

DEFAULT_SOURCE = "memory"
_TOKENS_PER_RESULT = 128

Store = Annotated[str, Field(description="Which memory, by name; the instructions list them.")]
AnyStore = Annotated[
    str | None,
    Field(description="Which memory, by name; all of them when left out."),
]
Since = Annotated[
    datetime | None,
    Field(description="Only sources of this time or later, such as 2024-05-17."),
]
Until = Annotated[
    datetime | None,
    Field(description="Only sources before this time, such as 2024-06-01."),
]
SourceName = Annotated[
    str, Field(description="Name of the source, as search, ask and sources show it.")
]


class Tools:
    """Tools over sessions, one a method.

    Args:
        sessions: By name of their store.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def search(
        self,
        query: Annotated[
            str,
            Field(description="A question, or the words and names that the text would have."),
        ],
        limit: Annotated[int, Field(ge=1, le=50, description="Most passages.")] = 8,
        since: Since = None,
        until: Until = None,
        store: AnyStore = None,
    ) -> SearchResults:
        """Find passages in the long-term memory: notes, documents, diaries, earlier talks.

        Use it first, before you say that you do not know something about the user, their work or
        their documents, and before you remember a fact, to see whether it is there already. Ask a
        whole question with names in it, rather than one word. Passages come best first, word for
        word; give an id to fetch to read what stands around it. Nothing is changed.
        """
        config = RetrievalConfig(
            max_texts=limit,
            budget=limit * _TOKENS_PER_RESULT,
            since=_seconds(since),
            until=_seconds(until),
        )
        found = [self._search(name, query, config) for name in self._named(store)]
        # Scores of different models cannot be compared: the best of each, then the second of each.
        ranked = chain.from_iterable(zip_longest(*found))
        return SearchResults(results=[each for each in ranked if each is not None][:limit])

    def fetch(
        self,
        id: Annotated[str, Field(description="An id that search, ask, sources or fetch returned.")],
    ) -> Document:
        """Read the text around a passage that was found, or a source from its beginning.

        Returns about 8,000 bytes at once. metadata.next_id and metadata.previous_id, where they
        are there, fetch the text that goes on from it and the text before. Nothing is changed.
        """
        place = Place.parse(id, self._sessions.names())
        with self._sessions.reading(place.store) as session:
            return fetch_document(session.store, place)

    def ask(
        self,
        question: Annotated[str, Field(description="One whole question, with names in it.")],
        since: Since = None,
        until: Until = None,
        *,
        store: Store,
    ) -> GivenAnswer:
        """Answer a question from the memory with its own small model, and cite the passages.

        Good for short facts: a code, a date, a name, who did what. is_found is false when the
        memory does not hold the answer; then guess is not to be trusted, though citations may
        still help. differing holds what other passages say instead, earlier or later: a fact may
        have changed. Check the citations before you rely on an answer. For anything that takes
        thought or several passages, use search and read for yourself. Nothing is changed.
        """
        config = RetrievalConfig(since=_seconds(since), until=_seconds(until))
        with self._sessions.reading(store) as session:
            answer = session.ask(question, config).complete()
        said = answer.text.strip() or None
        return GivenAnswer(
            is_found=answer.is_found,
            answer=said if answer.is_found else None,
            confidence=round(answer.confidence, 3),
            guess=said if answer.is_given and not answer.is_found else None,
            reason=answer.reason,
            citations=[
                cited_passage(store, citation, is_found=answer.is_found)
                for citation in answer.citations
            ],
            differing=[differing_answer(store, other) for other in answer.differing],
        )

    def remember(
        self,
        text: Annotated[str, Field(description="What to remember, as whole sentences.")],
        source: Annotated[
            str,
            Field(description="The source that it is added to, made if it is not there."),
        ] = DEFAULT_SOURCE,
        labels: Annotated[
            dict[str, str] | None,
            Field(description="Labels of the source, such as author or project."),
        ] = None,
        *,
        store: Store,
    ) -> Noted:
        """Add text to the end of a source, so that this and every later conversation finds it.

        Use it when the user tells you something that will matter again, or asks you to remember.
        Write each fact as a sentence that is understood on its own: full names in place of he or
        it, and the date in place of today ("On 2024-05-17 Nadia Brook said that she is allergic
        to walnuts."). Search first: if a fact has changed, use update instead. Do not store
        secrets unless the user asks for it.
        """
        with self._sessions.writing(store) as session, session.store.writing():
            known = session.store.find_source(source)
            start = 0 if known is None else known.num_bytes
            now = session.append(source, text.strip() + "\n", metadata=labels)
        place = Place(store, now.name, Span(start, now.num_bytes))
        return Noted(id=place.id, url=place.url, source=now.name, num_tokens=now.num_tokens)

    def update(
        self,
        source: SourceName,
        old: Annotated[
            str,
            Field(description="Text of the source to replace: exact, and standing there once."),
        ],
        new: Annotated[
            str, Field(description="What stands in its place; empty to take the old text out.")
        ],
        *,
        store: Store,
    ) -> Noted:
        """Replace a passage of a source: correct a fact that has changed, or take one out.

        Copy old from a result of search or fetch, whole, so that it stands in the source exactly
        once. The old text is gone for good. To remove a whole source, use forget.
        """
        with self._sessions.writing(store) as session, session.store.writing():
            known = session.store.source(source)
            text = session.store.text(known.source_id).decode()
            at = _only_place(text, old, source)
            changed = text[:at] + new + text[at + len(old) :]
            if not changed.strip():
                raise DataError(f"{source}: nothing would be left of it; use forget to remove it")
            now = session.add(source, changed)
        start = len(text[:at].encode())
        place = Place(store, now.name, Span(start, start + max(1, len(new.encode()))))
        return Noted(id=place.id, url=place.url, source=now.name, num_tokens=now.num_tokens)

    def forget(self, source: SourceName, *, store: Store) -> Forgotten:
        """Remove a whole source from the memory, for good: its text and all that was made of it.

        Only when the user asks for it. To take out one fact of a source, use update with an empty
        new.
        """
        with self._sessions.writing(store) as session, session.store.writing():
            num_bytes = session.store.source(source).num_bytes
            session.forget(source)
        return Forgotten(store=store, source=source, num_bytes=num_bytes)

    def sources(
        self,
        like: Annotated[
            str, Field(description="A name, or a pattern: * is any characters, ? is one.")
        ] = "*",
        limit: Annotated[int, Field(ge=1, le=1000, description="Most sources.")] = 100,
        store: AnyStore = None,
    ) -> SourceList:
        """List what the memory is made of, the newest first: names, times, labels, sizes.

        Use it to see what there is, or to find the name of a source. To find out what a source
        says, use search. Nothing is changed.
        """
        listed = []
        for name in self._named(store):
            with self._sessions.reading(name) as session:
                known = {source.name: source for source in session.sources()}
            meant = [known[each] for each in names_like(like, known)]
            listed += [listed_source(name, source) for source in newest_first(meant)]
        return SourceList(sources=listed[:limit], num_left_out=max(0, len(listed) - limit))

    def _named(self, store: str | None) -> Sequence[str]:
        return self._sessions.names() if store is None else [store]

    def _search(self, name: str, query: str, config: RetrievalConfig) -> list[FoundPassage]:
        with self._sessions.reading(name) as session:
            return _find(session, name, query, config)


def _find(session: Session, name: str, query: str, config: RetrievalConfig) -> list[FoundPassage]:
    # A passage and its citation are read from one commit.
    with session.store.snapshot():
        citations = session.cite(session.retrieve(query, config))
    return [found_passage(name, citation) for citation in citations]


def _seconds(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()


def _only_place(text: str, old: str, source: str) -> int:
    """Where the only `old` of a text begins.

    Raises:
        DataError: It does not stand there, or more than once.
    """
    if not old:
        raise DataError(f"{source}: expected the text to replace, got none; use remember to add")
    at, last = text.find(old), text.rfind(old)
    if at == last >= 0:
        return at
    found = "does not stand there" if at < 0 else "stands there more than once"
    raise DataError(
        f"{source}: expected old to stand there exactly once; it {found}. Fetch the source and "
        "copy the passage with enough of the text around it"
    )

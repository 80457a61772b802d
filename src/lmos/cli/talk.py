"""A talk with a store: what the user tells is remembered, what he asks is answered.

Neither questions nor answers are stored: they would be found again as if somebody had told them.
Knows a session. Does not know where lines come from.
"""

from __future__ import annotations

from typing import Any

from lmos.cli.show.answers import answer_json, complete, say, sureness
from lmos.cli.show.output import note, print_json, printable
from lmos.cli.turns import Turn
from lmos.reading.answers import Answer
from lmos.search.retriever import RetrievalConfig
from lmos.session import Session


class Talk:
    """One talk, line by line.

    Args:
        session: Open for writing, or shared.
        source: That statements are appended to.
        config: How to retrieve.
        answering: How to answer, by the names of `Session.ask`.
        as_json: Whether every turn is printed as one line of JSON.

    Attributes:
        turns: Questions of this talk and their answers, if one was found, oldest first.
    """

    def __init__(
        self,
        session: Session,
        source: str,
        config: RetrievalConfig,
        answering: dict[str, Any],
        *,
        as_json: bool,
    ) -> None:
        self.turns: list[tuple[str, str]] = []
        self._session = session
        self._source = source
        self._config = config
        self._answering = answering
        self._as_json = as_json

    def take(self, turn: Turn) -> None:
        """Answer or remember what the user says, and show that.

        Raises:
            LmosError: It cannot be done; the talk can go on.
        """
        if turn.is_question:
            self._answer(turn.text)
        else:
            self._remember(turn.text)

    def _remember(self, statement: str) -> None:
        self._session.append(self._source, statement + "\n")
        if self._as_json:
            print_json({"told": statement, "source": self._source}, on_one_line=True)
        else:
            note("noted")

    def _answer(self, question: str) -> None:
        answer = complete(
            self._session.ask(question, self._config, turns=self.turns, **self._answering)
        )
        if answer.is_found or answer.is_own:
            self.turns.append((question, answer.text.strip()))
        if self._as_json:
            said = {"question": question, "is_own": answer.is_own, **answer_json(answer)}
            print_json(said, on_one_line=True)
            return
        say(answer)
        if answer.is_found:
            note(f"from {_names(answer)}; {sureness(answer)}")


def _names(answer: Answer) -> str:
    names = dict.fromkeys(citation.source for citation in answer.citations)
    return ", ".join(map(printable, names))

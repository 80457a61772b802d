"""Messages of a talk -> the question and the turns before it; and which store is asked.

Knows the bodies that clients send, and the access of a request. Does not answer.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Header

from lmos.reading.telling import without_differing
from lmos.server.access import Access
from lmos.server.openai.shapes import InputItem, Message, Part
from lmos.server.problems import Problem

Turns = tuple[tuple[str, str], ...]
_TEXT_PARTS = ("text", "input_text", "output_text")
_MAX_KEPT_TALKS = 1_000
_MAX_KEPT_TURNS = 3


class StoreChoice:
    """Finds the store that a request of an OpenAI client means."""

    def __init__(
        self,
        access: Annotated[Access, Depends(Access)],
        x_lmos_store: Annotated[str | None, Header(description="The store that is asked.")] = None,
    ) -> None:
        self.access = access
        self._header = x_lmos_store

    def named(self, user: str | None, model: str) -> str:
        """The store that is named: by header, `user`, model or key, in this order.

        Raises:
            Problem: None is named, or the key does not open it.
        """
        named = self._header or user
        if named:
            return self.access.to_read(named)
        names = self.access.names()
        if model in names:
            return self.access.to_read(model)
        if self.access.only_store is not None:
            return self.access.to_read(self.access.only_store)
        if len(names) == 1:
            return self.access.to_read(names[0])
        raise Problem(
            400,
            "expected the name of a store: in the header X-Lmos-Store, as user, or as model",
            code="no_store_named",
            param="user",
        )


Chosen = Annotated[StoreChoice, Depends(StoreChoice)]
"""The choice of a request, as a parameter of a route."""


def question_and_turns(messages: Sequence[Message | InputItem]) -> tuple[str, Turns, list[str]]:
    """The last question, the turns before it, and the roles of what is not read.

    Raises:
        Problem: The last message is no question, or one has something other than text.
    """
    said: list[tuple[str, str]] = []
    ignored: list[str] = []
    for number, message in enumerate(messages):
        if message.role in ("user", "assistant"):
            said.append((message.role, _text_of(message, number)))
        else:
            kind = message.type if isinstance(message, InputItem) else "message"
            ignored.append(message.role or kind)
    if not said or said[-1][0] != "user":
        raise Problem(
            400, "expected a question as the last message, of the role user", code="no_question",
            param="messages",
        )  # fmt: skip
    turns = tuple(
        (asked, without_differing(answer))
        for (who, asked), (other, answer) in itertools.pairwise(said)
        if (who, other) == ("user", "assistant")
    )
    return said[-1][1], turns, ignored


def _text_of(message: Message | InputItem, number: int) -> str:
    if isinstance(message.content, str):
        return message.content
    parts: list[Part] = message.content or []
    if any(part.type not in _TEXT_PARTS or part.text is None for part in parts):
        raise Problem(
            400, "expected parts of text; pictures and files are not read", code="not_text",
            param=f"messages.{number}.content",
        )  # fmt: skip
    return "".join(part.text or "" for part in parts)


class KeptTalks:
    """The turns of the last responses, in memory, so that a talk can go on from one of them."""

    def __init__(self) -> None:
        self._turns: OrderedDict[tuple[str, str], Turns] = OrderedDict()

    def keep(self, store: str, response_id: str, turns: Turns) -> None:
        """Remember what was said until a response; the oldest talks are forgotten."""
        self._turns[store, response_id] = turns[-_MAX_KEPT_TURNS:]
        while len(self._turns) > _MAX_KEPT_TALKS:
            self._turns.popitem(last=False)

    def before(self, store: str, response_id: str | None) -> Turns:
        """What was said until a response to the same store.

        Raises:
            Problem: It is not known, or was to another store.
        """
        if response_id is None:
            return ()
        turns = self._turns.get((store, response_id))
        if turns is None:
            raise Problem(
                404,
                f"there is no response {response_id[:80]!r} of this store to go on from; send the "
                "messages before instead",
                code="previous_response_not_found",
                param="previous_response_id",
            )
        return turns

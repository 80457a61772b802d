"""The reader's format: passages and a question in, token ids in front of an answer out.

One format for training and for use: pieces, what each costs, what ends an answer, and what an
answer says. Knows text and token ids; knows neither models nor stores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

UNKNOWN_ANSWER = "not found"
"""What a reader says when nothing it was given answers the question."""

SYSTEM_PROMPT = (
    "Answer the question from the passages, in as few words as it allows. "
    f'If they do not hold the answer, say "{UNKNOWN_ANSWER}".'
)
_NO_PASSAGES = "(none)\n"
_SLOT = "\x1dslot\x1d"

Message = Mapping[str, str]
Turn = tuple[str, str]
"""A question and its answer."""


@dataclass(frozen=True)
class ReadPassage:
    """A passage as the reader sees it.

    Attributes:
        text: Readable text; its lines are kept.
        source: Name of the source.
        time: Of the source, in seconds since the epoch, or `None` when unknown.
        headings: The headings it stands under, outermost first.
        columns: The header row, for a row of a table.
    """

    text: str
    source: str = ""
    time: float | None = None
    headings: tuple[str, ...] = ()
    columns: str | None = None

    @property
    def label(self) -> str:
        """Where it stands, in one line; empty when nothing is known."""
        day = "" if self.time is None else datetime.fromtimestamp(self.time, UTC).date().isoformat()
        parts = [self.source, day, " > ".join(self.headings)]
        line = " | ".join(" ".join(part.split()) for part in parts if part.strip())
        return f"[{line}]\n" if line else ""


@dataclass(frozen=True)
class PromptFormat:
    """How a reader is asked.

    Args:
        encode: Plain text to token ids; control tokens that are spelled out stay text.
        encode_control: Text of a chat template to token ids, control tokens among them.
        render: A chat template: messages to text, ready for the answer; `None` if there is none.
        stop_ids: Tokens that end an answer.
        system: What the reader is told first.
    """

    encode: Callable[[str], Sequence[int]]
    encode_control: Callable[[str], Sequence[int]]
    render: Callable[[Sequence[Message]], str] | None = None
    stop_ids: frozenset[int] = field(default_factory=frozenset)
    system: str = SYSTEM_PROMPT

    def passage_pieces(self, passages: Sequence[ReadPassage]) -> list[list[str]]:
        """The pieces of each passage; what it shares with the one before is not said again."""
        pieces: list[list[str]] = []
        label, columns = "", None
        for passage in passages:
            mine: list[str] = []
            if passage.label != label:
                label, columns = passage.label, None
                mine.append(label)
            if passage.columns is not None and passage.columns != columns:
                columns = passage.columns
                mine.append(f"{columns}\n")
            pieces.append([*mine, f"{passage.text.strip()}\n"])
        return pieces

    def passage_cost(self, passage: ReadPassage) -> int:
        """Most tokens that the passage takes, whatever stands beside it."""
        return sum(len(self.encode(piece)) for piece in self.passage_pieces([passage])[0])

    def context_ids(self, passages: Sequence[ReadPassage]) -> list[int]:
        """Everything that stands before the first question: the template's head, the passages."""
        head, _, _ = self._frame
        ids = list(head)
        pieces = [piece for each in self.passage_pieces(passages) for piece in each]
        for piece in ["Passages:\n", *(pieces or [_NO_PASSAGES])]:
            ids.extend(self.encode(piece))
        return ids

    def question_ids(self, question: str, turns: Sequence[Turn] = ()) -> list[int]:
        """The turns before, the question, and everything up to the answer's first token."""
        _, answer_head, next_head = self._frame
        ids: list[int] = list(self.encode("\n"))
        for asked, answer in turns:
            ids += [*self._asked(asked), *answer_head, *self.answer_ids(answer), *next_head]
        return [*ids, *self._asked(question), *answer_head]

    def _asked(self, question: str) -> list[int]:
        return list(self.encode(f"Question: {' '.join(question.split())}"))

    def answer_ids(self, answer: str) -> list[int]:
        """An answer as the reader says it, without what ends it."""
        return list(self.encode(answer if self.render is not None else f" {answer}"))

    @cached_property
    def _frame(self) -> tuple[list[int], list[int], list[int]]:
        """Ids before the passages, between a question and its answer, and between two turns."""
        if self.render is None:
            head, answer_head, next_head = f"{self.system}\n\n", "\nAnswer:", "\n\n"
            return (
                list(self.encode(head)),
                list(self.encode(answer_head)),
                list(self.encode(next_head)),
            )
        roles = ("system", "user", "assistant", "user")
        text = self.render([{"role": role, "content": _SLOT} for role in roles])
        before, between, answer, after, _ = map(self.encode_control, text.split(_SLOT))
        return [*before, *self.encode(self.system), *between], list(answer), list(after)


def is_unknown(said: str) -> bool:
    """Whether an answer says that it does not know, or nothing at all."""
    plain = said.strip(" .!\n\"'").casefold()
    return not plain or plain == UNKNOWN_ANSWER

"""What the reader reads: passages and a question in, token ids up to the answer's first out.

One format for searching (what a passage costs), answering and training. Knows text and token ids;
knows neither models nor stores.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from lmos.model.prompts import SYSTEM_PROMPT, UNKNOWN_ANSWER

_NO_PASSAGES = "(none)\n"
_FEW_WORDS = 3
_JOINING = frozenset(("and", "or", "but", "then", "und", "et", "y", "e"))
_POINTING = frozenset(
    "it its he him his she her hers they them their that this those these there then one".split()
)
_SLOT = "\x1dslot\x1d"

Encode = Callable[[str], Sequence[int]]
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
        day = "" if self.time is None else _day(self.time)
        parts = [self.source, day, " > ".join(self.headings)]
        line = " | ".join(" ".join(part.split()) for part in parts if part.strip())
        return f"[{line}]\n" if line else ""

    @property
    def words(self) -> str:
        """Everything that the reader is told of it: label, columns and text."""
        return f"{self.label}{self.columns or ''}\n{self.text}"


def _day(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return ""


class AbstractFormat(abc.ABC):
    """How a reader is asked.

    Attributes:
        stop_ids: Tokens that end an answer.
    """

    stop_ids: frozenset[int]

    @property
    def is_one_line(self) -> bool:
        """Whether the first line break ends an answer too."""
        return False

    @abc.abstractmethod
    def head_ids(self, question: str) -> list[int]:
        """Everything that stands before the passages."""

    @abc.abstractmethod
    def passage_ids(self, passages: Sequence[ReadPassage]) -> list[list[int]]:
        """Each passage in turn; what one shares with the one before need not be said again."""

    @abc.abstractmethod
    def tail_ids(self, question: str, turns: Sequence[Turn] = ()) -> list[int]:
        """Everything between the passages and the answer's first token.

        Args:
            question: As asked.
            turns: Questions that were asked before, and their answers.
        """

    @abc.abstractmethod
    def answer_ids(self, answer: str) -> list[int]:
        """An answer as the reader says it, without what ends it."""

    def prompt_ids(
        self, question: str, passages: Sequence[ReadPassage], turns: Sequence[Turn] = ()
    ) -> list[int]:
        """Everything up to the answer.

        Args:
            question: As asked.
            passages: In the order in which they are read.
            turns: Questions that were asked before, and their answers.
        """
        pieces = self.passage_ids(passages)
        read = [each for piece in pieces for each in piece]
        return [*self.head_ids(question), *read, *self.tail_ids(question, turns)]

    def passage_cost(self, passage: ReadPassage) -> int:
        """A passage takes at most so many tokens, whatever stands beside it."""
        return sum(map(len, self.passage_ids([passage])))


@dataclass(frozen=True)
class PromptFormat(AbstractFormat):
    """Passages with source, date and headings, then the question.

    In the turns of the model's own chat template; for a model without one, plainly:

        Answer the question from the passages, ...

        Passages:
        [diary.md | 2024-05-03 | May > 3 May]
        Fed the cat.

        Question: Who was fed?
        Answer: the cat

    A model that was never taught to end such an answer begins a line with something else, so
    there the first line break ends it.

    Args:
        encode: Plain text to token ids; control tokens that are spelled out stay text.
        encode_control: Text of a chat template to token ids, control tokens among them.
        render: A chat template: messages to text, ready for the answer; `None` if there is none.
        stop_ids: Tokens that end an answer.
        system: What the reader is told first.
    """

    encode: Encode
    encode_control: Encode
    render: Callable[[Sequence[Message]], str] | None = None
    stop_ids: frozenset[int] = field(default_factory=frozenset)
    system: str = SYSTEM_PROMPT

    @property
    def is_one_line(self) -> bool:
        """See `AbstractFormat`."""
        return self.render is None

    def head_ids(self, question: str = "") -> list[int]:
        """See `AbstractFormat.head_ids`; the question is not among it."""
        head, _, _ = self._frame
        return [*head, *self.encode("Passages:\n")]

    def passage_ids(self, passages: Sequence[ReadPassage]) -> list[list[int]]:
        """See `AbstractFormat.passage_ids`; without any, one piece that says so."""
        pieces = self.passage_pieces(passages) or [[_NO_PASSAGES]]
        return [
            [each for piece in pieces_of for each in self.encode(piece)] for pieces_of in pieces
        ]

    def passage_pieces(self, passages: Sequence[ReadPassage]) -> list[list[str]]:
        """The text of each passage, in pieces that are encoded one by one."""
        pieces: list[list[str]] = []
        label, columns = "", None
        for passage in passages:
            mine: list[str] = []
            if not passage.text.strip():
                pieces.append(mine)
                continue
            if passage.label != label:
                label, columns = passage.label, None
                mine.append(label)
            if passage.columns is not None and passage.columns != columns:
                columns = passage.columns
                mine.append(f"{columns}\n")
            pieces.append([*mine, f"{passage.text.strip()}\n"])
        return pieces

    def tail_ids(self, question: str, turns: Sequence[Turn] = ()) -> list[int]:
        """See `AbstractFormat.tail_ids`."""
        _, answer_head, next_head = self._frame
        ids: list[int] = list(self.encode("\n"))
        for asked, answer in turns:
            ids += [*self._asked(asked), *answer_head, *self.answer_ids(answer), *next_head]
        return [*ids, *self._asked(question), *answer_head]

    def answer_ids(self, answer: str) -> list[int]:
        """See `AbstractFormat.answer_ids`."""
        return list(self.encode(answer if self.render is not None else f" {answer}"))

    def context_ids(self, passages: Sequence[ReadPassage]) -> list[int]:
        """Everything up to the question: the same for all questions about the same passages."""
        pieces = self.passage_ids(passages)
        return [*self.head_ids(), *(each for piece in pieces for each in piece)]

    def _asked(self, question: str) -> list[int]:
        return list(self.encode(f"Question: {' '.join(question.split())}"))

    @cached_property
    def _frame(self) -> tuple[list[int], list[int], list[int]]:
        """Ids before the passages, between a question and its answer, and between two turns."""
        if self.render is None:
            texts = (f"{self.system}\n\n", "\nAnswer:", "\n\n")
            head, answer_head, next_head = (list(self.encode(text)) for text in texts)
            return head, answer_head, next_head
        roles = ("system", "user", "assistant", "user")
        text = self.render([{"role": role, "content": _SLOT} for role in roles])
        before, between, answer, after, _ = map(self.encode_control, text.split(_SLOT))
        return [*before, *self.encode(self.system), *between], list(answer), list(after)


def leans(question: str) -> bool:
    """Whether a question cannot be understood without the one before it, by its look."""
    words = [word.strip("?!.,'\"").casefold() for word in question.split()]
    return len(words) <= _FEW_WORDS or words[0] in _JOINING or not _POINTING.isdisjoint(words)


def is_unknown(said: str) -> bool:
    """Whether an answer says that it does not know, or nothing at all."""
    plain = said.strip(" .!\n\"'").casefold()
    return not plain or plain == UNKNOWN_ANSWER

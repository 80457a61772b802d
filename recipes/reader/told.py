"""Samples from written blocks: statements with slots, and what may be asked about each.

A block of `told/*.txt` is set off by a blank line. `: slot = a | b` gives a slot its own words;
`? question / another wording | answer` asks, and `-` is the answer of what is not told; every
other line is one wording of the statement, and one that begins with `+` follows the statement.
Knows text and samples; knows no tokens.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lmos.model.prompts import UNKNOWN_ANSWER
from recipes.reader import names
from recipes.reader.samples import Asked, Document, Line, Sample, passages_of, random_name
from recipes.reader.samples import random_time as draw_time

FOLDER = Path(__file__).parent / "told"
_SLOT = re.compile(r"\{([a-z]+)(\d?)\}")
_MAKERS: dict[str, names.Make] = {
    "n": names.first_name,
    "f": names.person,
    "s": names.surname,
    "c": names.town,
    "st": names.street,
    "tel": names.phone,
    "k": names.code,
    "pw": names.password,
    "m": names.money,
    "a": names.amount,
    "h": names.clock,
    "d": names.date,
    "mo": names.month,
    "w": names.weekday,
    "i": lambda rng: str(rng.randint(2, 95)),
    "j": lambda rng: str(rng.randint(2, 28)),
    "y": lambda rng: str(rng.randint(1948, 2029)),
    "e": lambda rng: f"{rng.randint(2, 890)} {rng.choice(('€', 'euro', 'EUR'))}",
    "z": lambda rng: f"{rng.randint(6, 22)}:{rng.choice(('00', '15', '20', '30', '45'))}",
    "v": lambda rng: f"{rng.randint(0, 12)}.{rng.randint(0, 30)}.{rng.randint(0, 9)}",
}
_ANCHORS = frozenset(("n", "f", "s", "c", "k", "st"))


@dataclass(frozen=True)
class Block:
    """Something that may be told.

    Attributes:
        words: Slots of its own.
        statements: Wordings; one is told.
        more: Lines that follow it.
        asked: Wordings of a question, and its answer.
    """

    words: dict[str, tuple[str, ...]]
    statements: tuple[str, ...]
    more: tuple[str, ...]
    asked: tuple[tuple[tuple[str, ...], str], ...]

    @property
    def can_repeat(self) -> bool:
        """Whether every question names what it is about, so that the block may be told twice."""
        told = {match[0] for match in _SLOT.finditer(" ".join((*self.statements, *self.more)))}
        return all(
            any(m[0] in told and m[1] in _ANCHORS for m in _SLOT.finditer(question))
            for wordings, answer in self.asked
            for question in wordings
            if answer != "-"
        )


def read_blocks(path: Path) -> list[Block]:
    """The blocks of a file."""
    return [_block(text) for text in path.read_text(encoding="utf-8").split("\n\n") if text.strip()]


def _block(text: str) -> Block:
    words: dict[str, tuple[str, ...]] = {}
    told: list[str] = []
    more: list[str] = []
    asked = []
    for line in text.strip().splitlines():
        if line.startswith(": "):
            slot, _, choices = line[2:].partition(" = ")
            words[slot] = tuple(choices.split(" | "))
        elif line.startswith("? "):
            question, _, answer = line[2:].rpartition(" | ")
            asked.append((tuple(question.split(" / ")), answer))
        elif line.startswith("+ "):
            more.append(line[2:])
        else:
            told.append(line)
    assert told, text
    assert all(answer for _, answer in asked), text
    return Block(words, tuple(told), tuple(more), tuple(asked))


class Told:
    """Notes of a few blocks each, all of one file.

    Args:
        paths: Files of blocks.
        kind: Of the samples.
    """

    def __init__(self, paths: Sequence[Path], kind: str) -> None:
        self._files = [read_blocks(path) for path in paths]
        self._kind = kind

    def draw(self, rng: random.Random) -> Sample | None:
        """Draw a sample; `None` if it came out empty."""
        blocks = rng.choice(self._files)
        chosen = rng.sample(blocks, min(len(blocks), rng.randint(2, 6)))
        repeated = [each for each in chosen if each.can_repeat and rng.random() < 0.4]
        used: set[str] = set()
        groups: list[list[str]] = []
        asked: list[Asked] = []
        for block in (*chosen, *repeated):
            lines, questions = _tell(rng, block, used)
            groups.append(lines)
            asked += questions
        rng.shuffle(groups)
        texts = [text for group in groups for text in group]
        mark = rng.choice(("", "", "", "- ", "* "))
        lines_ = tuple(Line(mark + text, n) for n, text in enumerate(texts))
        time = draw_time(rng) if rng.random() < 0.8 else None
        document = Document(random_name(rng), lines_, time)
        kept = frozenset((0, line.place) for line in lines_)
        rng.shuffle(asked)
        clear = _clear(asked)
        return Sample(passages_of([document], kept), clear[:9], self._kind) if clear else None


def _tell(rng: random.Random, block: Block, used: set[str]) -> tuple[list[str], list[Asked]]:
    filled: dict[str, str] = {}

    def fill(match: re.Match[str]) -> str:
        slot = match[0]
        if slot not in filled:
            own = block.words.get(match[1])
            taken = {text for other, text in filled.items() if other[1 : 1 + len(match[1])]}
            for _ in range(60):
                value = rng.choice(own) if own else _MAKERS[match[1]](rng)
                if value not in taken and (value not in used or match[1] == "w"):
                    break
            filled[slot] = value
            used.add(value)
        return filled[slot]

    told = [_SLOT.sub(fill, text) for text in (rng.choice(block.statements), *block.more)]
    told = [text[0].upper() + text[1:] if rng.random() < 0.9 else text for text in told]
    asked = []
    for wordings, answer in block.asked:
        question = _SLOT.sub(fill, rng.choice(wordings))
        said = UNKNOWN_ANSWER if answer == "-" else _SLOT.sub(fill, answer)
        if rng.random() < 0.12:
            question = question.rstrip("?").lower() if rng.random() < 0.5 else question.lower()
        asked.append(Asked(question[0].upper() + question[1:], said))
    return told, asked


def _clear(asked: Sequence[Asked]) -> tuple[Asked, ...]:
    """Questions that are asked once, or always have the same answer."""
    answers: dict[str, set[str]] = {}
    for each in asked:
        answers.setdefault(each.question, set()).add(each.answer)
    kept = {each.question: each for each in asked if len(answers[each.question]) == 1}
    return tuple(kept.values())

"""Samples: passages with several questions, as the reader is trained on them.

Knows text and the reader's passages. Knows neither tokens nor where a text comes from.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from lmos.model.formats import ReadPassage, Turn
from lmos.model.prompts import UNKNOWN_ANSWER

_FIRST_DAY, _LAST_DAY = datetime(2016, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC)
_NAMES = """
notes.txt note diary.md journal.md life.md todo.txt inbox.md work.md house.txt people.md misc.txt
log.txt chat.txt transcript.txt README.md docs.md letter.txt book.txt story.txt page.txt article.txt
meeting.md memo.txt today.md archive.txt export.csv data.csv family.txt travel.md manual.md
""".split()


@dataclass(frozen=True)
class Asked:
    """A question, the answer that the reader shall give, and the turns before it."""

    question: str
    answer: str
    turns: tuple[Turn, ...] = ()


@dataclass(frozen=True)
class Sample:
    """Passages, in the order in which they are read, and what is asked of them."""

    passages: tuple[ReadPassage, ...]
    asked: tuple[Asked, ...]
    kind: str = ""


@dataclass(frozen=True)
class Line:
    """A unit of text in its document.

    Attributes:
        text: A sentence, a list item, a row.
        place: Its number in the document.
        headings: What it stands under.
        columns: The header row, for a row of a table.
    """

    text: str
    place: int
    headings: tuple[str, ...] = ()
    columns: str | None = None


@dataclass(frozen=True)
class Document:
    """A named text in lines."""

    name: str
    lines: tuple[Line, ...]
    time: float | None = None


@dataclass(frozen=True)
class Question:
    """What is asked of some documents.

    Attributes:
        question: In words.
        answer: The best one; `None` when the documents hold none.
        golds: The lines that it needs: number of the document, number of the line.
    """

    question: str
    answer: str | None
    golds: frozenset[tuple[int, int]] = field(default_factory=frozenset)


def random_time(rng: random.Random) -> float:
    """A day of the last years, in seconds since the epoch."""
    first, last = _FIRST_DAY.timestamp(), _LAST_DAY.timestamp()
    return rng.uniform(first, last)


def random_name(rng: random.Random) -> str:
    """The name of a file, as people have them; folders before it at times."""
    name = rng.choice(_NAMES)
    return f"{rng.choice(_NAMES).split('.')[0]}/{name}" if rng.random() < 0.2 else name


def passages_of(
    documents: Sequence[Document], kept: frozenset[tuple[int, int]]
) -> tuple[ReadPassage, ...]:
    """The lines that were kept as the reader sees them, by time, then by place."""
    order = sorted(range(len(documents)), key=lambda number: documents[number].time or 0.0)
    return tuple(
        ReadPassage(line.text, document.name, document.time, line.headings, line.columns)
        for number, document in ((number, documents[number]) for number in order)
        for line in document.lines
        if (number, line.place) in kept
    )


def choose_lines(
    rng: random.Random,
    documents: Sequence[Document],
    golds: frozenset[tuple[int, int]],
    room: int,
    margin: float,
) -> frozenset[tuple[int, int]]:
    """Gold lines, at times with their neighbours, and others until `room` characters are full."""
    lines = {(n, line.place): line.text for n, each in enumerate(documents) for line in each.lines}
    kept = {place for place in golds if place in lines}
    for number, line in sorted(kept):
        for beside in ((number, line - 1), (number, line + 1)):
            if beside in lines and rng.random() < margin:
                kept.add(beside)
    spare = [place for place in lines if place not in kept]
    rng.shuffle(spare)
    used = sum(len(lines[place]) for place in kept)
    for place in spare:
        if used + len(lines[place]) <= room:
            kept.add(place)
            used += len(lines[place])
    return frozenset(kept)


def ask(
    rng: random.Random,
    documents: Sequence[Document],
    questions: Sequence[Question],
    kind: str,
    *,
    room: int,
    num_questions: int,
    drop_share: float,
    margin: float = 0.6,
) -> Sample | None:
    """A sample: some lines of the documents, and questions of which some lost their gold lines.

    Args:
        rng: Of all choices.
        documents: What may be read.
        questions: What may be asked.
        kind: Of the sample.
        room: Characters of text, beside the gold lines.
        num_questions: At most.
        drop_share: Share of the samples in which the gold lines of one question are left out.
        margin: Chance that a neighbour of a gold line is read too.
    """
    asked = rng.sample(list(questions), min(num_questions, len(questions)))
    answerable = [each for each in asked if each.answer is not None]
    dropped: frozenset[tuple[int, int]] = frozenset()
    if answerable and rng.random() < drop_share:
        dropped = rng.choice(answerable).golds
    golds = frozenset(gold for each in answerable for gold in each.golds) - dropped
    kept = choose_lines(rng, documents, golds, room, margin) - dropped
    passages = passages_of(documents, kept)
    text = "\n".join(passage.text for passage in passages).casefold()
    told = []
    for each in asked:
        if each.answer is not None and each.golds <= kept:
            told.append(Asked(each.question, each.answer))
        elif each.answer is None or each.answer.casefold() not in text:
            told.append(Asked(each.question, UNKNOWN_ANSWER))
    rng.shuffle(told)
    return Sample(passages, tuple(told), kind) if told else None


def with_turns(rng: random.Random, sample: Sample, share: float) -> Sample:
    """Some questions asked after another one of the sample, with its answer."""
    if len(sample.asked) < 2:
        return sample
    asked = []
    for each in sample.asked:
        if not each.turns and rng.random() < share:
            others = [other for other in sample.asked if other is not each]
            before = rng.sample(others, min(len(others), rng.choice((1, 1, 2))))
            turns = tuple((other.question, other.answer) for other in before)
            asked.append(replace(each, turns=turns))
        else:
            asked.append(each)
    return replace(sample, asked=tuple(asked))

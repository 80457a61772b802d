"""Where samples come from: public questions, stories, facts of templates, notes written by hand.

Each source draws one sample from a random generator. Knows files and text; knows no tokens.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lmos.text.lines import Kind, kind_of
from lmos.training.corpus import is_held_out
from lmos.training.facts import Fact, make_fact, make_facts, make_update
from lmos.training.families import TRAINING_FAMILIES, Family
from lmos.training.questions import PassageQuestion, group_by_title
from lmos.training.stories import make_story
from lmos.training.words import WordBank
from lmos.tree.segments import iter_units
from recipes.reader.samples import (
    Asked,
    Document,
    Line,
    Question,
    Sample,
    ask,
    passages_of,
    random_name,
    random_time,
)

Draw = Callable[[random.Random], Sample | None]
_WORD = re.compile(r"\w+")
_HEADING = re.compile(r"^#{1,6}\s+(.*)")
_NOTES_HELD_OUT = 0.12


def sentences(text: str) -> list[str]:
    """Sentences of prose."""
    return [unit.strip() for unit in iter_units(text, 400) if unit.strip()]


class Passages:
    """Real passages with questions: the gold sentence among near misses of its own document."""

    def __init__(
        self, passages: Sequence[PassageQuestion], kind: str, *, is_extractive: bool
    ) -> None:
        self._kind = kind
        self._documents: list[tuple[Document, list[list[Question]]]] = []
        for group in group_by_title(passages):
            self._documents.append(self._index(group, is_extractive))
        self._starts = [
            (number, passage)
            for number, (_, asked) in enumerate(self._documents)
            for passage in range(len(asked))
        ]

    def _index(
        self, group: Sequence[PassageQuestion], is_extractive: bool
    ) -> tuple[Document, list[list[Question]]]:
        lines: list[Line] = []
        asked: list[list[Question]] = []
        for passage in group:
            first = len(lines)
            units = sentences(passage.passage)
            lines.extend(Line(text, first + n) for n, text in enumerate(units))
            of_passage = []
            for question, answer in passage.pairs:
                places = [first + n for n, text in enumerate(units) if answer in text]
                if not is_extractive:
                    golds = frozenset((0, first + n) for n in range(len(units)))
                elif places:
                    golds = frozenset(
                        {(0, max(places, key=lambda n: _shared(question, lines[n].text)))}
                    )
                else:
                    continue
                if len(answer) < 120:
                    of_passage.append(Question(question, answer.strip(" ."), golds))
            if of_passage:
                asked.append(of_passage)
        return Document(group[0].title, tuple(lines)), asked

    def draw(self, rng: random.Random) -> Sample | None:
        """Draw a sample; `None` if it came out empty."""
        number, passage = rng.choice(self._starts)
        document, by_passage = self._documents[number]
        own = by_passage[passage]
        questions = rng.sample(own, min(len(own), rng.randint(2, 6)))
        if rng.random() < 0.3:
            others = rng.choice(by_passage)
            questions += rng.sample(others, min(len(others), 2))
        questions = list({each.question: each for each in questions}.values())
        hard = self._near(document, questions, rng)
        golds = {place for each in questions for _, place in each.golds}
        near = [line for line in document.lines if line.place in hard or line.place in golds]
        time: float | None
        if rng.random() < 0.5:
            name, time = random_name(rng), random_time(rng)
        else:
            name, time = document.name.replace("_", " "), rng.choice((None, random_time(rng)))
        some = Document(name, tuple(near), time)
        return ask(
            rng,
            [some],
            questions,
            self._kind,
            room=10_000,
            num_questions=8,
            drop_share=0.3,
            margin=0.0,
        )

    def _near(
        self, document: Document, questions: Sequence[Question], rng: random.Random
    ) -> set[int]:
        """Sentences that share rare words with a question, a few each, and neighbours of golds."""
        counts = _counts(document)
        found: set[int] = set()
        per_question = rng.choice((1, 1, 2))
        for each in questions:
            words = _words(each.question)
            weigh = {
                line.place: sum(1 / counts[word] for word in sorted(_words(line.text) & words))
                for line in document.lines
            }
            best = sorted(weigh, key=lambda place: -weigh[place])
            found.update(best[:per_question])
            if rng.random() < 0.3:
                found.update(place + step for _, place in each.golds for step in (-1, 1))
        return found


_COUNTS: dict[int, Counter[str]] = {}


def _counts(document: Document) -> Counter[str]:
    if id(document) not in _COUNTS:
        _COUNTS[id(document)] = Counter(
            word for line in document.lines for word in _words(line.text)
        )
    return _COUNTS[id(document)]


def _words(text: str) -> set[str]:
    return {word.casefold() for word in _WORD.findall(text)}


def _shared(question: str, text: str) -> int:
    return len(_words(question) & _words(text))


# Notes written by hand


def read_notes(folder: Path, *, held_out: bool) -> list[tuple[list[Document], list[Question]]]:
    """Documents and questions of every line of every JSONL file; a part is held out."""
    rows = []
    for path in sorted(folder.glob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
            if line.strip() and is_held_out(f"{path.stem}:{number}", _NOTES_HELD_OUT) == held_out:
                try:
                    rows.append(_note(json.loads(line)))
                except (ValueError, KeyError, TypeError):
                    continue
    return rows


def _note(row: dict[str, Any]) -> tuple[list[Document], list[Question]]:
    documents = []
    for source in row["sources"]:
        time = source.get("time")
        seconds = None if time is None else datetime.fromisoformat(time).replace(tzinfo=UTC)
        documents.append(
            Document(
                source["name"],
                tuple(structure(source["text"])),
                None if seconds is None else seconds.timestamp(),
            )
        )
    questions = []
    for each in row["questions"]:
        golds = {
            (number, line.place)
            for evidence in each["evidence"]
            for number, document in enumerate(documents)
            for line in document.lines
            if _overlaps(evidence, line)
        }
        answer = None if each["answers"] is None else each["answers"][0]
        if answer is None or golds:
            questions.append(Question(each["question"], answer, frozenset(golds)))
    return documents, questions


def _overlaps(evidence: str, line: Line) -> bool:
    parts = [part.strip() for part in evidence.splitlines() if part.strip()]
    text = line.text
    return any(
        part in text or text in part or part.lstrip("# ") in line.headings
        for part in (*parts, " ".join(evidence.split()))
    )


def structure(text: str) -> list[Line]:
    """Lines of a note: sentences of paragraphs, list items, rows, turns; headings on top."""
    lines: list[Line] = []
    headings: tuple[tuple[int, str], ...] = ()
    columns: str | None = None
    in_code = False
    blocks = text.split("\n")
    for number, raw in enumerate(blocks):
        row = raw.strip()
        if row.startswith("```"):
            in_code = not in_code
            continue
        match = None if in_code else _HEADING.match(row)
        if match:
            depth = len(row) - len(row.lstrip("#"))
            headings = (*(each for each in headings if each[0] < depth), (depth, match[1]))
            columns = None
            continue
        if not row:
            columns = None
            continue
        path = tuple(name for _, name in headings)
        is_said = kind_of(row) in (Kind.TURN, Kind.RECORD)
        has_fields = row.count(",") >= 2 and "  " not in row and ". " not in row
        is_row = row.count("|") >= 3 or (has_fields and not is_said)
        if is_row and columns is None and number + 1 < len(blocks):
            below = blocks[number + 1]
            if below.count("|") >= 3 or below.count(",") == row.count(","):
                columns = row
                continue
        if is_row and set(row) <= set("|-: "):
            continue
        if is_row or in_code or re.match(r"^([-*+•]|\d+[.)]|\[)", row):
            units = [row]
        else:
            columns = None
            units = sentences(row)
        for unit in units:
            lines.append(Line(unit, len(lines), path, columns if is_row else None))
    return lines


class Notes:
    """Notes written by hand, whole or in part, at times beside the notes of others."""

    def __init__(self, rows: Sequence[tuple[list[Document], list[Question]]]) -> None:
        self._rows = list(rows)

    def draw(self, rng: random.Random) -> Sample | None:
        """Draw a sample; `None` if it came out empty."""
        documents, questions = rng.choice(self._rows)
        documents = [_dated(document, rng) for document in documents]
        if rng.random() < 0.35:
            others, _ = rng.choice(self._rows)
            documents += [_dated(each, rng) for each in others[:1]]
        return ask(
            rng,
            documents,
            questions,
            "notes",
            room=rng.choice((150, 400, 1200)),
            num_questions=9,
            drop_share=0.15,
        )


def _dated(document: Document, rng: random.Random) -> Document:
    time = random_time(rng) if document.time is None and rng.random() < 0.85 else document.time
    name = document.name if rng.random() < 0.7 else random_name(rng)
    return Document(name, document.lines, time)


# Stories


class Stories:
    """Small worlds in which things move; the order tells."""

    def __init__(self, words: WordBank) -> None:
        self._words = words

    def draw(self, rng: random.Random) -> Sample | None:
        """Draw a sample; `None` if it came out empty."""
        story = make_story(rng, self._words, rng.randint(3, 16), 5)
        lines = tuple(Line(text, n) for n, text in enumerate(story.sentences))
        document = Document(random_name(rng), lines, random_time(rng))
        everything = frozenset((0, line.place) for line in lines)
        asked = tuple(Asked(each.question, each.answer) for each in story.questions)
        return Sample(passages_of([document], everything), asked, "stories")


class Babi:
    """bAbI's training stories: tasks that ask where, what, who, yes or no, how many.

    Args:
        folder: With `en` and `en-10k`.
        tasks: Names of those to read; all by default.
    """

    def __init__(self, folder: Path, tasks: Sequence[str] = ()) -> None:
        self._stories: list[tuple[tuple[str, ...], list[Asked]]] = []
        for path in sorted(folder.glob("en-10k/*_train.txt")) + sorted(
            folder.glob("en/qa3_*_train.txt")
        ):
            if not tasks or path.name.partition("_")[0] in tasks:
                self._stories += _read_babi(path)

    def draw(self, rng: random.Random) -> Sample | None:
        """Draw a sample; `None` if it came out empty."""
        texts, asked = rng.choice(self._stories)
        document = Document(
            random_name(rng), tuple(Line(t, n) for n, t in enumerate(texts)), random_time(rng)
        )
        everything = frozenset((0, n) for n in range(len(texts)))
        return Sample(passages_of([document], everything), tuple(asked), "babi")


def _read_babi(path: Path) -> list[tuple[tuple[str, ...], list[Asked]]]:
    """Every question with what came before it; the last fifth of a file is held out."""
    stories: list[tuple[tuple[str, ...], list[Asked]]] = []
    texts: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        number, rest = line.split(" ", 1)
        if number == "1":
            texts = []
        if "\t" in rest:
            question, answer, _ = rest.split("\t")
            if len(texts) <= 30:
                said = " and ".join(answer.split(",")) if "," in answer else answer
                stories.append((tuple(texts), [Asked(question.strip(), said)]))
        else:
            texts.append(rest.strip())
    return stories[: int(len(stories) * 0.8)]


# Facts of templates


class Facts:
    """Facts of templates, some of them changed later; half of the time of a few relations only."""

    def __init__(self, words: WordBank) -> None:
        self._words = words

    def draw(self, rng: random.Random) -> Sample | None:
        """Draw a sample; `None` if it came out empty."""
        families: Sequence[Family] = TRAINING_FAMILIES
        if rng.random() < 0.5:
            families = rng.sample(families, rng.choice((1, 2, 3)))
        facts = make_facts(rng, self._words, families, rng.randint(3, 9))
        is_dated = rng.random() < 0.5
        early, late = sorted((random_time(rng), random_time(rng)))
        first: list[str] = []
        second: list[str] = []
        asked: list[Asked] = []
        for fact in facts:
            draw = rng.random()
            if draw < 0.2:
                asked.append(Asked(fact.question, "not found"))
                continue
            (first if rng.random() < 0.6 else second).append(fact.statement)
            if draw < 0.45 and fact.statement in first and self._is_clear(fact):
                fact = make_update(rng, self._words, fact)
                second.append(fact.statement)
            asked.append(Asked(fact.question, fact.answer))
        if rng.random() < 0.4:
            self._follow(rng, first if first else second, asked)
        if is_dated:
            names = random_name(rng), random_name(rng)
            documents = [
                Document(name, tuple(Line(t, n) for n, t in enumerate(texts)), time)
                for name, texts, time in zip(names, (first, second), (early, late), strict=True)
            ]
        else:
            lines = tuple(Line(text, n) for n, text in enumerate((*first, *second)))
            documents = [Document(random_name(rng), lines, late)]
        kept = frozenset(
            (number, line.place) for number, each in enumerate(documents) for line in each.lines
        )
        return Sample(passages_of(documents, kept), tuple(asked), "facts") if asked else None

    def _follow(self, rng: random.Random, texts: list[str], asked: list[Asked]) -> None:
        """A fact of the same family about someone else, asked for in few words after the first."""
        for fact in make_facts(rng, self._words, TRAINING_FAMILIES, 12):
            names = [name for slot, name in fact.origin.fillers.items() if slot == "person"]
            if len(names) != 1 or names[0] not in fact.question or names[0] == fact.answer:
                continue
            family = replace(fact.origin.family, statements=(fact.origin.family.statements[0],))
            for _ in range(30):
                other = make_fact(rng, self._words, [family])
                name = other.origin.fillers.get("person")
                same = other.origin.asked == fact.origin.asked
                if same and name and _asks_alike(fact, other):
                    break
            else:
                continue
            texts += [fact.statement, other.statement]
            words = rng.choice(("And {}?", "What about {}?", "and {}?", "And for {}?"))
            turn = (fact.question, fact.answer)
            asked.append(Asked(words.format(name), other.answer, (turn,)))
            return

    @staticmethod
    def _is_clear(fact: Fact) -> bool:
        return fact.answer in fact.statement


def _asks_alike(fact: Fact, other: Fact) -> bool:
    """Whether the two questions name a person and nothing else."""
    old, new = fact.origin.fillers["person"], other.origin.fillers["person"]
    named = [
        filler
        for each in (fact, other)
        for slot, filler in each.origin.fillers.items()
        if slot != "person" and filler in each.question
    ]
    return old != new and not named

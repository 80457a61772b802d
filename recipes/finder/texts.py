"""Texts with questions, cut as the product cuts them: which leaves does a question need?

Knows file formats and segments; knows no models.
"""

from __future__ import annotations

import csv
import json
import random
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lmos.model.tokens import Tokens
from lmos.training.corpus import is_held_out
from lmos.training.facts import Fact, make_facts, make_near_miss
from lmos.training.families import TRAINING_FAMILIES
from lmos.training.words import WordBank
from lmos.tree.segments import SegmentConfig, Window, iter_windows

Encode = Callable[[str], Tokens]


@dataclass(frozen=True)
class Asked:
    """A question's tokens, and the leaves that answer it: any one of them will do."""

    ids: tuple[int, ...]
    golds: tuple[int, ...]
    passage: int = -1
    text: str = ""


@dataclass
class Text:
    """A text in windows, and questions about it.

    Attributes:
        name: Of its document.
        windows: Token ids and spans of each.
        first_leaves: Number of the first leaf of each window.
        asked: Questions.
        leaf_passages: Paragraph in which each leaf starts, where that is known.
        leaf_texts: Text of each leaf.
    """

    name: str
    kind: str
    windows: list[Window]
    first_leaves: list[int]
    asked: list[Asked]
    leaf_passages: list[int]
    leaf_texts: list[str]

    @property
    def num_leaves(self) -> int:
        """Leaves in all."""
        return self.first_leaves[-1] + len(self.windows[-1].spans)


def cut(
    name: str,
    kind: str,
    paragraphs: Sequence[str],
    questions: Sequence[tuple[str, int, int, int]],
    encode: Encode,
    config: SegmentConfig,
    joint: str = "\n\n",
) -> Text:
    """Cut paragraphs as one text.

    Args:
        name: Of the document.
        kind: Of the text, see `Text`.
        paragraphs: In their order.
        encode: Text to tokens.
        config: How to cut.
        joint: What stands between two paragraphs.
        questions: Question, number of its paragraph, first and last character of what answers it.
    """
    text = joint.join(paragraphs)
    data = text.encode()
    windows = list(iter_windows(text, encode, config))
    spans = [window.byte_span_of(span) for window in windows for span in window.spans]
    starts = [span.start for span in spans]
    first_leaves, count = [], 0
    for window in windows:
        first_leaves.append(count)
        count += len(window.spans)
    char_starts, place = [], 0
    for paragraph in paragraphs:
        char_starts.append(place)
        place += len(paragraph) + len(joint)
    byte_starts = [len(text[:at].encode()) for at in char_starts]
    asked = []
    for question, number, first, last in questions:
        at = byte_starts[number] + len(paragraphs[number][:first].encode())
        end = byte_starts[number] + len(paragraphs[number][:last].encode())
        low, high = bisect_right(starts, at) - 1, bisect_right(starts, max(at, end - 1)) - 1
        ids = encode(question).ids[:64]
        asked.append(Asked(ids, tuple(range(low, high + 1)), number, question))
    passages = [bisect_right(byte_starts, start) - 1 for start in starts]
    texts = [data[span.start : span.stop].decode() for span in spans]
    return Text(name, kind, windows, first_leaves, asked, passages, texts)


def read_squad(path: Path, split: str, encode: Encode, config: SegmentConfig) -> Iterator[Text]:
    """Articles of SQuAD; `split` is train, dev (the last 20 articles of training) or report."""
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    train = [each for each in articles if not is_held_out(each["title"])]
    chosen = {
        "train": train[:-20],
        "dev": train[-20:],
        "report": [each for each in articles if is_held_out(each["title"])],
    }[split]
    for article in chosen:
        paragraphs = [each["context"] for each in article["paragraphs"]]
        questions = [
            (qa["question"].strip(), number, answer["answer_start"], end)
            for number, each in enumerate(article["paragraphs"])
            for qa in each["qas"]
            for answer in qa["answers"][:1]
            for end in [answer["answer_start"] + len(answer["text"])]
        ]
        yield cut(article["title"], "squad", paragraphs, questions, encode, config)


def read_fairytales(
    folder: Path, held_out: bool, encode: Encode, config: SegmentConfig
) -> Iterator[Text]:
    """Stories of FairytaleQA; any leaf of the section answers."""
    for story in sorted(folder.glob("section-stories/*/*-story.csv")):
        title = story.name.removesuffix("-story.csv")
        if is_held_out(title) != held_out:
            continue
        with story.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        paragraphs = [row["text"].replace("\n", " ") for row in rows]
        number = {row["section"]: n for n, row in enumerate(rows)}
        path = folder / "questions" / story.parent.name / f"{title}-questions.csv"
        questions = []
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["cor_section"] in number and row["answer1"]:
                    place = number[row["cor_section"]]
                    answer = row["answer1"].strip(" .")
                    at = paragraphs[place].find(answer)
                    first, last = (at, at + len(answer)) if at >= 0 else (0, len(paragraphs[place]))
                    questions.append((row["question"].strip(), place, first, last))
        yield cut(title, "fairytale", paragraphs, questions, encode, config)


def read_meetings(folder: Path, encode: Encode, config: SegmentConfig) -> Iterator[Text]:
    """Meetings of QMSum; any turn of the relevant stretch answers."""
    for path in sorted(folder.glob("*.json")):
        meeting = json.loads(path.read_text(encoding="utf-8"))
        turns = [f"{turn['speaker']}: {turn['content']}" for turn in meeting["meeting_transcripts"]]
        joint, questions = "\n", []
        starts, place = [], 0
        for turn in turns:
            starts.append(place)
            place += len(turn) + len(joint)
        whole = joint.join(turns)
        for each in meeting["specific_query_list"]:
            for span in each["relevant_text_span"][:1]:
                first, last = int(span[0]), min(int(span[1]), len(turns) - 1)
                if last - first < 30 and first <= last:
                    end = starts[last] + len(turns[last])
                    questions.append((each["query"], 0, starts[first], end))
        if questions:
            yield cut(path.stem, "meeting", [whole], questions, encode, config)


def read_dialogs(
    path: Path, encode: Encode, config: SegmentConfig, count: int, seed: int = 0
) -> Iterator[Text]:
    """Dialogs joined to sessions, without questions."""
    rows = path.read_text(encoding="utf-8").splitlines()
    rng = random.Random(seed)
    rng.shuffle(rows)
    names = (("Ana", "Ben"), ("Marisol", "Teun"), ("user", "assistant"), ("Kofi", "Dagny"))
    for start in range(0, min(count, len(rows)), 8):
        lines = []
        for row in rows[start : start + 8]:
            pair = rng.choice(names)
            for speaker, said in json.loads(row)["turns"]:
                lines.append(f"{pair[speaker != 'USER']}: {said}")
        yield cut(f"dialog {start}", "dialog", ["\n".join(lines)], [], encode, config)


def read_notes(
    folder: Path, held_out: bool, encode: Encode, config: SegmentConfig
) -> Iterator[Text]:
    """Notes written by hand, many in one text; the leaves of the evidence answer."""
    rows = []
    for path in sorted(folder.glob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
            if line.strip() and is_held_out(f"{path.stem}:{number}", 0.12) == held_out:
                rows.append(json.loads(line))
    for start in range(0, len(rows), 6):
        paragraphs: list[str] = []
        questions: list[tuple[str, int, int, int]] = []
        for row in rows[start : start + 6]:
            first = len(paragraphs)
            paragraphs += [source["text"] for source in row["sources"]]
            for each in row["questions"]:
                for evidence in each["evidence"][:1] if each["answers"] else []:
                    for number in range(first, len(paragraphs)):
                        at = paragraphs[number].find(evidence)
                        if at >= 0:
                            end = at + len(evidence)
                            questions.append((each["question"], number, at, end))
                            break
        yield cut(f"notes {start}", "notes", paragraphs, questions, encode, config)


def make_fact_text(
    rng: random.Random, words: WordBank, encode: Encode, config: SegmentConfig
) -> Text:
    """Facts of templates and near misses of them, a line each."""
    facts = make_facts(rng, words, TRAINING_FAMILIES, 40)
    lines: list[tuple[str, Fact | None]] = [(fact.statement, fact) for fact in facts]
    lines += [(make_near_miss(rng, words, fact), None) for fact in facts]
    rng.shuffle(lines)
    paragraphs = [line for line, _ in lines]
    questions = [
        (fact.question, number, 0, len(line))
        for number, (line, fact) in enumerate(lines)
        if fact is not None
    ]
    return cut("facts", "facts", paragraphs, questions, encode, config, joint=" ")


def group_by_kind(texts: Sequence[Text]) -> dict[str, list[Text]]:
    """Texts by kind."""
    groups: dict[str, list[Text]] = defaultdict(list)
    for text in texts:
        groups[text.kind].append(text)
    return groups

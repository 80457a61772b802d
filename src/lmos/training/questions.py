"""Questions about real passages, read from JSONL and from the public sets' own formats.

Knows file formats. Does not know tokens or models.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lmos.errors import DataError
from lmos.training.corpus import is_held_out


@dataclass(frozen=True)
class PassageQuestion:
    """A passage and the `(question, answer)` pairs that it answers; `title` names its document."""

    title: str
    passage: str
    pairs: tuple[tuple[str, str], ...]


def group_by_title(questions: Iterable[PassageQuestion]) -> list[list[PassageQuestion]]:
    """The passages of each document, in order."""
    by_title: dict[str, list[PassageQuestion]] = defaultdict(list)
    for question in questions:
        by_title[question.title].append(question)
    return list(by_title.values())


def read_squad(path: Path, *, held_out: bool) -> list[PassageQuestion]:
    """Read a SQuAD v1.1 file; whole articles are held out.

    Raises:
        DataError: The file is missing or not in SQuAD's format.
    """
    try:
        articles = json.loads(path.read_text(encoding="utf-8"))["data"]
        return [
            PassageQuestion(
                article["title"],
                paragraph["context"],
                tuple(
                    (qa["question"].strip(), qa["answers"][0]["text"])
                    for qa in paragraph["qas"]
                    if qa["answers"]
                ),
            )
            for article in articles
            if is_held_out(article["title"]) == held_out
            for paragraph in article["paragraphs"]
            if any(qa["answers"] for qa in paragraph["qas"])
        ]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise DataError(f"expected SQuAD v1.1 JSON in {path}: {error!r}") from error


def read_fairytaleqa(folder: Path, *, held_out: bool) -> list[PassageQuestion]:
    """Read FairytaleQA's CSV folders, questions with one section only; whole stories are held out.

    Raises:
        DataError: The folder lacks `section-stories` and `questions`.
    """
    stories = sorted(folder.glob("section-stories/*/*-story.csv"))
    if not stories:
        raise DataError(f"expected section-stories/*/*-story.csv below {folder}, found none")
    result: list[PassageQuestion] = []
    for story in stories:
        title = story.name.removesuffix("-story.csv")
        if is_held_out(title) != held_out:
            continue
        with story.open(newline="", encoding="utf-8") as file:
            sections = {
                row["section"]: row["text"].replace("\n", " ") for row in csv.DictReader(file)
            }
        pairs = defaultdict(list)
        questions = folder / "questions" / story.parent.name / f"{title}-questions.csv"
        with questions.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["cor_section"] in sections and row["answer1"]:
                    pairs[row["cor_section"]].append(
                        (row["question"].strip(), row["answer1"].strip(" ."))
                    )
        result.extend(
            PassageQuestion(title, sections[section], tuple(asked))
            for section, asked in pairs.items()
        )
    return result

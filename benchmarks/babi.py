"""Stories in bAbI's format: numbered sentences, questions among them, supporting facts by number.

Knows the file format only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lmos.errors import DataError

_LINE = re.compile(r"(\d+) (.+)")
_TASK = re.compile(r"(qa\d+)_")


@dataclass(frozen=True)
class Story:
    """A question with the sentences that came before it.

    Attributes:
        sentences: In order.
        question: As it stands in the file.
        answer: In the file's words; commas between several.
        golds: Which sentences support the answer, from 0.
    """

    sentences: tuple[str, ...]
    question: str
    answer: str
    golds: tuple[int, ...]


def read_stories(path: Path) -> list[Story]:
    """Every question of a file as a story of its own.

    Raises:
        DataError: A line is not in the format; the message names it.
    """
    stories: list[Story] = []
    sentences: dict[int, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise DataError(f"{path}:{number}: expected a number and a sentence, got {line!r}")
        place, text = int(match[1]), match[2]
        if place == 1:
            sentences = {}
        if "\t" not in text:
            sentences[place] = text.strip()
            continue
        try:
            question, answer, facts = text.split("\t")
            golds = tuple(list(sentences).index(int(fact)) for fact in facts.split())
        except ValueError as error:
            raise DataError(
                f"{path}:{number}: expected question, answer and the numbers of earlier sentences "
                f"between tabs, got {line!r}"
            ) from error
        stories.append(Story(tuple(sentences.values()), question.strip(), answer.strip(), golds))
    return stories


def find_tasks(folder: Path, pattern: str, tasks: tuple[str, ...]) -> dict[str, Path]:
    """The file of each task, by name: `qa1` is what starts with `qa1_`.

    Raises:
        DataError: A task has no file, or several.
    """
    found: dict[str, list[Path]] = {task: [] for task in tasks}
    for path in sorted(folder.rglob(pattern)):
        match = _TASK.match(path.name)
        if match and match[1] in found:
            found[match[1]].append(path)
    for task, paths in found.items():
        if len(paths) != 1:
            raise DataError(
                f"expected one file {task}_{pattern} in {folder}, found {len(paths)}; "
                "name the folder of one language and the split with --pattern"
            )
    return {task: paths[0] for task, paths in found.items()}

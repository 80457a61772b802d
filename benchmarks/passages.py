"""Collections of passages with questions, in the formats of SQuAD, FairytaleQA and QMSum.

Knows file formats. Knows no model and no store.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lmos.errors import DataError
from lmos.training.corpus import is_held_out
from lmos.training.questions import PassageQuestion, read_fairytaleqa, read_squad

SPLITS = {"held-out": (True,), "training": (False,), "all": (False, True)}


@dataclass(frozen=True)
class CollectionQuestion:
    """A question and the passages that answer it, by number within a document; any will do."""

    question: str
    document: str
    golds: tuple[int, ...]


@dataclass(frozen=True)
class Collection:
    """Documents as lists of passages, one line each, and questions about them."""

    documents: dict[str, list[str]]
    questions: list[CollectionQuestion]


def read_collection(path: Path, split: str) -> Collection:
    """Read a file of SQuAD, or a folder of FairytaleQA or QMSum; the path says which.

    Args:
        path: A `.json` file is SQuAD's; a folder with `section-stories` FairytaleQA's; any other
            folder with `.json` files QMSum's.
        split: `held-out`, `training` or `all`: whole documents, by a hash of their names.

    Raises:
        DataError: It is none of these, or the split holds no question.
    """
    flags = SPLITS[split]
    if path.is_file():
        collection = _collect(each for flag in flags for each in read_squad(path, held_out=flag))
    elif (path / "section-stories").is_dir():
        passages = (each for flag in flags for each in read_fairytaleqa(path, held_out=flag))
        collection = _collect(passages)
    else:
        files = sorted(path.rglob("*.json"))
        collection = _read_meetings([file for file in files if is_held_out(file.stem) in flags])
    if not collection.questions:
        raise DataError(
            f"expected questions in {path} ({split}), found none; expected a file of SQuAD, a "
            "folder of FairytaleQA (section-stories) or a folder of QMSum's .json files, "
            "or give --split all"
        )
    return collection


def _collect(passages: Iterable[PassageQuestion]) -> Collection:
    collection = Collection({}, [])
    for passage in passages:
        lines = collection.documents.setdefault(passage.title, [])
        for question, _ in passage.pairs:
            asked = CollectionQuestion(question, passage.title, (len(lines),))
            collection.questions.append(asked)
        lines.append(" ".join(passage.passage.split()))
    return collection


def _read_meetings(files: Iterable[Path]) -> Collection:
    """QMSum: a passage is a turn, and every turn of a query's relevant spans answers it."""
    collection = Collection({}, [])
    for path in files:
        try:
            meeting = json.loads(path.read_text(encoding="utf-8"))
            turns = [
                f"{turn['speaker']}: {' '.join(turn['content'].split())}"
                for turn in meeting["meeting_transcripts"]
            ]
            for query in meeting["specific_query_list"]:
                spans = [(int(first), int(last)) for first, last in query["relevant_text_span"]]
                golds = {turn for first, last in spans for turn in range(first, last + 1)}
                kept = tuple(sorted(golds & set(range(len(turns)))))
                if kept:
                    asked = CollectionQuestion(query["query"], path.stem, kept)
                    collection.questions.append(asked)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"expected a meeting in QMSum's format in {path}: {error!r}") from error
        collection.documents[path.stem] = turns
    return collection

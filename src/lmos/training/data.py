"""A data folder in, what training draws from out.

Knows which files are looked for. Does not know tokens or tasks.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lmos.training.corpus import PassageSampler, read_documents
from lmos.training.questions import PassageQuestion, read_fairytaleqa, read_squad

MAX_DOCUMENT_CHARS = 600_000


@dataclass(frozen=True)
class DataConfig:
    """What to train on.

    Attributes:
        folder: Searched for text files, for SQuAD files (`train-v1.1*.json`) and for FairytaleQA
            (a folder with `section-stories` and `questions`).
        exclude: Glob patterns of file names to leave out, such as a demo's book.
        skip_folders: Names of folders below `folder` that hold other things than running text.
    """

    folder: Path
    exclude: tuple[str, ...] = ()
    skip_folders: tuple[str, ...] = ()


@dataclass
class TrainingData:
    """The training split of a data folder."""

    passages: PassageSampler
    questions: list[PassageQuestion] = field(default_factory=list)


def read_data(config: DataConfig, *, held_out: bool = False) -> TrainingData:
    """Read one split.

    Raises:
        DataError: There is no text.
    """
    documents = read_documents(
        config.folder,
        held_out=held_out,
        exclude=config.exclude,
        skip_folders=config.skip_folders,
        max_document_chars=MAX_DOCUMENT_CHARS,
    )
    questions: list[PassageQuestion] = []
    for path in sorted(config.folder.rglob("train-v1.1*.json")):
        questions += read_squad(path, held_out=held_out)
    for path in sorted(config.folder.rglob("section-stories")):
        questions += read_fairytaleqa(path.parent, held_out=held_out)
    return TrainingData(PassageSampler(documents), questions)


def describe(config: DataConfig, data: TrainingData) -> dict[str, Any]:
    """Where the data is and how much of it there is, in plain values."""
    return {
        **asdict(config),
        "folder": str(config.folder),
        "characters": data.passages.num_chars,
        "questions": sum(len(question.pairs) for question in data.questions),
    }

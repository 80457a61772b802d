"""A data folder in, what training draws from out.

Knows which files are looked for. Does not know tokens or tasks.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lmos.training.corpus import Document, PassageSampler, iter_files, read_documents
from lmos.training.examples import EXAMPLE_SUFFIX, Example, read_examples
from lmos.training.questions import PassageQuestion, read_fairytaleqa, read_squad

MAX_DOCUMENT_CHARS = 600_000


@dataclass(frozen=True)
class DataConfig:
    """What to train on.

    Attributes:
        folder: Searched for text files, for examples (`.jsonl`, see `training.examples`), for SQuAD
            files (`train-v1.1*.json`) and for FairytaleQA (a folder with `section-stories` and
            `questions`).
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
    examples: list[Example] = field(default_factory=list)


def read_data(config: DataConfig, *, held_out: bool = False) -> TrainingData:
    """Read one split. Examples are all for training; where there are only they, they are the text.

    Raises:
        DataError: There is no text, or a file is not as expected.
    """
    examples = [] if held_out else _read_all_examples(config)
    if examples and not any(iter_files(config.folder, config.exclude, config.skip_folders)):
        contexts = dict.fromkeys(example.context for example in examples)
        documents = [Document("", "\n".join(context)) for context in contexts]
        return TrainingData(PassageSampler(documents), examples=examples)
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
    return TrainingData(PassageSampler(documents), questions, examples)


def _read_all_examples(config: DataConfig) -> list[Example]:
    files = iter_files(config.folder, config.exclude, config.skip_folders, (EXAMPLE_SUFFIX,))
    return [example for _, path in files for example in read_examples(path)]


def describe(config: DataConfig, data: TrainingData) -> dict[str, Any]:
    """Where the data is and how much of it there is, in plain values."""
    return {
        **asdict(config),
        "folder": str(config.folder),
        "characters": data.passages.num_chars,
        "questions": sum(len(question.pairs) for question in data.questions),
        "examples": len(data.examples),
    }

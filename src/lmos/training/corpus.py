"""Corpus: folders of plain text in, documents split into training and held-out files out.

Knows file names and text. Does not know tokens, models or tasks.
"""

from __future__ import annotations

import fnmatch
import random
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lmos.errors import DataError

HELD_OUT_FRACTION = 0.05
_WORD = re.compile(r"\b[a-z]{4,10}\b")
TEXT_SUFFIXES = (".txt", ".md", ".rst")


@dataclass(frozen=True)
class Document:
    """One text file: its path relative to the corpus folder and its whole text."""

    name: str
    text: str


def is_held_out(name: str, fraction: float = HELD_OUT_FRACTION) -> bool:
    """Whether a name belongs to the held-out split: decided by a hash of the name alone."""
    return zlib.crc32(name.encode()) % 10_000 < fraction * 10_000


def iter_files(
    folder: Path,
    exclude: Sequence[str] = (),
    skip_folders: Sequence[str] = (),
    suffixes: Sequence[str] = TEXT_SUFFIXES,
) -> Iterator[tuple[str, Path]]:
    """Yield `(name, path)` of every file below `folder` with such a suffix, in name order.

    The name is the file's own (no folders), so that a split decided by name stays the same
    wherever the corpus lies. `exclude` holds glob patterns of names to leave out,
    `skip_folders` the names of folders.
    """
    for path in sorted(folder.rglob("*"), key=lambda path: path.name):
        if path.suffix not in suffixes or path.name in ("SOURCE.txt", "README.md"):
            continue
        if set(path.relative_to(folder).parts[:-1]) & set(skip_folders):
            continue
        if not any(fnmatch.fnmatch(path.name, pattern) for pattern in exclude):
            yield path.name, path


def read_documents(
    folder: Path,
    *,
    held_out: bool,
    exclude: Sequence[str] = (),
    skip_folders: Sequence[str] = (),
    max_document_chars: int | None = None,
) -> list[Document]:
    """Read one split of a folder of text files.

    Args:
        folder: Searched recursively for `.txt`, `.md` and `.rst` files.
        held_out: Which split to read.
        exclude: Glob patterns of file names that belong to neither split.
        skip_folders: Names of folders to leave out.
        max_document_chars: Keep only so much of each file, from its start.

    Raises:
        DataError: The folder is missing or its split holds no text.
    """
    if not folder.is_dir():
        raise DataError(f"expected a folder of text files, got {folder}, which is not a folder")
    documents = []
    files = list(iter_files(folder, exclude, skip_folders))
    for name, path in files:
        if is_held_out(name) != held_out:
            continue
        text = path.read_text(encoding="utf-8", errors="replace").lstrip("\ufeff")
        documents.append(Document(name, text[:max_document_chars]))
    if not documents:
        split = "held-out" if held_out else "training"
        found = f"{len(files)} of the other split, which the names decide" if files else "none"
        raise DataError(
            f"{folder} holds no text file for the {split} split ({found}); add .txt files"
        )
    return documents


class PassageSampler:
    """Draws passages of consecutive text, each document as likely as its length."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = list(documents)
        self._weights = [len(document.text) for document in documents]

    @property
    def num_chars(self) -> int:
        """Characters of all documents."""
        return sum(self._weights)

    def words(self, max_chars: int = 4_000_000) -> list[str]:
        """Distinct lower-case words of the corpus, four to ten letters long, in order."""
        words: set[str] = set()
        share = max(1, max_chars // len(self._documents))
        for document in self._documents:
            words.update(_WORD.findall(document.text[:share]))
        return sorted(words)

    def sample(self, rng: random.Random, num_chars: int) -> str:
        """A random passage of about `num_chars` characters that starts at a word."""
        (document,) = rng.choices(self._documents, self._weights)
        start = rng.randrange(max(1, len(document.text) - num_chars))
        passage = document.text[start : start + num_chars]
        first_space = passage.find(" ")
        return passage[first_space + 1 :] if start and first_space >= 0 else passage

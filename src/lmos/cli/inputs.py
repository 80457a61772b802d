"""What `lmos add` is given: paths and standard input in, files with checked text out.

Everything is looked at before anything is added. Knows neither stores nor models.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lmos.documents.addresses import is_address
from lmos.documents.base import Reading
from lmos.documents.files import look_at, look_at_address
from lmos.errors import DataError, StoreLocked
from lmos.text.files import (
    TextFile,
    decode_text,
    digest_of,
    require_content,
    require_path,
    shown,
    too_large,
)
from lmos.upkeep.folders import Choice, FolderTexts, read_folder, real_path, source_name

STDIN = "-"


@dataclass
class Inputs:
    """Every file to add, and what was passed over.

    Attributes:
        files: In the order in which they were named; those of a folder by path.
        problems: What cannot be added, one sentence each.
        num_other: Files of folders that were not to be taken.
        num_empty: Files of folders with nothing in them.
    """

    files: list[TextFile]
    problems: list[str] = field(default_factory=list)
    num_other: int = 0
    num_empty: int = 0


def find_inputs(
    paths: Sequence[str], choice: Choice, reading: Reading, *, strict: bool = False
) -> Inputs:
    """Find the files under some paths and look at each.

    Args:
        paths: As the user typed them: files, whatever their suffix, folders, and addresses.
        choice: Which files of a folder are taken.
        reading: How they are read.
        strict: Whether one that cannot be added is one too many.

    Raises:
        DataError: There is nothing that can be added, or with `strict`, something that cannot.
    """
    # What is named twice is taken once.
    files: dict[str, TextFile] = {}
    problems: dict[Path, str] = {}
    folders: dict[Path, FolderTexts] = {}
    for typed in paths:
        try:
            found = _look_at(typed, choice, reading)
        except DataError as error:
            problems.setdefault(real_path(Path(typed)), str(error))
        else:
            if isinstance(found, FolderTexts):
                folders[found.folder] = found
                for problem in found.problems:
                    problems.setdefault(problem.path, problem.message)
            for file in found.files if isinstance(found, FolderTexts) else found:
                files.setdefault(file.name, file)
        if strict and problems:
            raise DataError(f"{next(iter(problems.values()))}\nnothing was added")
    if not files:
        _raise_all(list(problems.values()))
    return Inputs(
        list(files.values()),
        list(problems.values()),
        sum(folder.num_other for folder in folders.values()),
        sum(folder.num_empty for folder in folders.values()),
    )


def read_stdin(name: str, reading: Reading) -> Inputs:
    """All of standard input, under a name.

    Raises:
        DataError: It is empty, too large, binary or in another encoding.
    """
    shown_name, max_bytes = "standard input", reading.max_bytes
    data = sys.stdin.buffer.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise too_large(shown_name, "more", max_bytes)
    text = decode_text(shown_name, data, reading.encoding)
    require_content(shown_name, text)
    return Inputs(
        [TextFile(name, Path(STDIN), len(text.encode()), None, digest_of(text.encode()), text)]
    )


@contextmanager
def keeping_piped_text(store: Path, inputs: Inputs, *, is_private: bool) -> Iterator[None]:
    """Keep what came from standard input in a file if another process keeps it from the store.

    Args:
        store: The file lies beside it.
        inputs: With what came from standard input, if anything did.
        is_private: Keep nothing: the store is encrypted, and the file would not be.

    Raises:
        StoreLocked: Says where the text is.
    """
    try:
        yield
    except StoreLocked as error:
        piped = [file for file in inputs.files if file.path == Path(STDIN)]
        if not piped:
            raise
        if is_private:
            raise StoreLocked(
                f"{error}. What was piped is not kept, since {store} is encrypted; pipe it again"
            ) from error
        number, kept = tempfile.mkstemp(".txt", f"{store.stem}-piped-", store.parent)
        with open(number, "w", encoding="utf-8", newline="") as file:
            file.writelines(each.text or "" for each in piped)
        raise StoreLocked(
            f"{error}. What was piped is kept in {kept}: add that file with the same options"
        ) from error


def _look_at(typed: str, choice: Choice, reading: Reading) -> FolderTexts | list[TextFile]:
    path = Path(typed)
    if is_address(typed) and not path.exists():
        return _with_content(typed, look_at_address(typed, reading))
    require_path(typed)
    if not path.is_dir():
        return _with_content(shown(path), look_at(source_name(path), path, reading))
    found = read_folder(path, choice, reading)
    if not found.files and not found.problems and not found.num_empty:
        raise DataError(f"{shown(path)}: no files {choice.expected}")
    return found


def _with_content(name: str, found: Sequence[tuple[TextFile, str]]) -> list[TextFile]:
    """The texts that hold anything; there must be one."""
    files = [file for file, text in found if text.strip()]
    if not files:
        require_content(name, found[0][1])
    return files


def _raise_all(problems: Sequence[str]) -> None:
    if len(problems) == 1:
        raise DataError(f"{problems[0]}\nnothing was added")
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise DataError(f"{len(problems)} paths cannot be added, nothing was added:\n{lines}")

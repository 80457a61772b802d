"""What `lmos add` is given: paths and standard input in, files with checked text out.

Everything is looked at before anything is added. Knows neither stores nor models.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from lmos.errors import DataError, StoreLocked
from lmos.folders import Choice, read_folder, source_name
from lmos.textfiles import (
    TextFile,
    decode_text,
    digest_of,
    look_at,
    require_content,
    require_path,
    shown,
    too_large,
)

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
    paths: Sequence[str], choice: Choice, max_bytes: int, *, strict: bool = False
) -> Inputs:
    """Find the files under some paths and look at each.

    Args:
        paths: As the user typed them: files, whatever their suffix, and folders.
        choice: Which files of a folder are taken.
        max_bytes: Most bytes in a file.
        strict: Whether one that cannot be added is one too many.

    Raises:
        DataError: There is nothing that can be added, or with `strict`, something that cannot.
    """
    inputs = Inputs([])
    for typed in paths:
        try:
            require_path(typed)
            if Path(typed).is_dir():
                _take_folder(inputs, Path(typed), choice, max_bytes)
            else:
                inputs.files.append(_taken_file(Path(typed), max_bytes))
        except DataError as error:
            inputs.problems.append(str(error))
        if strict and inputs.problems:
            raise DataError(f"{inputs.problems[0]}\nnothing was added")
    if not inputs.files:
        _raise_all(inputs.problems)
    unique: dict[str, TextFile] = {}
    for file in inputs.files:
        unique.setdefault(file.name, file)
    return replace(inputs, files=list(unique.values()))


def read_stdin(name: str, max_bytes: int) -> Inputs:
    """All of standard input, under a name.

    Raises:
        DataError: It is empty, too large, binary or not UTF-8.
    """
    shown_name = "standard input"
    data = sys.stdin.buffer.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise too_large(shown_name, "more", max_bytes)
    text = decode_text(shown_name, data)
    require_content(shown_name, text)
    return Inputs([TextFile(name, Path(STDIN), len(data), None, digest_of(data), text)])


@contextmanager
def keeping_piped_text(store: Path, inputs: Inputs) -> Iterator[None]:
    """Keep what came from standard input in a file if another process keeps it from the store.

    Raises:
        StoreLocked: Says where the text is.
    """
    try:
        yield
    except StoreLocked as error:
        piped = [file for file in inputs.files if file.text is not None]
        if not piped:
            raise
        number, kept = tempfile.mkstemp(".txt", f"{store.stem}-piped-", store.parent)
        with open(number, "w", encoding="utf-8", newline="") as file:
            file.writelines(each.text or "" for each in piped)
        raise StoreLocked(f"{error}. What was piped is kept in {kept}: add that file") from error


def _take_folder(inputs: Inputs, folder: Path, choice: Choice, max_bytes: int) -> None:
    found = read_folder(folder, choice, max_bytes)
    inputs.files += found.files
    inputs.problems += [problem.message for problem in found.problems]
    inputs.num_other += found.num_other
    inputs.num_empty += found.num_empty
    if not found.files and not found.problems and not found.num_empty:
        raise DataError(f"{shown(folder)}: no files {choice.expected}")


def _taken_file(path: Path, max_bytes: int) -> TextFile:
    file, text = look_at(source_name(path), path, max_bytes)
    require_content(shown(path), text)
    return file


def _raise_all(problems: Sequence[str]) -> None:
    if len(problems) == 1:
        raise DataError(f"{problems[0]}\nnothing was added")
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise DataError(f"{len(problems)} paths cannot be added, nothing was added:\n{lines}")

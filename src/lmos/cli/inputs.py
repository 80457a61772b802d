"""What `lmos add` is given: paths and standard input in, files with checked text out.

Everything is looked at before anything is added. Knows files; knows neither stores nor models.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from lmos.errors import DataError

TEXT_SUFFIXES = (".txt", ".md", ".markdown", ".rst")
STDIN = "-"
MEGABYTE = 1_000_000
_MAX_CONTROL_SHARE = 0.1
# C0 without tab, newline, vertical tab, form feed, carriage return and escape.
_CONTROLS = bytes({*range(32)} - {9, 10, 11, 12, 13, 27})


@dataclass(frozen=True)
class InputFile:
    """A file to add.

    Attributes:
        name: Of the source: the path as the user typed it, and what follows in a folder.
        path: Where it is.
        num_bytes: Of its text when it was looked at.
        text: Of standard input, which can be read only once; files are read when they are added.
    """

    name: str
    path: Path
    num_bytes: int
    text: str | None = None


@dataclass(frozen=True)
class Inputs:
    """Every file to add, and how many were passed over in folders.

    Attributes:
        files: In the order in which they were named; those of a folder by path.
        num_other: Without a suffix of text.
        num_empty: Of text, but with nothing in them.
    """

    files: tuple[InputFile, ...]
    num_other: int
    num_empty: int


def find_inputs(paths: Sequence[Path], max_bytes: int) -> Inputs:
    """Find the files under some paths and check that each can be added.

    Args:
        paths: Files, whatever their suffix, and folders, where only text is taken.
        max_bytes: Most bytes in a file.

    Raises:
        DataError: Names every path that cannot be added, and why.
    """
    files: dict[str, InputFile] = {}
    problems: list[str] = []
    num_other = num_empty = 0
    for path in paths:
        try:
            found = list(_iter_folder(path)) if path.is_dir() else [path]
        except DataError as error:
            problems.append(str(error))
            continue
        texts = [file for file in found if file == path or file.suffix.lower() in TEXT_SUFFIXES]
        num_other += len(found) - len(texts)
        if not texts:
            problems.append(f"{shown(path)}: no files ending in {', '.join(TEXT_SUFFIXES)}")
        for file in texts:
            try:
                text = read_text(file, max_bytes)
                if file == path or text.strip():
                    _require_content(shown(file), text)
                    files.setdefault(str(file), InputFile(str(file), file, len(text.encode())))
                else:
                    num_empty += 1
            except DataError as error:
                problems.append(str(error))
    _raise_all(problems)
    return Inputs(tuple(files.values()), num_other, num_empty)


def read_text(path: Path, max_bytes: int) -> str:
    """The text of a file.

    Raises:
        DataError: It is missing, unreadable, too large, binary or not UTF-8.
    """
    name = shown(path)
    try:
        str(path).encode()
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{name}: expected a file or a folder; use - for standard input")
        if status.st_size > max_bytes:
            raise _too_large(name, f"{status.st_size / MEGABYTE:,.1f} MB", max_bytes)
        return decode_text(name, path.read_bytes())
    except UnicodeEncodeError:
        raise DataError(f"{name}: expected a path in UTF-8; rename it") from None
    except OSError as error:
        raise DataError(f"{name}: {error.strerror or error}") from error


def read_stdin(name: str, max_bytes: int) -> Inputs:
    """All of standard input, under a name.

    Raises:
        DataError: It is empty, too large, binary or not UTF-8.
    """
    shown_name = "standard input"
    data = sys.stdin.buffer.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise _too_large(shown_name, "more", max_bytes)
    text = decode_text(shown_name, data)
    _require_content(shown_name, text)
    return Inputs((InputFile(name, Path(STDIN), len(data), text),), 0, 0)


def decode_text(name: str, data: bytes) -> str:
    """UTF-8 to text.

    Raises:
        DataError: It is binary or not UTF-8; says where.
    """
    if (zero := data.find(0)) >= 0:
        raise DataError(
            f"{name}: binary, byte {zero} is NUL; if it is UTF-16, convert it to UTF-8 first"
        )
    num_controls = len(data) - len(data.translate(None, _CONTROLS))
    if num_controls > _MAX_CONTROL_SHARE * len(data):
        raise DataError(f"{name}: binary, {num_controls:,} of {len(data):,} bytes are controls")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}: expected UTF-8, got byte {data[error.start]:#04x} at offset {error.start}; "
            "convert it first, e.g. with iconv -f latin1 -t utf-8"
        ) from None


def shown(path: Path) -> str:
    """A path for messages, even if it is not valid Unicode."""
    return click.format_filename(path)


def _iter_folder(folder: Path) -> Iterator[Path]:
    """Every file under a folder, by path; hidden ones and linked folders are left out."""

    def fail(error: OSError) -> None:
        path = Path(os.fsdecode(error.filename or folder))
        raise DataError(f"{shown(path)}: {error.strerror or error}") from error

    for parent, folders, names in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(names) if not name.startswith("."))


def _require_content(name: str, text: str) -> None:
    if not text:
        raise DataError(f"{name}: empty; expected text")
    if not text.strip():
        raise DataError(f"{name}: nothing but white space; expected text")


def _too_large(name: str, found: str, max_bytes: int) -> DataError:
    return DataError(
        f"{name}: expected at most {max_bytes / MEGABYTE:,.10g} MB, got {found}; "
        "split it, e.g. with split -C 8m, or raise --max-mb"
    )


def _raise_all(problems: Sequence[str]) -> None:
    if len(problems) == 1:
        raise DataError(f"{problems[0]}\nnothing was added")
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise DataError(f"{len(problems)} paths cannot be added, nothing was added:\n{lines}")

"""Options that say which files are taken, as a decorator, and what is told of those that are not.

Knows names, help and defaults. Does not look at any file.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import click

from lmos.cli.show.helping import option
from lmos.cli.show.output import printable
from lmos.documents.base import Reading
from lmos.errors import DataError, LmosError
from lmos.text.encodings import is_encoding
from lmos.text.files import MEGABYTE, TextFile, shown
from lmos.upkeep.folders import Choice


@dataclass(frozen=True)
class Taking:
    """What is taken of what the user named.

    Attributes:
        choice: Which files of a folder.
        reading: How they are read.
        strict: Whether the first file that cannot be read ends the command.
    """

    choice: Choice
    reading: Reading
    strict: bool

    @property
    def why_left_out(self) -> str:
        """Why some files of folders are not taken."""
        is_usual = self.choice == Choice()
        return "of no known format" if is_usual else "left out by their names"

    def skip(self, problems: list[str], error: LmosError) -> None:
        """Tell of a file that cannot be taken, and go on without it.

        Raises:
            DataError: With `strict`.
        """
        if self.strict:
            raise DataError(f"{error}; stopped there, what was done before it stays") from error
        problems.append(str(error))
        tell_skipped(str(error))


def tell_skipped(problem: str) -> None:
    """Name a file that is not taken, on standard error."""
    click.echo(f"skipped {printable(problem)}", err=True)


def tell_notes(files: Iterable[TextFile]) -> None:
    """Tell on standard error how files were read, where that was not clear from themselves."""
    notes = ((file.name if file.key is None else shown(file.path), file.notes) for file in files)
    for name, told in dict(notes).items():
        for note in told:
            click.echo(f"{printable(name)}: {note}", err=True)


def file_options(command: Callable[..., None]) -> Callable[..., None]:
    """Which files to take; passed on as one `Taking`, `taking`."""

    @option(
        "--include",
        group="Files",
        multiple=True,
        metavar="PATTERN",
        help="Only files of folders like '*.org'; repeatable.",
    )
    @option(
        "--exclude",
        group="Files",
        multiple=True,
        metavar="PATTERN",
        help="No files or folders like 'drafts'; repeatable.",
    )
    @option(
        "--max-mb",
        group="Files",
        type=click.FloatRange(min=0, min_open=True),
        default=32,
        show_default=True,
        metavar="N",
        help="Largest file, in megabytes.",
    )
    @option(
        "--encoding",
        group="Files",
        metavar="NAME",
        help="Of text that is not UTF-8: latin-1, or detect.",
    )
    @option(
        "--strict",
        group="Files",
        is_flag=True,
        help="Skip no file: stop at one that cannot be read.",
    )
    @functools.wraps(command)
    def with_taking(
        *args: Any,
        include: tuple[str, ...],
        exclude: tuple[str, ...],
        max_mb: float,
        encoding: str | None,
        strict: bool,
        **rest: Any,
    ) -> None:
        for pattern in (*include, *exclude):
            if not pattern.strip("./ "):
                raise click.UsageError(f"expected a pattern like '*.org', got {pattern!r}")
        if encoding is not None and not is_encoding(encoding):
            raise click.UsageError(
                f"--encoding: expected a name such as latin-1, or detect, got {encoding!r}"
            )
        reading = Reading(int(max_mb * MEGABYTE), encoding)
        taking = Taking(Choice(include, exclude), reading, strict)
        command(*args, taking=taking, **rest)

    return with_taking

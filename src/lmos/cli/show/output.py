"""How the commands speak: results on standard output, notes and progress on standard error.

Plain text for people, JSON for machines. Knows terminals; knows neither stores nor models.
"""

from __future__ import annotations

import codecs
import io
import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

# All but newline and tab of C0, DEL and C1: a stored text must not steer the terminal.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_UNWRAPPED = 100_000
_IN_OTHER_WORDS = "lmos.in-other-words"
_ASCII_MARKS = {
    "–": "-",
    "…": "...",
    "→": "->",
    "›": ">",
    "←": "<-",
    "≥": ">=",
    "≤": "<=",
    "�": "?",
}


def results() -> Console:
    """Standard output, for people."""
    return _console(is_error=False)


def notes() -> Console:
    """Standard error, for people."""
    return _console(is_error=True)


def _console(*, is_error: bool) -> Console:
    console = Console(stderr=is_error, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        # A program that reads the lines must find names and passages whole.
        console.width = _UNWRAPPED
    return console


def speak_any_encoding() -> None:
    """Let standard output and error show what their encoding lacks in other words."""
    codecs.register_error(_IN_OTHER_WORDS, _in_other_words)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_IN_OTHER_WORDS)


def _in_other_words(error: UnicodeError) -> tuple[str | bytes, int]:
    r"""Marks of ours as ASCII that looks alike, all else with its number, as `\u4e16`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    mark = _ASCII_MARKS.get(error.object[error.start])
    if mark is not None:
        return mark, error.start + 1
    return codecs.backslashreplace_errors(
        UnicodeEncodeError(error.encoding, error.object, error.start, error.start + 1, error.reason)
    )


def is_interactive() -> bool:
    """Whether somebody types the input."""
    return sys.stdin.isatty()


def note(message: str) -> None:
    """One line on standard error."""
    notes().print(message, style="dim", soft_wrap=True)


def print_json(value: Any, *, on_one_line: bool = False) -> None:
    """A value on standard output, for machines."""
    # Characters that the encoding lacks can be told to machines in JSON's own way alone.
    is_unicode = codecs.lookup(sys.stdout.encoding or "ascii").name.startswith("utf")
    click.echo(json.dumps(value, ensure_ascii=not is_unicode, indent=None if on_one_line else 2))


def printable(text: str) -> str:
    """Text without the control characters that a terminal would obey."""
    return _CONTROLS.sub("�", text.replace("\r\n", "\n"))


def one_line(text: str, max_chars: int) -> str:
    """The start of a text, on one line."""
    line = " ".join(printable(text[: 4 * max_chars]).split())
    is_whole = len(line) <= max_chars and len(text) <= 4 * max_chars
    return line if is_whole else line[: max_chars - 1].rstrip() + "…"


def name_end(name: str, max_chars: int) -> str:
    """The end of a name, where paths differ, on one line."""
    line = one_line(name, len(name) + 1)
    return line if len(line) <= max_chars else "…" + line[1 - max_chars :]


def size(num_bytes: int) -> str:
    """Bytes as people read them: `12 bytes`, `3.4 kB`, `1.2 GB`."""
    if num_bytes < 1000:
        return f"{num_bytes} bytes"
    power = min(int(math.log10(num_bytes)) // 3, 3)
    return f"{num_bytes / 1000**power:.1f} {('kB', 'MB', 'GB')[power - 1]}"


def count(number: int, noun: str) -> str:
    """`1 source`, `1,200 sources`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """A spinner on standard error while the block runs, if that is a terminal."""
    console = notes()
    if not console.is_terminal:
        yield
        return
    with console.status(what):
        yield


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[float], None]]:
    """A bar on standard error, if that is a terminal; call what it yields to advance it."""
    console = notes()
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=console,
        transient=True,
        # Results that are piped elsewhere must not be drawn above the bar instead.
        redirect_stdout=sys.stdout.isatty(),
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda step: bar.advance(task, step)

"""The user's side of a talk: lines typed or piped in, each a question, a statement or a command.

Knows terminals, and how questions look. Does not know what is answered.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import click

from lmos.cli.show.output import is_interactive

QUIT = "/quit"
HELP = """A question is answered; a statement is remembered.
/ask TEXT   answer TEXT, even if it does not look like a question
/tell TEXT  remember TEXT, even if it looks like a question
/help       show this
/quit       leave; so does Ctrl-D"""
_PROMPT = "> "
# Question marks of Latin, Chinese, Arabic, Greek and Persian, and what may follow them.
_ENDS_AS_QUESTION = re.compile(r"[?？؟\u037e⸮]['\"”’»」』)\]!！.…\s]*$")
_ASKS_FOR = re.compile(r"(please\s+)?(tell|show|give|remind)\s+(me|us)\b", re.IGNORECASE)
_ASKS = re.compile(
    r"(who|whom|whose|what|when|where|which|why|how|is|are|was|were|does|do|did|has|can|could)"
    r"(['’]s|['’]re)?\s(?!not\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Turn:
    """What the user said.

    Attributes:
        text: Without the command in front.
        is_question: Whether to answer it; else it is to be remembered.
    """

    text: str
    is_question: bool


def is_question(line: str) -> bool:
    """Whether a line asks rather than tells: by its marks, or in English by its first words."""
    text = line.strip().lstrip("\"'“‘«([ ")
    if text.startswith("¿") or _ENDS_AS_QUESTION.search(text) or _ASKS_FOR.match(text):
        return True
    # "When I was young, I lived in Bern." and "What a day!" begin like questions.
    return bool(_ASKS.match(text)) and not text.endswith((".", "!", "…"))


def iter_turns() -> Iterator[Turn]:
    """Every line that says something, until the end of the input or `/quit`."""
    for line in _iter_typed() if is_interactive() else _iter_piped():
        text = line.strip()
        if text == QUIT:
            return
        if turn := _turn(text):
            yield turn


def _turn(text: str) -> Turn | None:
    """What a line says; `None` if that was nothing, or is done with."""
    if not text.startswith("/"):
        return Turn(text, is_question(text)) if text else None
    command, _, rest = text.partition(" ")
    if command in ("/ask", "/tell") and rest.strip():
        return Turn(rest.strip(), command == "/ask")
    if command == "/help":
        click.echo(HELP, err=True)
    elif command in ("/ask", "/tell"):
        click.echo(f"error: expected {command} TEXT", err=True)
    else:
        click.echo(
            f"error: there is no command {command}; /help shows those that there are, "
            f"/tell {text} remembers this line",
            err=True,
        )
    return None


def _iter_typed() -> Iterator[str]:
    # Merely importing it gives `input` line editing and a history.
    with suppress(ImportError):
        importlib.import_module("readline")
    while True:
        try:
            yield input(_PROMPT)
        except EOFError:
            click.echo(err=True)
            return
        except UnicodeDecodeError:
            click.echo("error: expected UTF-8; try again", err=True)


def _iter_piped() -> Iterator[str]:
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            click.echo(f"error: line {number}: expected UTF-8: {error.reason}", err=True)

"""The user's side of a talk: lines typed or piped in, one turn each.

Knows terminals. Does not know what is answered.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import suppress

import click

from lmos.cli.output import is_interactive

QUIT = "/quit"
_PROMPT = "> "


def iter_turns() -> Iterator[str]:
    """Every line that says something, until the end of the input or `/quit`."""
    for line in _iter_typed() if is_interactive() else _iter_piped():
        turn = line.strip()
        if turn == QUIT:
            return
        if turn:
            yield turn


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

"""Answers as they are generated, and as machines read them.

Knows answers. Does not know questions or where an answer goes.
"""

from __future__ import annotations

from typing import Any

import click

from lmos.cli.output import printable
from lmos.cli.passages import passage_json
from lmos.session import Answer


def stream(answer: Answer) -> None:
    """Print an answer piece by piece, then end the line."""
    for piece in answer:
        click.echo(printable(piece), nl=False)
    click.echo()


def answer_json(answer: Answer) -> dict[str, Any]:
    """A complete answer with its passages."""
    return {
        "answer": answer.text,
        "citations": [passage_json(citation) for citation in answer.citations],
        "timing": answer.timing,
    }

"""Answers as they are generated, and as machines read them.

Knows answers. Does not know questions or where an answer goes.
"""

from __future__ import annotations

from typing import Any

import click

from lmos.answers import Answer
from lmos.cli.output import printable
from lmos.cli.passages import passage_json


def stream(answer: Answer) -> None:
    """Print an answer piece by piece, end the line, and say so if it is none."""
    for piece in answer:
        click.echo(printable(piece), nl=False)
    click.echo()
    if not answer.is_found:
        click.echo(f"nothing found that answers this (confidence {answer.confidence:.0%})")


def answer_json(answer: Answer) -> dict[str, Any]:
    """A complete answer with its passages."""
    return {
        "answer": answer.text,
        "is_found": answer.is_found,
        "confidence": answer.confidence,
        "citations": [
            {**passage_json(citation), "has_answer": citation.has_answer}
            for citation in answer.citations
        ],
        "timing": answer.timing,
    }

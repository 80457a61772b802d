"""Answers as people see them, when they are complete, and as machines read them.

What the model claims is a result; that it found nothing, and its guess then, are notes. Knows
answers. Does not know questions.
"""

from __future__ import annotations

from typing import Any

import click

from lmos.cli.show.output import printable, waiting
from lmos.cli.show.passages import passage_json
from lmos.reading.answers import Answer
from lmos.reading.telling import differing_line


def complete(answer: Answer) -> Answer:
    """Generate to the end: only then is it known whether the answer is claimed."""
    with waiting("thinking"):
        return answer.complete()


def say(answer: Answer) -> None:
    """Print a complete answer; on standard error that there is none, and the guess."""
    if answer.is_found:
        click.echo(printable(answer.text).strip())
        for other in answer.differing:
            click.echo(printable(differing_line(other)))
        return
    if answer.is_own:
        click.echo(printable(answer.text).strip())
        return
    if answer.reason is not None:
        click.echo(f"nothing found: {answer.reason}", err=True)
        return
    click.echo(f"nothing found that answers this ({sureness(answer)})", err=True)
    if answer.is_given:
        click.echo(f"a guess: {printable(answer.text).strip()}", err=True)


def sureness(answer: Answer) -> str:
    """How sure the model is of a complete answer, and whether that means anything."""
    uncalibrated = "" if answer.is_calibrated else ", not calibrated"
    return f"confidence {answer.confidence:.0%}{uncalibrated}"


def answer_json(answer: Answer) -> dict[str, Any]:
    """A complete answer with its passages; `answer` is a guess unless `is_found`."""
    return {
        "answer": answer.text,
        "is_found": answer.is_found,
        "confidence": answer.confidence,
        "is_calibrated": answer.is_calibrated,
        "reason": answer.reason,
        "citations": [
            {**passage_json(citation), "has_answer": citation.has_answer}
            for citation in answer.citations
        ],
        "differing": [
            {
                "answer": other.text,
                "is_earlier": other.is_earlier,
                "citation": passage_json(other.citation),
            }
            for other in answer.differing
        ],
        "timing": answer.timing,
    }

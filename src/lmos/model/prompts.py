"""The words around a question: one format for training and for use.

Knows text only.
"""

from __future__ import annotations

from collections.abc import Sequence

UNKNOWN_ANSWER = "not found"
"""What a reader says when nothing it was given answers the question."""


def question_before(question: str) -> str:
    """What stands before the retrieved context.

    The question is asked twice: a causal model that knows it while it reads the context can mark
    what matters, and only has to look the marks up when it answers.
    """
    return f"Question: {' '.join(question.split())}\n"


def question_after(question: str) -> str:
    """What follows the retrieved context; the answer comes next."""
    return f"{question_before(question)}Answer:"


def answer_text(answer: str) -> str:
    """An answer as it follows `question_after`."""
    return f" {answer}"


def answer_through(steps: Sequence[str], answer: str) -> str:
    """An answer behind the steps that lead to it: who has the thing, then where that person is."""
    return f"({', '.join(steps)}) {answer}" if steps else answer


def without_steps(said: str) -> str:
    """The answer of what `answer_through` made; empty while its steps are not complete."""
    if not said.startswith("("):
        return said
    _, _, answer = said.partition(")")
    # A model that loses its way closes what it did not open; nothing of that is an answer.
    return answer.lstrip(" )")

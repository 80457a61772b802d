"""The words around a question: one format for training and for use.

Knows text only.
"""

from __future__ import annotations

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

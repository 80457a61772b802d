"""The words around a question: one format for training and for use.

Knows text only.
"""

from __future__ import annotations

UNKNOWN_ANSWER = "not found"
"""What a reader says when nothing it was given answers the question."""


def question_prompt(question: str) -> str:
    """What follows the retrieved context; the answer comes next."""
    return f"Question: {' '.join(question.split())}\nAnswer:"


def answer_text(answer: str) -> str:
    """An answer as it follows `question_prompt`."""
    return f" {answer}"

"""The words of a prompt: what a reader is told first, and what it says when it does not know.

Knows text only; how it is put together is in `formats`.
"""

from __future__ import annotations

UNKNOWN_ANSWER = "not found"
"""What a reader says when nothing it was given answers the question."""

SYSTEM_PROMPT = (
    "Answer the question from the passages, in as few words as it allows. "
    f'If they do not hold the answer, say "{UNKNOWN_ANSWER}".'
)
"""What a reader is told first."""

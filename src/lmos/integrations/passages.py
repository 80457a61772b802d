"""What every framework wants of a search: text with where it stands, best first.

Knows sessions. Knows no framework.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lmos.errors import ConfigError
from lmos.reading.citations import Citation
from lmos.search.retriever import RetrievalConfig
from lmos.session import Session

_TOKENS_PER_PASSAGE = 128


def find_passages(
    session: Session, question: str, k: int, config: RetrievalConfig | None = None
) -> list[Citation]:
    """The passages that a question needs, best first.

    Args:
        session: Open, for reading at least.
        question: Any question.
        k: Most passages.
        config: How to search; its `max_texts` and `budget` make way for `k`.

    Raises:
        QueryError: The question is empty or too long.
        ConfigError: `k` is no number from 1 on.
    """
    if k < 1:
        raise ConfigError(f"k: expected at least one passage, got {k}")
    config = replace(config or RetrievalConfig(), max_texts=k, budget=k * _TOKENS_PER_PASSAGE)
    with session.store.snapshot():
        return list(session.cite(session.retrieve(question, config)))[:k]


def metadata_of(citation: Citation) -> dict[str, Any]:
    """Where a passage stands, by names that all frameworks share."""
    return {
        "source": citation.source,
        "start_byte": citation.start_byte,
        "end_byte": citation.end_byte,
        "time": citation.time,
        "headings": list(citation.headings),
        "score": citation.score,
    }


def place_of(citation: Citation) -> str:
    """A name of the passage that no other has: `diary.md#10-80`."""
    return f"{citation.source}#{citation.start_byte}-{citation.end_byte}"


def missing(package: str, extra: str) -> ConfigError:
    """The error for a framework that is not installed."""
    return ConfigError(f"{package} is not installed; install it with: pip install 'lmos[{extra}]'")

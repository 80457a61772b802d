"""Why a question found no passage at all, in words.

Knows the limits that a search was given and the sources that there are. Does not search.
"""

from __future__ import annotations

from datetime import datetime

from lmos.search.retriever import RetrievalConfig
from lmos.store import AbstractStore


def why_nothing(store: AbstractStore, config: RetrievalConfig) -> str:
    """The reason that an empty retrieval has; what can be done about it, where that is known."""
    if not store.sources():
        return "the store is empty: add text with lmos add"
    if config.admitted_ids(store) == frozenset():
        return f"no source matches {_filters(config)}"
    return "no passage was kept: raise budget, max_texts or max_embeddings"


def _filters(config: RetrievalConfig) -> str:
    """The limits, as the command line spells them."""
    times = (("--since", config.since), ("--until", config.until))
    limits = [f"{name} {_moment(time)}" for name, time in times if time is not None]
    return " ".join([*limits, *(f"--where {key}={config.where[key]}" for key in config.where)])


def _moment(seconds: float) -> str:
    try:
        time = datetime.fromtimestamp(seconds)
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g}"
    return time.isoformat().removesuffix("T00:00:00")

"""lmos: a life-long context for language models, compressed and searched by the model itself.

What public calls take and return; everything else is in the module that its name says. Names are
imported when they are first used, so that a command can answer before torch is there.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmos.errors import LmosError
    from lmos.model.base import BaseModel
    from lmos.model.confidence import Evidence
    from lmos.model.formats import AbstractFormat, PromptFormat, ReadPassage
    from lmos.nodes import Hit, Node, NodeId, NodeIds, ScoreParts, Source, Span, WalkStep
    from lmos.reading.answers import Answer
    from lmos.reading.citations import Citation
    from lmos.search.retriever import Retrieval
    from lmos.search.scorers import AbstractScorer, Query
    from lmos.search.strategies import AbstractStrategy, Kept, LevelTrace, Search
    from lmos.session import Session, UntrainedWarning, load_model
    from lmos.settings import Compression, RetrievalConfig
    from lmos.store import AbstractStore, Manifest
    from lmos.store.keys import Key
    from lmos.tree.segments import AbstractSegmenter

__version__ = "0.1.0"

# Threads that wait for each other spin, for long by default: beside another busy process they spin
# on the very core that the other one needs. OpenMP of GNU reads this when torch is imported.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")

__all__ = [
    "AbstractFormat",
    "AbstractScorer",
    "AbstractSegmenter",
    "AbstractStore",
    "AbstractStrategy",
    "Answer",
    "BaseModel",
    "Citation",
    "Compression",
    "Evidence",
    "Hit",
    "Kept",
    "Key",
    "LevelTrace",
    "LmosError",
    "Manifest",
    "Node",
    "NodeId",
    "NodeIds",
    "PromptFormat",
    "Query",
    "ReadPassage",
    "Retrieval",
    "RetrievalConfig",
    "ScoreParts",
    "Search",
    "Session",
    "Source",
    "Span",
    "UntrainedWarning",
    "WalkStep",
    "__version__",
    "load_model",
]

_HOMES = {
    "AbstractFormat": "model.formats",
    "AbstractScorer": "search.scorers",
    "AbstractSegmenter": "tree.segments",
    "AbstractStore": "store",
    "AbstractStrategy": "search.strategies",
    "Answer": "reading.answers",
    "BaseModel": "model.base",
    "Citation": "reading.citations",
    "Compression": "settings",
    "Evidence": "model.confidence",
    "Hit": "nodes",
    "Kept": "search.strategies",
    "Key": "store.keys",
    "LevelTrace": "search.strategies",
    "LmosError": "errors",
    "Manifest": "store",
    "Node": "nodes",
    "NodeId": "nodes",
    "NodeIds": "nodes",
    "PromptFormat": "model.formats",
    "Query": "search.scorers",
    "ReadPassage": "model.formats",
    "Retrieval": "search.retriever",
    "RetrievalConfig": "settings",
    "ScoreParts": "nodes",
    "Search": "search.strategies",
    "Session": "session",
    "Source": "nodes",
    "Span": "nodes",
    "UntrainedWarning": "session",
    "WalkStep": "nodes",
    "load_model": "session",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value

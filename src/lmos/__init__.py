"""lmos: a life-long context for language models, compressed and searched by the model itself.

The few names that most programs need; everything else is in the module that its name says. They
are imported when they are first used, so that a command can answer before torch is there.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmos.errors import LmosError
    from lmos.model.base import BaseModel
    from lmos.reading.answers import Answer
    from lmos.reading.citations import Citation
    from lmos.search.retriever import RetrievalConfig
    from lmos.session import Session, UntrainedWarning, load_model
    from lmos.store.keys import Key

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "BaseModel",
    "Citation",
    "Key",
    "LmosError",
    "RetrievalConfig",
    "Session",
    "UntrainedWarning",
    "__version__",
    "load_model",
]

_HOMES = {
    "Answer": "reading.answers",
    "BaseModel": "model.base",
    "Citation": "reading.citations",
    "Key": "store.keys",
    "LmosError": "errors",
    "RetrievalConfig": "search.retriever",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, 'session')}"), name)
    globals()[name] = value
    return value

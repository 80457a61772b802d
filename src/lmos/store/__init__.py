"""Context stores: one contract, kept in memory (with gradients) or in one SQLite file."""

from lmos.store.base import AbstractStore, LevelPatch, NodeBatch, SourcePatch, WindowRecord
from lmos.store.manifest import Manifest

__all__ = [
    "AbstractStore",
    "LevelPatch",
    "Manifest",
    "NodeBatch",
    "SourcePatch",
    "WindowRecord",
]

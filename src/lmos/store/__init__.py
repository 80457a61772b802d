"""Context stores: one contract, kept in memory (with gradients) or in one SQLite file."""

from lmos.store.base import AbstractStore, LevelPatch, SourcePatch, WindowPlace, WindowRecord
from lmos.store.manifest import Manifest

__all__ = [
    "AbstractStore",
    "LevelPatch",
    "Manifest",
    "SourcePatch",
    "WindowPlace",
    "WindowRecord",
]

"""A dense retriever of similar size, if sentence-transformers is installed. Knows no store."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Any, Protocol

import click


class DenseModel(Protocol):
    """What is used of `sentence_transformers.SentenceTransformer`."""

    def encode(self, sentences: Sequence[str], *, normalize_embeddings: bool) -> Any:
        """`(N, D)`, one row a sentence."""
        ...


def load_dense(name: str | None) -> DenseModel | None:
    """The model of that folder or name, or `None`, with a note, where it cannot be had."""
    if name is None:
        return None
    if importlib.util.find_spec("sentence_transformers") is None:
        click.echo("dense retriever left out: sentence-transformers is not installed", err=True)
        return None
    library = importlib.import_module("sentence_transformers")
    model: DenseModel = library.SentenceTransformer(name)
    return model


class DenseIndex:
    """Cosine similarity over a list of texts."""

    def __init__(self, model: DenseModel, texts: Sequence[str]) -> None:
        self._model = model
        self._vectors_ND = model.encode(list(texts), normalize_embeddings=True)

    def rank(self, question: str, count: int) -> list[int]:
        """Numbers of the `count` best texts, best first."""
        scores_N = self._vectors_ND @ self._model.encode([question], normalize_embeddings=True)[0]
        return [int(number) for number in (-scores_N).argsort(kind="stable")[:count]]

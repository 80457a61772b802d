"""The steps of the benchmark `speed`, each for a process of its own: what is timed, and how.

Arguments and results are JSON. Knows one store at a time; does not compare sizes.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.timing import timed
from lmos.errors import DataError
from lmos.model.base import BaseModel
from lmos.nodes import Node, NodeId, Source, Span
from lmos.search.retriever import RetrievalConfig, Retriever
from lmos.session import Session, load_model
from lmos.store import AbstractStore, Manifest

_BATCH_ITEMS = 8192
_RUN_BYTES = 64_000
_PREFILL_TOKENS = 65_536


def add_books(store: str, model: str, books: list[str], num_tokens: int) -> dict[str, Any]:
    """Add books, one source each, until the store holds about `num_tokens` tokens."""
    with Session.create(store, load_model(model)) as session:
        tokens = seconds = 0.0
        bytes_per_token = _bytes_per_token(session.model, Path(books[0]))
        for book in books:
            text = Path(book).read_text(encoding="utf-8", errors="replace")
            text = text[: int((num_tokens - tokens) * bytes_per_token)]
            if not text.strip():
                break
            start = time.perf_counter()
            source = session.add(book, text)
            seconds += time.perf_counter() - start
            tokens += source.num_tokens
        if tokens < 0.9 * num_tokens:
            raise DataError(f"expected books of {num_tokens} tokens, got {tokens:.0f}; give more")
    size = Path(store).stat().st_size
    return {"tokens": tokens, "add_seconds": seconds, "bytes_per_token": size / tokens}


def _bytes_per_token(model: BaseModel, book: Path) -> float:
    text = book.read_text(encoding="utf-8", errors="replace")[:_RUN_BYTES]
    return len(text) / len(model.encode(text))


def compare_with_forward(store: str, model: str, repeats: int) -> dict[str, Any]:
    """`add` and the plain forward over the same windows, in turn, on stretches of the store."""
    adding: list[float] = []
    reading: list[float] = []
    limits = []
    with Session.open(store, load_model(model), read_only=True) as session:
        for text in _stretches(session.store, repeats):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "store.lmos")
                with Session.create(path, session.model) as other:
                    with timed(adding):
                        source = other.add("text", text)
                    with timed(reading):
                        _forward_windows(other, source)
                    limits.append(_arithmetic_limit(source, other.store.manifest))
    return {"add": adding, "forward": reading, "limit": sum(limits) / len(limits)}


def _stretches(store: AbstractStore, repeats: int) -> list[str]:
    rng, sources = random.Random(0), store.sources()
    texts = []
    for _ in range(repeats):
        source = rng.choice(sources)
        start = rng.randrange(max(1, source.num_bytes - _RUN_BYTES))
        data = store.text(source.source_id, Span(start, start + _RUN_BYTES))
        texts.append(data.decode(errors="ignore"))
    return texts


@torch.no_grad()
def _forward_windows(session: Session, source: Source) -> None:
    """The base model over the windows of a source, in batches as large as those of `add`."""
    model, manifest = session.model, session.store.manifest
    windows = [record.token_ids for record in session.store.windows(source.source_id)]
    size = max(1, _BATCH_ITEMS // manifest.windows[0])
    for start in range(0, len(windows), size):
        batch = windows[start : start + size]
        ids_BT = torch.zeros(len(batch), max(map(len, batch)), dtype=torch.long)
        for row, ids in enumerate(batch):
            ids_BT[row, : len(ids)] = torch.tensor(ids)
        model.forward(model.embed(ids_BT.to(model.device)))


def _arithmetic_limit(source: Source, manifest: Manifest) -> float:
    """Tokens ÷ positions of all forward passes: items and compression tokens of every level."""
    nodes = source.level_counts
    items = sum(count * ratio for count, ratio in zip(nodes[1:], manifest.ratios[1:], strict=True))
    return source.num_tokens / (source.num_tokens + sum(nodes) + items)


def ask(store: str, model: str, num_questions: int) -> dict[str, Any]:
    """Times of questions, warm, and of reading everything instead."""
    forward: list[float] = []
    search: list[float] = []
    first: list[float] = []
    with Session.open(store, load_model(model), read_only=True) as session:
        retriever = Retriever(session.model, RetrievalConfig())
        for question in sample_questions(session.store, num_questions):
            ids = session.model.encode(question).ids
            with timed(forward):
                query = retriever.prepare(ids)
            with timed(search):
                retriever.search(session.store, query)
            with timed(first):
                next(iter(session.ask(question)), None)
        num_tokens = sum(source.num_tokens for source in session.sources())
        prefill = _prefill_seconds(session.model, num_tokens)
    return {"forward": forward, "search": search, "first_token": first, "prefill": prefill}


@torch.no_grad()
def _prefill_seconds(model: BaseModel, num_tokens: int) -> float:
    """Reading everything, in stretches as long as the model takes: less work than one prefill.

    Beyond some length the time is that of a part, times the rest.
    """
    length = min(model.max_positions, num_tokens)
    count = max(1, min(num_tokens, _PREFILL_TOKENS) // length)
    x_BTD = model.embed(torch.randint(2, model.vocab_size, (1, length), device=model.device))
    seconds: list[float] = []
    with timed(seconds):
        for _ in range(count):
            model.forward(x_BTD)
    return seconds[0] * num_tokens / (count * length)


def first_question(store: str, model: str) -> dict[str, Any]:
    """Open a store whose pages were dropped from memory, and wait for the first token."""
    with Session.open(store, load_model(model), read_only=True) as session:
        (question,) = sample_questions(session.store, 1, seed=1)
        base = session.model
    list(base.generate(base.embed(torch.tensor([2, 3], device=base.device)), 1))
    drop_from_memory(Path(store))
    seconds: list[float] = []
    with timed(seconds), Session.open(store, base, read_only=True) as session:
        next(iter(session.ask(question)), None)
    return {"seconds": seconds[0]}


def drop_from_memory(path: Path) -> None:
    """Have the system forget what it read of a file, as far as it can."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(file)


def sample_questions(store: AbstractStore, count: int, seed: int = 0) -> list[str]:
    """Words of random leaves, as if somebody asked for a passage that they half remember."""
    rng, sources = random.Random(seed), store.sources()
    questions: list[str] = []
    while len(questions) < count:
        source = rng.choice(sources)
        leaf = NodeId(source.source_id, 1, rng.randrange(source.level_counts[0]))
        node: Node = store.nodes([leaf])[0]
        words = store.text(leaf.source_id, node.byte_span).decode(errors="ignore").split()
        if len(words) >= 3:
            questions.append(" ".join(words))
    return questions

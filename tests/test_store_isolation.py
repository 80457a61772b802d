"""Many stores side by side, all open at once: none ever shows anything of another."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from building import prose, small_manifest
from lmos.model.base import BaseModel
from lmos.nodes import Hit
from lmos.search.retriever import RetrievalConfig
from lmos.session import Session
from lmos.store import SourcePatch
from lmos.store.memory import MemoryStore
from lmos.store.sqlite import SQLiteStore
from lmos.tree.builder import SourceText, TreeBuilder

QUESTION = "What does the fox sleep over?"
CONFIG = RetrievalConfig(max_texts=2)


def text_of(number: int, part: int) -> str:
    """Text of one store: its own words in its own order, and its number in each sentence."""
    sentences = prose(12, seed=2 * number + part).split(". ")
    return "".join(f"{sentence} mark{number}x. " for sentence in sentences)


def patches_of(model: BaseModel, texts: list[str]) -> list[SourcePatch]:
    """What makes each text a source of a store of its own, compressed all together."""
    manifest = small_manifest(model)
    sources = [SourceText(str(number), text.encode()) for number, text in enumerate(texts)]
    with torch.no_grad():
        return TreeBuilder(model, manifest).build(MemoryStore(manifest), sources)


def found(session: Session, text: str) -> tuple[Hit, ...]:
    """What the session finds; all of it is in the text."""
    retrieval = session.retrieve(QUESTION, CONFIG)
    assert retrieval.hits
    for passage in session.cite(retrieval):
        assert passage.text.encode() == text.encode()[passage.start_byte : passage.end_byte]
    return retrieval.hits


@pytest.mark.parametrize("num_stores", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_what_is_asked_of_a_store_returns_nothing_of_another(
    tmp_path: Path, tiny_llama: BaseModel, num_stores: int
) -> None:
    manifest = small_manifest(tiny_llama)
    texts = [text_of(number, 0) for number in range(num_stores)]
    with ExitStack() as opened:
        sessions = []
        for number, patch in enumerate(patches_of(tiny_llama, texts)):
            store = SQLiteStore.create(tmp_path / f"{number}.lmos", manifest)
            # The same name, id, time and version everywhere: nothing but the file tells them apart.
            opened.enter_context(store).put_source("diary", patch, time=0)
            sessions.append(Session(tiny_llama, store))
        before = [found(*pair) for pair in zip(sessions, texts, strict=True)]
        texts[::3] = [text_of(number, 1) for number in range(0, num_stores, 3)]
        for session, patch in zip(sessions[::3], patches_of(tiny_llama, texts[::3]), strict=True):
            session.forget("diary")
            session.store.put_source("diary", patch, time=0)
        for number, pair in enumerate(zip(sessions, texts, strict=True)):
            assert (found(*pair) == before[number]) == (number % 3 != 0)
    for number in range(num_stores):
        marks = re.findall(rb"mark(\d+)x", (tmp_path / f"{number}.lmos").read_bytes())
        assert set(marks) == {str(number).encode()}

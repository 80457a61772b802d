"""Parts of a user's own: the examples of docs/extending.md run, and what a part must not do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import lmos
from building import assert_same_content, prose
from commands import failure, output, run
from lmos.errors import ConfigError
from lmos.model.base import BaseModel
from lmos.nodes import NodeId
from lmos.search.retriever import RetrievalConfig
from lmos.search.scorers import AbstractScorer, CachedScorer, Query
from lmos.session import Session, make_manifest
from lmos.store import AbstractStore
from lmos.tree.segments import AbstractSegmenter

GUIDE = Path(__file__).parent.parent / "docs" / "extending.md"
RATIOS = (8, 4)


class Lines(AbstractSegmenter):
    name = "lines"

    def find_stop(self, text: str, start: int, limit: int) -> int:
        end = text.find("\n", start, start + limit)
        return end + 1 if end >= 0 else min(start + limit, len(text))


class Stuck(Lines):
    def find_stop(self, text: str, start: int, limit: int) -> int:
        return start


class Reversed(AbstractScorer):
    """What lmos finds worst."""

    def score(self, query: Query, store: AbstractStore, ids: Sequence[NodeId]) -> Tensor:
        return -CachedScorer(self._model).score(query, store, ids)


def test_the_code_of_the_guide_runs(
    tiny_llama: BaseModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tiny_llama.save_pretrained(tmp_path / "model")
    model = BaseModel.from_pretrained(tmp_path / "model")
    monkeypatch.setattr(lmos, "load_model", lambda: model)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), flags=re.M | re.S)
    names: dict[str, Any] = {"__name__": "guide"}
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"{GUIDE.name}, block {number}", "exec"), names)
    found, newest = capsys.readouterr().out.splitlines()[:2]
    assert "diary" in found
    assert set(re.findall(r"\w+", newest)) == {"new"}
    with Session.open("letters.lmos", model) as letters:
        assert letters.store.manifest.segmenter == "paragraphs"


def test_a_scorer_of_ones_own_decides(tiny_llama: BaseModel, tmp_path: Path) -> None:
    config = RetrievalConfig(strategy="flat", beam=0, top_c=1, level=1, max_found=1)
    best = []
    with Session.create(tmp_path / "a", tiny_llama, RATIOS) as usual:
        usual.add("a", prose(120))
        reverse = Session(tiny_llama, usual.store, scorer=Reversed(tiny_llama))
        for session in (usual, reverse):
            best.append({hit.node.id for hit in session.retrieve("fox", config).hits})
        ids = usual.store.level_ids(1)
        query = CachedScorer(tiny_llama).prepare(tiny_llama.encode("fox").ids)
        scores_RN = CachedScorer(tiny_llama).score(query, usual.store, ids)
    with torch.no_grad():
        expected = [
            {ids[int(place)] for place in rows_RN.argmax(1)} for rows_RN in (scores_RN, -scores_RN)
        ]
    assert best == expected


def test_text_in_pieces_is_cut_as_text_at_once(tiny_llama: BaseModel, tmp_path: Path) -> None:
    text = "".join(f"{prose(n % 7 + 1, seed=n)}\n" for n in range(40))
    with (
        Session.create(tmp_path / "a", tiny_llama, RATIOS, segmenter=Lines()) as at_once,
        Session.create(tmp_path / "b", tiny_llama, RATIOS, segmenter=Lines()) as in_pieces,
    ):
        at_once.add("a", text, time=0.0)
        for start in range(0, len(text), 150):
            piece = text[start : start + 150]
            if start:
                in_pieces.store.put_source(
                    "a",
                    in_pieces._builder.extend(
                        in_pieces.store, in_pieces.store.source("a"), piece.encode()
                    ),
                )
            else:
                in_pieces.add("a", piece, time=0.0)
        assert_same_content(at_once.store, in_pieces.store)
        assert in_pieces.verify(deep=3) == []


def test_a_store_is_read_without_its_segmenter_but_not_added_to(
    tiny_llama: BaseModel, tmp_path: Path
) -> None:
    tiny_llama.save_pretrained(tmp_path / "model")
    model, path = BaseModel.from_pretrained(tmp_path / "model"), tmp_path / "a.lmos"
    with Session.create(path, model, RATIOS, segmenter=Lines()) as session:
        session.add("a", "The fox sleeps.\nThe dog jumps.\n")
    with Session.open(path, model) as session:
        assert session.retrieve("Who sleeps?").hits
        with pytest.raises(ConfigError, match=r"cut by 'lines', got none.*segmenter="):
            session.add("b", "More.")
        assert [source.name for source in session.sources()] == ["a"]
    assert run("ask", path, "Who sleeps?").exit_code in (0, 1)
    (tmp_path / "b.txt").write_text("More.")
    assert "cut by 'lines'" in failure("add", path, tmp_path / "b.txt")
    assert "a" in output("sources", path)
    with Session.open(path, model, segmenter=Lines()) as session:
        session.add("b", "More.")


def test_a_segmenter_must_have_a_name_of_its_own_and_go_on(
    tiny_llama: BaseModel, tmp_path: Path
) -> None:
    for name in ("unit", "", "two words"):
        mine = Lines()
        mine.name = name
        with pytest.raises(ConfigError, match="expected a name of its own"):
            make_manifest(tiny_llama, RATIOS, segmenter=mine)
    with Session.create(tmp_path / "a", tiny_llama, RATIOS, segmenter=Stuck()) as session:
        with pytest.raises(ConfigError, match="segmenter lines: expected a unit from 0 to end at"):
            session.add("a", "text")
        assert session.sources() == []

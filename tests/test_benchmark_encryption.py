"""The benchmark of encryption: both stores get all that there is, and each row has both."""

from __future__ import annotations

from pathlib import Path

from benchmarks.encryption import measure, pieces_of
from building import prose
from lmos.model.base import BaseModel
from lmos.store.keys import is_encrypted


def test_every_row_compares_the_same_work(tiny_llama: BaseModel, tmp_path: Path) -> None:
    sources = pieces_of(prose(400), num_sources=3, num_chars=400)
    rows = measure(tiny_llama, sources, num_questions=2, folder=tmp_path, seed=0)
    paths = {kind: tmp_path / f"{kind}.lmos" for kind in ("plain", "encrypted")}
    assert [is_encrypted(path) for path in paths.values()] == [False, True]
    sizes = rows[-1]
    assert {kind: sizes[kind] for kind in paths} == {
        kind: path.stat().st_size for kind, path in paths.items()
    }
    assert all(row["plain"] > 0 and row["encrypted"] > 0 and row["ratio"] > 0 for row in rows)

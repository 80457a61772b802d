"""`lmos serve`, killed while clients write: what was acknowledged is there, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.soak_serving import Load, Written, count_lost, soak
from conftest import new_llama
from lmos.model.base import BaseModel
from lmos.session import Session

LOAD = Load(
    120, most_kills=2, lives=(0, 0.3), least_writes=3, num_stores=2, num_writers=2, num_readers=1
)


@pytest.mark.slow
def test_what_is_acknowledged_outlives_kills(tokenizer_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "stores").mkdir()
    model = new_llama(tokenizer_folder)
    model.is_trained = True
    model.save_pretrained(tmp_path / "model")
    found = soak(tmp_path / "stores", model, str(tmp_path / "model"), LOAD)
    assert (found["kills"], found["stops"]) == (2, 1)
    assert found["acknowledged"] >= 9
    assert found["faults"] == []
    assert (found["lost"], found["returned"], found["foreign"]) == (0, 0, 0)


def test_what_is_lost_is_counted(tiny_llama: BaseModel, tmp_path: Path) -> None:
    with Session.create(tmp_path / "life.lmos", tiny_llama) as session:
        session.add("notes", "One fox.\nTwo dogs.\nTwo dogs.\nNobody wrote this.")
        session.add("page", "Three cats.")
    written = Written(
        kept={("life", "notes", "One fox."), ("life", "notes", "Four hens.")},
        open={("life", "notes", "Two dogs."), ("life", "page", "Three cats.")},
        forgotten={("life", "page"), ("life", "other")},
    )
    assert count_lost(tmp_path, ["life"], tiny_llama, [written]) == {
        "lost": 1,
        "returned": 1,
        "foreign": 2,
        "faults": [],
    }

"""The ablation: every row changes what it says, from the same start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import ablation
from benchmarks.ablation import GROUPS, ROWS, Row, choose_rows, train_row
from building import prose
from lmos.model import BaseModel
from lmos.training.corpus import Document, PassageSampler
from lmos.training.data import TrainingData
from test_benchmarks import measured, model_folder

__all__ = ["model_folder"]

DATA = TrainingData(PassageSampler([Document("a", prose(3000))]))


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = replace(
        ablation.LOSSES, min_windows=1, max_windows=1, questions=3, readings=1, reconstructions=1
    )
    monkeypatch.setattr(ablation, "LOSSES", replace(losses, contexts=1, distractors=1))
    monkeypatch.setattr(ablation, "MIXTURE", replace(ablation.MIXTURE, batch_size=1, window=96))


def weights(model: BaseModel) -> torch.Tensor:
    return torch.cat([each.detach().flatten() for each in model.as_module().parameters()])


def test_no_two_rows_are_the_same_and_each_changes_one_thing() -> None:
    baseline, *others = ROWS
    assert baseline.group == "baseline"
    assert len({(row.group, row.name) for row in ROWS}) == len(ROWS)
    for row in others:
        plain = replace(row, group=baseline.group, name=baseline.name)
        changed = [name for name, value in vars(plain).items() if value != vars(baseline)[name]]
        assert len(changed) == 1, row


def test_rows_that_differ_in_the_walk_alone_share_a_training() -> None:
    shared = [row.group for row in ROWS if row.training == ROWS[0].training]
    assert set(shared) == {"baseline", "scorer", "walk"}


def test_groups_are_chosen_beside_the_baseline() -> None:
    assert choose_rows(()) == list(ROWS)
    assert {row.group for row in choose_rows(["losses"])} == {"baseline", "losses"}
    assert "losses" in GROUPS


def test_a_training_follows_from_its_row(model_folder: Path) -> None:
    def trained(row: Row) -> BaseModel:
        return train_row(str(model_folder), DATA, row, 1, seed=0)

    first = weights(trained(ROWS[0]))
    again = weights(trained(ROWS[0]))
    no_routing = weights(trained(replace(ROWS[0], losses={"routing_weight": 0.0})))
    # Two runs in one process are not equal to the bit (docs/log.md): about 0.05 apart, not 0.9.
    assert (first - again).norm() < 0.1 * (first - no_routing).norm()
    four = trained(replace(ROWS[0], adapter={"num_retrieval_tokens": 4}))
    assert four.adapter.config.num_retrieval_tokens == 4


def test_rows_are_measured(model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text(prose(3000), encoding="utf-8")
    book = tmp_path / "book.txt"
    book.write_text(prose(400), encoding="utf-8")
    result = measured(
        tmp_path,
        *("ablation", "--data", tmp_path / "data", "--books", book, "--base", model_folder),
        *("--steps", 1, "--group", "scorer", "--tokens", 20, "--facts", 1, "--stores", 1),
    )
    assert [(cell["changed"], cell["to"]) for cell in result["cells"]][1] == ("scorer", "paper")
    assert all(cell["gold_kept"]["total"] == 1 for cell in result["cells"])

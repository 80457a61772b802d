"""The ablation: every row changes what it says, from the same start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import ablation
from benchmarks.ablation import train_row
from benchmarks.variants import GROUPS, Variant, choose_rows, make_rows
from building import prose
from lmos.model.base import BaseModel
from lmos.settings import DEFAULT_COMPRESSION, MASK_MODES, OUTPUT_MODES, SEGMENTERS
from lmos.training.corpus import Document, PassageSampler
from lmos.training.data import TrainingData
from test_benchmarks import measured, model_folder

__all__ = ["model_folder"]

DATA = TrainingData(PassageSampler([Document("a", prose(3000))]))
BASELINE = Variant("baseline", "as it is")


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = replace(
        ablation.LOSSES, min_windows=1, max_windows=1, questions=3, readings=1, reconstructions=1
    )
    monkeypatch.setattr(ablation, "LOSSES", replace(losses, contexts=1, distractors=1))


def weights(model: BaseModel) -> torch.Tensor:
    return torch.cat([each.detach().flatten() for each in model.as_module().parameters()])


def test_no_two_rows_are_the_same_and_each_changes_one_thing(tiny_llama: BaseModel) -> None:
    rows = make_rows(tiny_llama)
    baseline, *others = rows
    assert baseline.group == "baseline"
    assert len({(row.group, row.name) for row in rows}) == len(rows)
    for row in others:
        plain = replace(row, group=baseline.group, name=baseline.name)
        changed = [name for name, value in vars(plain).items() if value != vars(baseline)[name]]
        assert len(changed) == 1, row


def test_rows_that_differ_in_the_walk_alone_share_a_training(tiny_llama: BaseModel) -> None:
    rows = make_rows(tiny_llama)
    shared = [row.group for row in rows if row.training == rows[0].training]
    assert set(shared) == {"baseline", "scorer", "walk"}


def test_groups_are_chosen_beside_the_baseline(tiny_llama: BaseModel) -> None:
    rows = make_rows(tiny_llama)
    assert choose_rows((), tiny_llama) == rows
    chosen = choose_rows(["losses"], tiny_llama)
    assert {row.group for row in chosen} == {"baseline", "losses"}
    assert {row.group for row in rows} == set(GROUPS)


def test_rows_have_every_choice_and_every_layer(tiny_llama: BaseModel) -> None:
    rows = make_rows(tiny_llama)
    segmenters = {row.modes.get("segmenter", "unit") for row in rows}
    compressions = {row.modes.get("compression", DEFAULT_COMPRESSION) for row in rows}
    assert segmenters == set(SEGMENTERS)
    assert {each.mask_mode for each in compressions} == set(MASK_MODES)
    assert {each.output_mode for each in compressions} == set(OUTPUT_MODES)
    layers = {row.adapter["scoring_layer"] for row in rows if row.group == "scoring layer"}
    assert layers | {tiny_llama.default_scoring_layer} == set(range(tiny_llama.num_layers))


def test_a_training_follows_from_its_row(model_folder: Path) -> None:
    def trained(row: Variant) -> BaseModel:
        return train_row(str(model_folder), DATA, row, 1, seed=0)

    first = weights(trained(BASELINE))
    again = weights(trained(BASELINE))
    no_routing = weights(trained(replace(BASELINE, losses={"routing_weight": 0.0})))
    # Two runs in one process are not equal to the bit (docs/log.md): about 0.05 apart, not 0.9.
    assert (first - again).norm() < 0.1 * (first - no_routing).norm()
    four = trained(replace(BASELINE, adapter={"num_retrieval_tokens": 4}))
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
    assert [(cell["changed"], cell["to"]) for cell in result["cells"]][1] == ("scorer", "joint")
    assert all(cell["gold_kept"]["total"] == 1 for cell in result["cells"])

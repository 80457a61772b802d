"""Benchmarks of talks: when to retrieve, and what a question waits for."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.when import Said, Turn, make_turns, policy_table, score_measure, score_policy
from building import prose
from conftest import new_llama

ASKED = [(f"Where is {number}?", f"town {number}") for number in range(30)]


@pytest.fixture(scope="module")
def folder(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("talks")
    model = new_llama(tokenizer_folder, max_position_embeddings=1024)
    model.is_trained = True
    model.save_pretrained(folder / "model")
    (folder / "book.txt").write_text(prose(200))
    return folder


def test_half_of_a_talk_needs_nothing_and_each_turn_has_a_right_answer() -> None:
    turns = make_turns(random.Random(0), ASKED)
    assert sum(turn.needs_store for turn in turns) == len(turns) / 2 == len(ASKED)
    assert {turn.kind for turn in turns} == {"store", "small talk", "arithmetic", "rewording"}
    assert turns == make_turns(random.Random(0), ASKED)
    for turn in turns:
        assert not turn.is_right("not found")
        assert turn.is_right(" ".join(["It is", *turn.answers]))


def said(*, needs_store: bool, unsure: float) -> Said:
    turn = Turn("store" if needs_store else "small talk", "?")
    return Said(turn, (needs_store, not needs_store), {"it": unsure})


def test_policies_are_scored_by_right_answers_and_retrievals() -> None:
    talk = [said(needs_store=number % 4 < 2, unsure=number % 4) for number in range(40)]
    always = score_policy(talk, lambda _: True)
    assert (always.right.mean, always.made_up.mean, always.retrieved.mean) == (0.5, 0.0, 1.0)
    never = score_policy(talk, lambda _: False)
    assert (never.right.mean, never.made_up.mean, never.retrieved.mean) == (0.5, 0.5, 0.0)
    # The measure says the opposite of what is needed, so that no threshold is better than none.
    assert score_measure(talk, "it").right.mean <= 0.5
    turned = [said(needs_store=number % 4 < 2, unsure=number % 4 < 2) for number in range(40)]
    best = score_measure(turned, "it")
    assert (best.right.mean, best.made_up.mean, best.retrieved.mean) == (1.0, 0.0, 0.5)


@pytest.mark.parametrize("name", ["when", "stall"])
def test_it_runs_from_end_to_end(folder: Path, name: str) -> None:
    options = ["--data", folder / "book.txt", "--model", folder / "model", "--characters", 2000]
    options += ["--turns", 8 if name == "when" else 1, "--json", folder / f"{name}.json"]
    result = CliRunner().invoke(main, [name, *map(str, options)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    cells = json.loads((folder / f"{name}.json").read_text())["cells"]
    if name == "stall":
        assert cells[0]["way"] == "at once"
        assert all(cell["first token"] >= cell["read"] > 0 for cell in cells)
    else:
        assert [cell["retrieved"] for cell in cells[:2]] == [1, 0]
        assert all(0 <= cell["right"] <= 1 for cell in cells)


def test_the_table_has_a_row_for_each_policy() -> None:
    talk = [
        Said(Turn("store", "?"), (True, False), {"“not found” without passages": -number / 100})
        for number in range(8)
    ]
    table, cells = policy_table(talk)
    assert len(cells) == 5
    # At and above -0.03 it retrieves: four of the eight.
    assert [cell["retrieved"] for cell in cells[:3]] == [1, 0, 0.5]
    assert table.count("\n") == 6

"""The benchmarks of speed run, and their stores of planted nodes are stores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.cold import STEPS
from benchmarks.fresh import run_fresh
from benchmarks.planted import make_planted_store, planted_questions
from benchmarks.speed import add_growth
from benchmarks.timing import interval
from benchmarks.walk import measure
from building import prose
from lmos.model.base import BaseModel
from lmos.search.retriever import RetrievalConfig, Retriever
from lmos.search.scorers import Query


@pytest.mark.parametrize("num_tokens", [1000, 70_000])
def test_a_planted_store_is_whole_and_its_leaves_are_found(
    tiny_llama: BaseModel, tmp_path: Path, num_tokens: int
) -> None:
    with make_planted_store(tmp_path / "planted.lmos", num_tokens, width=32) as store:
        assert store.verify() == []
        assert sum(source.num_tokens for source in store.sources()) >= num_tokens
        for strategy in ("tree", "flat"):
            retriever = Retriever(tiny_llama, RetrievalConfig(strategy=strategy))
            for question in planted_questions(store, 5, noise=0.1):
                found = retriever.search(store, Query(question.vectors_RK))
                assert found.walk[-1].kept[0][0] == question.leaf


def test_a_fresh_process_has_its_own_peak() -> None:
    held = bytearray(200_000_000)
    fresh = run_fresh("json:dumps", obj=[1])
    assert fresh.result == "[1]"
    assert fresh.peak_bytes < len(held)


def test_growth_is_against_the_size_nearest_the_reference() -> None:
    cells = [
        {"tokens": 1000 * 10**n, "search": [n + 1.0, n + 1.0], "search_p50": n + 1.0}
        | {"add_peak_bytes": 100 + n, "ask_peak_bytes": 100}
        for n in range(3)
    ]
    add_growth(cells, reference_tokens=9000)
    assert [cell["search_growth"] for cell in cells] == [0.5, 1.0, 1.5]
    assert cells[2]["search_growth_interval"] == (1.5, 1.5)
    assert cells[0]["add_peak_growth"] == pytest.approx(100 / 101)


def test_every_level_of_a_walk_is_timed(tiny_llama: BaseModel, tmp_path: Path) -> None:
    width = tiny_llama.key_width
    with make_planted_store(tmp_path / "planted.lmos", 20_000, width) as store:
        rows = measure(tiny_llama, store, 3, RetrievalConfig(beam=16, top_c=4))
        assert [row["level"] for row in rows] == [3, 2, 1]
        assert rows[0]["scored"] == len(store.root_ids())
    assert rows[0]["opened"] == 0
    assert all(row["scored"] == pytest.approx(4 * row["opened"]) for row in rows[1:])
    assert all(row["opened"] >= 16 for row in rows[1:])
    assert all(0 < row["p50"] <= row["p99"] for row in rows)
    assert all(row["key_bytes"] == row["scored"] * width * 2 for row in rows)


def test_an_interval_holds_the_figure_and_narrows_with_more_values() -> None:
    few, many = [1.0, 2.0, 3.0], [1.0, 2.0, 3.0] * 100
    low, high = interval(few, of=lambda values: float(values.mean()))
    assert low < 2.0 < high
    closer = interval(many, of=lambda values: float(values.mean()))
    assert closer[1] - closer[0] < high - low


@pytest.mark.slow
def test_every_step_of_a_cold_start_is_timed(tiny_llama: BaseModel, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_llama, "is_trained", True)  # every test shares this model
        tiny_llama.save_pretrained(tmp_path / "model")
    (tmp_path / "book.txt").write_text(prose(2000))
    words = ["cold", "--data", tmp_path / "book.txt", "--model", tmp_path / "model"]
    words += ["--repeats", 1, "--json", tmp_path / "out.json"]
    result = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    cells = json.loads((tmp_path / "out.json").read_text())["cells"]
    seconds = {cell["step"]: cell["seconds"] for cell in cells}
    assert [*seconds][: len(STEPS)] == list(STEPS)
    assert all(value > 0 for value in seconds.values())
    total = sum(seconds[step] for step in STEPS)
    assert seconds["first token, from the start"] == pytest.approx(total)


@pytest.mark.slow
def test_the_benchmarks_of_speed_run(tiny_llama: BaseModel, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_llama, "is_trained", True)  # every test shares this model
        tiny_llama.save_pretrained(tmp_path / "model")
    (tmp_path / "book.txt").write_text(prose(8000))
    common = ["--model", tmp_path / "model", "--questions", 4, "--json", tmp_path / "out.json"]
    for words in (
        ["speed", "--data", tmp_path / "book.txt", "--tokens", "1000,4000", "--repeats", 2],
        ["strategies", "--nodes", "1000,8000", "--width", 16],
        ["walk", "--tokens", 20_000],
    ):
        arguments = [str(word) for word in [*words, *common]]
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        cells = json.loads((tmp_path / "out.json").read_text())["cells"]
        assert len(cells) >= 2
        assert all(cell.get("search_p50", cell.get("p50")) > 0 for cell in cells)

"""Speed: adding, asking and what it takes on disk and in memory, from small stores to large ones.

Ratios of times that were taken in turn on one machine. Every step runs in a process of its own
(`speed_steps`), so that neither memory nor caches of one size help the next.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.fresh import run_fresh
from benchmarks.options import data_option
from benchmarks.report import markdown_table, save_json
from benchmarks.timing import interval, percentile
from lmos.errors import ConfigError, DataError
from lmos.model.released import DEFAULT_MODEL

_MEGABYTE = 1e6


def measure(
    store: Path, model: str, books: list[str], num_tokens: int, questions: int, repeats: int
) -> dict[str, Any]:
    """Every figure of one size; times in seconds."""
    place = {"store": str(store), "model": model}
    added, add_peak = run_fresh(
        "benchmarks.speed_steps:add_books", **place, books=books, num_tokens=num_tokens
    )
    pairs, _ = run_fresh("benchmarks.speed_steps:compare_with_forward", **place, repeats=repeats)
    asked, ask_peak = run_fresh("benchmarks.speed_steps:ask", **place, num_questions=questions)
    cold, _ = run_fresh("benchmarks.speed_steps:first_question", **place)
    ratios = (np.array(pairs["forward"]) / np.array(pairs["add"])).tolist()
    first = percentile(asked["first_token"], 50)
    return {
        "tokens": int(added["tokens"]),
        "add_tokens_per_second": added["tokens"] / added["add_seconds"],
        "add_ratio": float(np.median(ratios)),
        "add_ratio_interval": interval(ratios, of=np.median),
        "add_limit": pairs["limit"],
        "first_token": first,
        "first_token_ratio": first / asked["prefill"],
        "query_forward": percentile(asked["forward"], 50),
        "search": asked["search"],
        "search_p50": percentile(asked["search"], 50),
        "search_p50_interval": interval(asked["search"], of=np.median),
        "search_p99": percentile(asked["search"], 99),
        "bytes_per_token": added["bytes_per_token"],
        "add_peak_bytes": add_peak,
        "ask_peak_bytes": ask_peak,
        "cold_first_token": cold["seconds"],
    }


def add_growth(cells: list[dict[str, Any]], reference_tokens: int) -> None:
    """Of each size, its search time and memory ÷ those of the size nearest the reference."""
    base = min(cells, key=lambda cell: abs(cell["tokens"] - reference_tokens))
    for cell in cells:
        pair = (cell["search"], base["search"])
        cell["search_growth"] = cell["search_p50"] / base["search_p50"]
        cell["search_growth_interval"] = interval(
            *pair, of=lambda mine, other: float(np.median(mine) / np.median(other))
        )
        for what in ("add_peak", "ask_peak"):
            cell[f"{what}_growth"] = cell[f"{what}_bytes"] / base[f"{what}_bytes"]


def table(cells: list[dict[str, Any]]) -> str:
    """The figures of all sizes."""
    header = ["", *(f"{cell['tokens']:,} tokens" for cell in cells)]
    rows = [
        ("add ÷ plain forward", lambda c: _ranged(c, "add_ratio", 2)),
        ("the same ÷ arithmetic limit", lambda c: f"{c['add_ratio'] / c['add_limit']:.2f}"),
        ("add, tokens a second", lambda c: f"{c['add_tokens_per_second']:,.0f}"),
        ("time to first token", lambda c: f"{1e3 * c['first_token']:.1f} ms"),
        ("… ÷ reading everything", lambda c: f"1 / {1 / c['first_token_ratio']:,.0f}"),
        ("retrieval p50, without the query's forward", lambda c: _milliseconds(c)),
        ("retrieval p99", lambda c: f"{1e3 * c['search_p99']:.1f} ms"),
        ("p50 ÷ that at the reference", lambda c: _ranged(c, "search_growth", 2)),
        ("the query's own forward", lambda c: f"{1e3 * c['query_forward']:.1f} ms"),
        ("bytes on disk per token", lambda c: f"{c['bytes_per_token']:.0f}"),
        ("peak memory of add", lambda c: _memory(c, "add_peak")),
        ("peak memory of ask", lambda c: _memory(c, "ask_peak")),
        ("open cold, to the first token", lambda c: f"{c['cold_first_token']:.2f} s"),
    ]
    return markdown_table(header, [[name, *map(figure, cells)] for name, figure in rows])


def _ranged(cell: dict[str, Any], name: str, digits: int) -> str:
    low, high = cell[f"{name}_interval"]
    return f"{cell[name]:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def _milliseconds(cell: dict[str, Any]) -> str:
    low, high = cell["search_p50_interval"]
    return f"{1e3 * cell['search_p50']:.1f} ms ({1e3 * low:.1f}–{1e3 * high:.1f})"


def _memory(cell: dict[str, Any], what: str) -> str:
    return f"{cell[f'{what}_bytes'] / _MEGABYTE:,.0f} MB, × {cell[f'{what}_growth']:.2f}"


@click.command()
@data_option("Books: a .txt file or a folder of them.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Folder or name.")
@click.option(
    "--tokens", default="10000,100000", show_default=True, help="Sizes of stores, with commas."
)
@click.option("--reference", default=100_000, show_default=True, help="Growth is ÷ this size.")
@click.option("--questions", default=200, show_default=True, type=click.IntRange(2))
@click.option("--repeats", default=10, show_default=True, help="Stretches timed in turn.")
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Where to write figures."
)
def speed(
    data: Path,
    model: str,
    tokens: str,
    reference: int,
    questions: int,
    repeats: int,
    json_path: Path | None,
) -> None:
    """Ratios of times, and what a store takes, from small stores to large ones."""
    books = sorted(map(str, data.rglob("*.txt") if data.is_dir() else [data]))
    if not books:
        raise DataError(f"expected .txt files in {data}, found none")
    cells = []
    for num_tokens in _sizes(tokens):
        with tempfile.TemporaryDirectory() as folder:
            store = Path(folder, "store.lmos")
            cells.append(measure(store, model, books, num_tokens, questions, repeats))
        click.echo(f"measured {cells[-1]['tokens']:,} tokens", err=True)
    add_growth(cells, reference)
    click.echo(table(cells))
    settings = {"data": data.name, "questions": questions, "repeats": repeats}
    rows = [{key: value for key, value in cell.items() if key != "search"} for cell in cells]
    save_json(json_path, "speed", model, {**settings, "reference": reference}, rows)


def _sizes(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or min(sizes) < 1000:
        raise ConfigError(f"--tokens: expected numbers from 1000 with commas, got {text!r}")
    return sizes

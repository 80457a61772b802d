"""Strategies: recall against latency of tree, flat and index, in stores of planted random nodes.

No model compresses anything here, and a question is a leaf's key with noise: the figures say what a
way to search costs and loses at a size, not how well a trained model finds. Structure and noise are
in `planted`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.planted import PlantedQuestion, make_planted_store, planted_questions
from benchmarks.report import Share, markdown_table, save_json, share
from benchmarks.timing import interval, percentile, timed
from lmos.model.base import BaseModel
from lmos.model.released import DEFAULT_MODEL
from lmos.search.retriever import RetrievalConfig, Retriever
from lmos.search.scorers import Query
from lmos.session import load_model
from lmos.store.sqlite import SQLiteStore

_TOKENS_PER_NODE = 16 / (1 + 1 / 4 + 1 / 16)
_WARM_UP = 5
_BEAMS = (64, 256, 1024)


def measure(
    model: BaseModel,
    store: SQLiteStore,
    questions: Sequence[PlantedQuestion],
    config: RetrievalConfig,
) -> dict[str, Any]:
    """One strategy with one beam: is the leaf first, is it kept, and how long did it take?"""
    retriever = Retriever(model, config)
    seconds: list[float] = []
    first, kept = [], []
    for number, question in enumerate([*questions[:_WARM_UP], *questions]):
        with timed(seconds):
            found = retriever.search(store, Query(question.vectors_RK))
        if number >= _WARM_UP:
            ids = [node_id for node_id, _ in found.walk[-1].kept]
            first.append(ids[0] == question.leaf)
            kept.append(question.leaf in ids)
    seconds = seconds[_WARM_UP:]
    return {
        "strategy": config.strategy,
        "beam": config.beam,
        "first": share(first),
        "kept": share(kept),
        "p50": percentile(seconds, 50),
        "p50_interval": interval(seconds, of=np.median),
        "p99": percentile(seconds, 99),
    }


@click.command()
@click.option("--nodes", default="10000,100000", show_default=True, help="Sizes, with commas.")
@click.option("--width", default=64, show_default=True, help="Numbers in a key.")
@click.option("--noise", default=0.5, show_default=True, help="Of questions; keys have length 1.")
@click.option(
    "--beam", "beams", multiple=True, type=int, default=(64, 256, 1024), show_default=True
)
@click.option("--questions", default=200, show_default=True, type=click.IntRange(2))
@click.option(
    "--model", default=DEFAULT_MODEL, show_default=True, help="Carries the search; is not run."
)
@click.option(
    "--folder", type=click.Path(path_type=Path), help="For the stores, which are temporary."
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Where to write.")
def strategies(
    nodes: str,
    width: int,
    noise: float,
    beams: tuple[int, ...],
    questions: int,
    model: str,
    folder: Path | None,
    json_path: Path | None,
) -> None:
    """Recall against latency of tree, flat and index, from small stores to large ones."""
    base = load_model(model)
    cells = []
    for num_nodes in map(int, nodes.split(",")):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            path = Path(place, "planted.lmos")
            make_planted_store(path, int(num_nodes * _TOKENS_PER_NODE), width).close()
            with SQLiteStore.open(path, read_only=True) as store:
                asked = planted_questions(store, questions, noise)
                start = time.perf_counter()
                Retriever(base, RetrievalConfig(strategy="index")).search(
                    store, Query(asked[0].vectors_RK)
                )
                about = {
                    "nodes": sum(sum(source.level_counts) for source in store.sources()),
                    "roots": len(store.root_ids()),
                    "build_seconds": time.perf_counter() - start,
                    "index_bytes": sum(
                        file.stat().st_size for file in path.parent.glob("*-index*")
                    ),
                    "store_bytes": path.stat().st_size,
                }
                for config in _configs(beams):
                    cells.append({**about, **measure(base, store, asked, config)})
        click.echo(f"measured {about['nodes']:,} nodes", err=True)
    click.echo(table(cells))
    settings = {"width": width, "noise": noise, "questions": questions}
    figures = [{**cell, **{name: cell[name].mean for name in ("first", "kept")}} for cell in cells]
    save_json(json_path, "strategies", model, settings, figures)


def _size(folder: Path, pattern: str) -> int:
    return sum(file.stat().st_size for file in folder.glob(pattern))


def _configs(beams: Sequence[int]) -> list[RetrievalConfig]:
    walks = [
        RetrievalConfig(strategy=strategy, beam=beam, max_found=beam)
        for strategy in ("tree", "index")
        for beam in beams
    ]
    return [*walks, RetrievalConfig(strategy="flat")]


def table(cells: Sequence[dict[str, Any]]) -> str:
    """A row for each size, strategy and beam."""
    header = ["nodes", "roots", "strategy", "beam", "leaf first", "leaf kept", "p50", "p99"]
    rows = []
    for cell in cells:
        low, high = cell["p50_interval"]
        first: Share = cell["first"]
        rows.append(
            [
                f"{cell['nodes']:,}",
                f"{cell['roots']:,}",
                cell["strategy"],
                str(cell["beam"]),
                str(first),
                str(cell["kept"]),
                f"{1e3 * cell['p50']:.1f} ms ({1e3 * low:.1f}–{1e3 * high:.1f})",
                f"{1e3 * cell['p99']:.1f} ms",
            ]
        )
    return markdown_table(header, rows)

"""Walk: what each level of a walk costs, in a store of planted random nodes.

The unit costs behind docs/scale.md: scanning the roots, and opening the nodes that a level keeps.
No model compresses anything here; the one that is named says how wide keys are and how many vectors
a question has.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from benchmarks.planted import WINDOW, make_planted_store, planted_questions
from benchmarks.report import markdown_table, save_json
from benchmarks.timing import interval, percentile
from lmos.model.base import BaseModel
from lmos.model.released import DEFAULT_MODEL
from lmos.search.retriever import RetrievalConfig
from lmos.search.scorers import CachedScorer, Query
from lmos.search.strategies import Kept, Search, Tree
from lmos.session import load_model
from lmos.store.sqlite import SQLiteStore

_WARM_UP = 5
_KEY_BYTES = 2


def timed_walk(
    model: BaseModel, store: SQLiteStore, vectors_RK: torch.Tensor, config: RetrievalConfig
) -> Iterator[tuple[Kept, float]]:
    """What each level of one walk kept, and the seconds that it took."""
    scorer, query = CachedScorer(model, store.manifest.scoring_layer), Query(vectors_RK)
    with torch.no_grad(), store.snapshot():
        search = Search(
            store,
            lambda ids: scorer.score(query, store, ids),
            vectors_RK,
            1,
            config.top_c,
            config.beam,
            config.max_found,
        )
        start = time.perf_counter()
        for kept in Tree().walk(search):
            yield kept, time.perf_counter() - start
            start = time.perf_counter()


def measure(
    model: BaseModel, store: SQLiteStore, num_questions: int, config: RetrievalConfig
) -> list[dict[str, Any]]:
    """A row for each level: what was scored, and how long that and opening it took."""
    num_vectors = len(model.adapter.retrieval_RD)
    questions = planted_questions(store, num_questions, noise=0.5)
    walks = [
        list(timed_walk(model, store, question.vectors_RK.repeat(num_vectors, 1), config))
        for question in [*questions[:_WARM_UP], *questions]
    ][_WARM_UP:]
    return [
        _row([kept for kept, _ in steps], [seconds for _, seconds in steps], store)
        for steps in zip(*walks, strict=True)
    ]


def _row(kept: Sequence[Kept], seconds: Sequence[float], store: SQLiteStore) -> dict[str, Any]:
    scored = float(np.mean([each.num_candidates for each in kept]))
    p50, key_bytes = percentile(seconds, 50), scored * store.manifest.key_width * _KEY_BYTES
    return {
        "level": kept[0].trace.level,
        "opened": float(
            np.mean([0 if each.above is None else len(each.above.ids) for each in kept])
        ),
        "scored": scored,
        "key_bytes": key_bytes,
        "bytes_per_second": key_bytes / p50,
        "p50": p50,
        "p50_interval": interval(seconds, of=np.median),
        "p99": percentile(seconds, 99),
    }


@click.command()
@click.option(
    "--tokens", default=1_000_000, show_default=True, type=click.IntRange(WINDOW), help="Of text."
)
@click.option("--beam", default=RetrievalConfig.beam, show_default=True, type=click.IntRange(1))
@click.option("--questions", default=200, show_default=True, type=click.IntRange(2))
@click.option(
    "--model", default=DEFAULT_MODEL, show_default=True, help="For its widths; it is not run."
)
@click.option("--folder", type=click.Path(path_type=Path), help="For the temporary store.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Where to write.")
def walk(
    tokens: int,
    beam: int,
    questions: int,
    model: str,
    folder: Path | None,
    json_path: Path | None,
) -> None:
    """What each level of a walk costs, the file in memory: scan the roots, open what is kept."""
    base = load_model(model)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place, "planted.lmos")
        make_planted_store(path, tokens, base.key_width).close()
        with SQLiteStore.open(path, read_only=True) as store:
            cells = measure(base, store, questions, RetrievalConfig(beam=beam))
    click.echo(table(cells))
    settings = {"tokens": tokens, "beam": beam, "questions": questions}
    save_json(json_path, "walk", model, settings | {"threads": torch.get_num_threads()}, cells)


def table(cells: Sequence[dict[str, Any]]) -> str:
    """A row for each level, the roots first."""
    header = ["level", "opened", "scored", "keys", "p50", "p99", "keys a second"]
    rows = []
    for cell in cells:
        low, high = cell["p50_interval"]
        rows.append(
            [
                str(cell["level"]),
                f"{cell['opened']:,.0f}",
                f"{cell['scored']:,.0f}",
                f"{cell['key_bytes'] / 1e6:.2f} MB",
                f"{1e3 * cell['p50']:.2f} ms ({1e3 * low:.2f}–{1e3 * high:.2f})",
                f"{1e3 * cell['p99']:.2f} ms",
                f"{cell['bytes_per_second'] / 1e9:.1f} GB",
            ]
        )
    return markdown_table(header, rows)

"""What an encrypted store costs: the times of adding, of retrieving and its size, ÷ a plain one's.

Both stores get the same text in turns of drawn order, in one process, with one model. Every patch
is made once and written to both, so that the noise of compressing it is in both times.
"""

from __future__ import annotations

import itertools
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from benchmarks.report import markdown_table, save_json
from benchmarks.speed_steps import sample_questions
from benchmarks.timing import interval, timed
from lmos.model.base import BaseModel
from lmos.model.released import DEFAULT_MODEL
from lmos.session import Session, load_model, make_manifest
from lmos.store.keys import Key
from lmos.store.sqlite import SQLiteStore
from lmos.tree.builder import SourceText, TreeBuilder

_KEY = Key.from_passphrase("correct horse battery staple")
Times = dict[str, list[float]]


def pieces_of(text: str, num_sources: int, num_chars: int) -> list[SourceText]:
    """Sources of equal length, one after another."""
    starts = range(0, min(len(text), num_sources * num_chars), num_chars)
    return [SourceText(f"piece {at}", text[at : at + num_chars].encode()) for at in starts]


def measure(
    model: BaseModel, sources: Sequence[SourceText], num_questions: int, folder: Path, seed: int
) -> list[dict[str, Any]]:
    """One row for each thing that is timed or weighed: both, and their ratio."""
    keys, paths = {"plain": None, "encrypted": _KEY}, {}
    dice = random.Random(seed)
    stores = {}
    for kind, key in keys.items():
        paths[kind] = folder / f"{kind}.lmos"
        stores[kind] = SQLiteStore.create(paths[kind], make_manifest(model), key)
    compressing, writing = _add(model, stores, sources, dice)
    retrieving = _retrieve(model, stores, num_questions, dice)
    for store in stores.values():
        store.close()
    adding = {
        kind: [sum(pair) for pair in zip(compressing, times, strict=True)]
        for kind, times in writing.items()
    }
    opening = _open(paths, keys)
    sizes = {kind: path.stat().st_size for kind, path in paths.items()}
    return [
        _row("add a source, s", adding),
        _row("of that, write it, s", writing),
        _row("retrieve, s", retrieving),
        _row("open with its key, s", opening),
        {
            "what": "size of the file, bytes",
            **sizes,
            "ratio": sizes["encrypted"] / sizes["plain"],
            "interval": None,
        },
    ]


@torch.no_grad()
def _add(
    model: BaseModel,
    stores: dict[str, SQLiteStore],
    sources: Sequence[SourceText],
    dice: random.Random,
) -> tuple[list[float], Times]:
    """Seconds to compress each source, and to write it to each store."""
    compressing: list[float] = []
    writing: Times = {kind: [] for kind in stores}
    builder = TreeBuilder(model, stores["plain"].manifest)
    for source in sources:
        with timed(compressing):
            (patch,) = builder.build(stores["plain"], [source])
        for kind in dice.sample(list(stores), len(stores)):
            with timed(writing[kind]):
                stores[kind].put_source(source.name, patch, time=0.0)
    return compressing, writing


def _retrieve(
    model: BaseModel, stores: dict[str, SQLiteStore], num_questions: int, dice: random.Random
) -> Times:
    """Seconds for each question, by each store, every cache warm."""
    sessions = {kind: Session(model, store) for kind, store in stores.items()}
    seconds: Times = {kind: [] for kind in stores}
    questions = list(sample_questions(stores["plain"], num_questions))
    for session in sessions.values():
        session.retrieve(questions[0])
    for question in questions:
        for kind in dice.sample(list(sessions), len(sessions)):
            with timed(seconds[kind]):
                sessions[kind].retrieve(question)
    return seconds


def _open(paths: dict[str, Path], keys: dict[str, Key | None], repeats: int = 10) -> Times:
    """Seconds to open each store as a new process does, the key derived anew."""
    seconds: Times = {kind: [] for kind in paths}
    for _, kind in itertools.product(range(repeats), paths):
        key = None if keys[kind] is None else Key.from_passphrase("correct horse battery staple")
        start = time.perf_counter()
        SQLiteStore.open(paths[kind], read_only=True, key=key).close()
        seconds[kind].append(time.perf_counter() - start)
    return seconds


def _row(what: str, seconds: Times) -> dict[str, Any]:
    """Medians, and the median of the ratios of those that were taken one after the other."""
    plain, encrypted = (np.array(seconds[kind]) for kind in ("plain", "encrypted"))
    ratios = (encrypted / plain).tolist()
    return {
        "what": what,
        "plain": float(np.median(plain)),
        "encrypted": float(np.median(encrypted)),
        "ratio": float(np.median(ratios)),
        "interval": interval(ratios, of=np.median),
    }


def _cells(row: dict[str, Any]) -> list[str]:
    low_high = "" if row["interval"] is None else "{:.2f}–{:.2f}".format(*row["interval"])
    number = "{:,}" if row["interval"] is None else "{:.4f}"
    return [
        row["what"],
        number.format(row["plain"]),
        number.format(row["encrypted"]),
        f"{row['ratio']:.3f}" + (f" ({low_high})" if low_high else ""),
    ]


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True),
    default=Path("examples/texts/the-hound-of-the-baskervilles.txt"),
    show_default=True,
    help="A long text.",
)
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Folder or name.")
@click.option("--num-sources", default=60, show_default=True, type=click.IntRange(1))
@click.option("--num-chars", default=2000, show_default=True, type=click.IntRange(1))
@click.option("--num-questions", default=60, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path))
def encryption(
    data: Path,
    model: str,
    num_sources: int,
    num_chars: int,
    num_questions: int,
    seed: int,
    json_path: Path | None,
) -> None:
    """Compare an encrypted store with a plain one: adding, retrieving, opening, size."""
    text = data.read_text(encoding="utf-8")
    sources = pieces_of(text, num_sources, num_chars)
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(load_model(model), sources, num_questions, Path(folder), seed)
    head = ["", "plain", "encrypted", "encrypted ÷ plain"]
    click.echo(markdown_table(head, [_cells(row) for row in rows]))
    settings = {"data": data.name, "num_sources": len(sources), "num_chars": num_chars}
    settings |= {"num_questions": num_questions, "seed": seed}
    save_json(json_path, "encryption", model, settings, rows)

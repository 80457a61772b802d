"""Stall: how long a question of a talk waits for its first token, and what could be done before.

In a talk a user tells something and asks. Three ways, in turn: the question comes at once and waits
until what was told is compressed and written; that was done before it came; and a search with what
was told was done too, so that all that a walk reads is in memory. Counts seconds of a core in one
thread, which other jobs disturb less than a clock. Knows no HTTP.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import click
import torch

from benchmarks.options import data_option
from benchmarks.report import markdown_table, save_json
from benchmarks.timing import percentile
from lmos import Session, load_model
from lmos.model.released import DEFAULT_MODEL

_WAYS = ("at once", "told before", "told and searched before")
_PARTS = ("add", "retrieve", "read", "first token")
_TOWNS = "Bern Basel Chur Genf Thun Zug Olten Aarau Brig Vevey".split()


def measure_turn(session: Session, way: str, number: int) -> dict[str, float]:
    """Tell something and ask about it; the seconds of each part of the wait."""
    town = _TOWNS[number % len(_TOWNS)]
    told = f"My friend number {number} lives in {town}, in house {7 * number + 3}."
    start = time.thread_time()
    session.append("talk", f"{told}\n")
    added = time.thread_time()
    if way == _WAYS[2]:
        session.retrieve(told)
    asked = time.thread_time()
    answer = session.ask(f"Where does friend number {number} live?")
    found = time.thread_time()
    next(iter(answer), None)
    read = time.thread_time()
    parts = {
        "add": added - start if way == _WAYS[0] else 0.0,
        "retrieve": found - asked,
        "read": read - found,
    }
    return {**parts, "first token": sum(parts.values())}


@click.command("stall")
@data_option("A text; its first characters are in the store.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Folder or name.")
@click.option("--characters", default=60_000, show_default=True, type=click.IntRange(1000))
@click.option("--turns", default=8, show_default=True, type=click.IntRange(1), help="A way.")
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Where to write figures."
)
def stall(data: Path, model: str, characters: int, turns: int, json_path: Path | None) -> None:
    """What a question of a talk waits for, and how much of it could be done before it comes."""
    torch.set_num_threads(1)
    loaded = load_model(model)
    taken: dict[str, list[dict[str, float]]] = {way: [] for way in _WAYS}
    with (
        tempfile.TemporaryDirectory() as folder,
        Session.create(Path(folder) / "talk.lmos", loaded) as session,
    ):
        session.add("book", data.read_text(encoding="utf-8")[:characters])
        measure_turn(session, _WAYS[0], 0)  # the first question of a process is another matter
        for number in range(1, turns * len(_WAYS) + 1):
            way = _WAYS[number % len(_WAYS)]
            taken[way].append(measure_turn(session, way, number))
    cells: list[dict[str, Any]] = [
        {"way": way, **{part: percentile([each[part] for each in of], 50) for part in _PARTS}}
        for way, of in taken.items()
    ]
    whole = cells[0]["first token"]
    rows = [
        [
            cell["way"],
            *(f"{1e3 * cell[part]:,.0f} ms" for part in _PARTS),
            f"{cell['first token'] / whole:.2f}",
        ]
        for cell in cells
    ]
    click.echo(markdown_table(["what was told", *_PARTS, "÷ at once"], rows))
    save_json(json_path, "stall", model, {"characters": characters, "turns": turns}, cells)

"""Scale-out: tokens a second that a pool of Ray actors compresses, with one worker and with more.

All in one run on one machine: what is shown is what the way of working costs, not what a cluster
gives. Models are loaded before the clock starts; writing is part of what is timed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.haystack import CHARS_PER_TOKEN, read_books
from benchmarks.options import data_option
from benchmarks.report import markdown_table, save_json
from benchmarks.timing import timed
from lmos.errors import ConfigError, DataError
from lmos.model.released import DEFAULT_MODEL
from lmos.session import load_model, make_manifest
from lmos.store import Manifest
from lmos.store.sqlite import SQLiteStore
from lmos.tree.builder import SourceText
from lmos.upkeep.scaleout import LOCAL, CompressorPool

_TEXT_TOKENS = 4096


def measure(
    model: str, manifest: Manifest, texts: Sequence[SourceText], num_workers: int
) -> dict[str, Any]:
    """Compress and write all texts with so many workers."""
    seconds: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        CompressorPool(LOCAL, manifest, model, num_workers=num_workers) as pool,
        SQLiteStore.create(Path(folder, "store.lmos"), manifest) as store,
    ):
        # A text for each actor, so that each has its model.
        list(pool.patches(texts[:num_workers]))
        with timed(seconds):
            for source, patch in pool.patches(texts):
                store.put_source(source.name, patch)
        num_tokens = sum(source.num_tokens for source in store.sources())
    return {
        "workers": num_workers,
        "tokens": num_tokens,
        "seconds": seconds[0],
        "tokens_per_second": num_tokens / seconds[0],
    }


@click.command(name="scale_out")
@data_option("Books: a .txt file or a folder of them.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Folder or name.")
@click.option("--tokens", default=100_000, show_default=True, type=click.IntRange(_TEXT_TOKENS))
@click.option("--workers", default="1,2", show_default=True, help="How many, with commas.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Where to write.")
def scale_out(data: Path, model: str, tokens: int, workers: str, json_path: Path | None) -> None:
    """Tokens a second with one worker and with more, on one machine."""
    try:
        counts = [int(count) for count in workers.split(",")]
    except ValueError:
        raise ConfigError(f"--workers: expected numbers with commas, got {workers!r}") from None
    books = read_books(data)
    size = int(_TEXT_TOKENS * CHARS_PER_TOKEN)
    starts = range(0, int(tokens * CHARS_PER_TOKEN), size)
    if len(books) < starts[-1] + size:
        raise DataError(f"expected books of {starts[-1] + size} characters, got {len(books)}")
    texts = [SourceText(f"text {at}", books[at : at + size].encode()) for at in starts]
    manifest = make_manifest(load_model(model))
    cells = [measure(model, manifest, texts, count) for count in counts]
    rows = [
        [
            str(cell["workers"]),
            f"{cell['tokens']:,}",
            f"{cell['seconds']:.1f} s",
            f"{cell['tokens_per_second']:,.0f}",
            f"{cell['tokens_per_second'] / cells[0]['tokens_per_second']:.2f}",
        ]
        for cell in cells
    ]
    header = ["workers", "tokens", "time", "tokens a second", "÷ the first"]
    click.echo(markdown_table(header, rows))
    save_json(json_path, "scale_out", model, {"data": data.name}, cells)

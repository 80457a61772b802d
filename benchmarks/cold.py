"""Cold start: `lmos ask` from the start of its process to the first token, step by step.

Every run is a process of its own; the system has the files in memory, as after a first use. Knows
what the command does, and imports nothing of it before the clock runs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import click

from benchmarks.fresh import run_fresh

STEPS = ("python", "imports", "store", "model", "question", "first token")
_QUESTION = "What is the code of the garage door?"
_TEXTS = Path(__file__).parent.parent / "examples" / "texts"


def first_token(store: str, question: str, began: float) -> dict[str, float]:
    """What `lmos ask` does up to the first token, in a process that has imported nothing yet.

    Args:
        store: Path of the store.
        question: As asked.
        began: When the process was started, on the clock of `time.monotonic`.

    Returns:
        Seconds of each of `STEPS`.
    """
    marks = [began, time.monotonic()]
    from lmos.cli.commands import ask  # noqa: F401
    from lmos.cli.opening import session_of
    from lmos.cli.options import ModelChoice
    from lmos.cli.show import answers, walks  # noqa: F401
    from lmos.store.sqlite import SQLiteStore

    marks.append(time.monotonic())
    with SQLiteStore.open(Path(store), read_only=True) as opened:
        marks.append(time.monotonic())
        session = session_of(opened, ModelChoice(None, None, trust_remote_code=False))
        marks.append(time.monotonic())
        answer = session.ask(question)
        marks.append(time.monotonic())
        next(iter(answer), None)
        marks.append(time.monotonic())
    return dict(zip(STEPS, _differences(marks), strict=True))


def _differences(marks: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(marks)]


def measure(store: Path, question: str, repeats: int) -> list[dict[str, Any]]:
    """One row a step, then their sum, and the whole command up to the end of its process.

    The first run of each is not counted: it brings the files into memory.
    """
    runs = []
    for _ in range(repeats + 1):
        taken, _ = run_fresh(
            "benchmarks.cold:first_token",
            store=str(store),
            question=question,
            began=time.monotonic(),
        )
        runs.append(
            {**taken, "first token, from the start": sum(taken.values())}
            | {"the whole command": _whole_command(store, question)}
        )
    counted = runs[1:]
    return [_row(step, [run[step] for run in counted]) for step in counted[0]]


def _whole_command(store: Path, question: str) -> float:
    start = time.monotonic()
    words = [sys.executable, "-m", "lmos.cli", "ask", str(store), question]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"lmos ask ended with status {done.returncode}: {done.stderr}")
    return time.monotonic() - start


def _row(step: str, seconds: list[float]) -> dict[str, Any]:
    return {
        "step": step,
        "seconds": median(seconds),
        "least": min(seconds),
        "most": max(seconds),
    }


def _fill(store: Path, model: str, texts: list[Path]) -> None:
    from lmos.session import Session, load_model

    with Session.create(store, load_model(model)) as session:
        for path in texts:
            session.add(path.name, path.read_text(encoding="utf-8", errors="replace"))


@click.command()
@click.option(
    "--data",
    type=click.Path(exists=True, path_type=Path),
    default=_TEXTS,
    help="Texts to ask: a file or a folder of .txt and .md files.  [default: examples/texts]",
)
@click.option("--question", default=_QUESTION, show_default=True)
@click.option("--model", help="Folder or name.  [default: the shipped one]")
@click.option("--repeats", default=5, show_default=True, type=click.IntRange(1))
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Where to write figures."
)
def cold(
    data: Path, question: str, model: str | None, repeats: int, json_path: Path | None
) -> None:
    """`lmos ask` from the start of its process to the first token, step by step."""
    from benchmarks.report import markdown_table, save_json
    from lmos.errors import DataError
    from lmos.model.released import DEFAULT_MODEL

    found = data.rglob("*") if data.is_dir() else [data]
    texts = sorted(path for path in found if path.suffix in (".txt", ".md"))
    if not texts:
        raise DataError(f"expected .txt or .md files in {data}, found none")
    model = model or DEFAULT_MODEL
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder, "store.lmos")
        _fill(store, model, texts)
        rows = measure(store, question, repeats)
    header = ["step", "median", "least to most"]
    click.echo(
        markdown_table(
            header,
            [
                [row["step"], f"{row['seconds']:.2f} s", f"{row['least']:.2f}–{row['most']:.2f} s"]
                for row in rows
            ],
        )
    )
    save_json(json_path, "cold", model, {"question": question, "repeats": repeats}, rows)

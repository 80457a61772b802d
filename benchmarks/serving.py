"""Serving: requests a second for one client and for many, and what HTTP adds to the first token.

The server runs in a thread of this process, its clients in others. While some ask, one writes, and
what was acknowledged is looked for at the end. Knows HTTP; knows no task.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import httpx
import uvicorn

from benchmarks.options import data_option
from benchmarks.report import markdown_table, save_json
from benchmarks.timing import percentile, timed
from lmos import Session, load_model
from lmos.errors import ConfigError
from lmos.model.base import BaseModel
from lmos.model.released import DEFAULT_MODEL
from lmos.server.app import make_app
from lmos.server.running import address_of, listen
from lmos.server.serving import Serving
from lmos.server.settings import ServerConfig

_STORE = "bench"
_ANSWER_TOKENS = 8
_SECONDS = 600.0
_START_SECONDS = 0.02


@contextmanager
def serving(
    folder: Path, model: BaseModel, keys: Path | None = None
) -> Iterator[tuple[str, Serving]]:
    """A server of the stores in a folder, until the block ends; its address and its parts."""
    config = ServerConfig(folder, keys, load=lambda *_: model, default_model=model.name)
    app = make_app(config)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, ws="none"))
    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                time.sleep(_START_SECONDS)
            yield address_of(listener), app.state.serving
        finally:
            server.should_exit = True
            thread.join()


def ask_all(url: str, questions: list[str], num_clients: int) -> dict[str, Any]:
    """Every question once, by so many clients at once."""
    seconds: list[float] = []

    def ask(question: str) -> None:
        body = {"question": question, "max_new_tokens": _ANSWER_TOKENS}
        with timed(seconds):
            client.post(f"/stores/{_STORE}/ask", json=body).raise_for_status()

    with (
        httpx.Client(base_url=url, timeout=_SECONDS) as client,
        ThreadPoolExecutor(num_clients) as threads,
    ):
        start = time.perf_counter()
        list(threads.map(ask, questions))
        total = time.perf_counter() - start
    return {
        "clients": num_clients,
        "per_second": len(questions) / total,
        "p50": percentile(seconds, 50),
        "p99": percentile(seconds, 99),
    }


def first_tokens(url: str, session: Session, questions: list[str]) -> tuple[float, float]:
    """Median seconds to the first piece over HTTP and in process, taken in turn."""
    over_http: list[float] = []
    in_process: list[float] = []
    with httpx.Client(base_url=url, timeout=_SECONDS) as client:
        for question in questions:
            body = {"question": question, "max_new_tokens": _ANSWER_TOKENS, "stream": True}
            with (
                timed(over_http),
                client.stream("POST", f"/stores/{_STORE}/ask", json=body) as reply,
            ):
                next((line for line in reply.iter_lines() if line == "event: text"), None)
            with timed(in_process):
                next(iter(session.ask(question, max_new_tokens=_ANSWER_TOKENS)), None)
    return percentile(over_http, 50), percentile(in_process, 50)


def write_beside(url: str, questions: list[str], num_clients: int) -> dict[str, Any]:
    """Ask while somebody appends; what was acknowledged and is not there at the end is lost."""
    acknowledged: list[str] = []
    is_over = threading.Event()

    def write() -> None:
        with httpx.Client(base_url=url, timeout=_SECONDS) as client:
            while not is_over.is_set():
                line = f"Note {len(acknowledged)} of the writer."
                body = {"name": "notes", "text": line}
                if client.post(f"/stores/{_STORE}/sources/append", json=body).status_code == 200:
                    acknowledged.append(line)

    writer = threading.Thread(target=write)
    writer.start()
    figures = ask_all(url, questions, num_clients)
    is_over.set()
    writer.join()
    place = {"source": "notes"}
    with httpx.Client(base_url=url, timeout=_SECONDS) as client:
        kept = client.get(f"/stores/{_STORE}/text", params=place).json()["text"].splitlines()
    lost = len([line for line in acknowledged if line not in set(kept)])
    return {**figures, "acknowledged": len(acknowledged), "lost": lost}


def table(cells: list[dict[str, Any]]) -> str:
    """A row for each number of clients, and one beside a writer."""
    rows = [
        [
            f"{cell['clients']}{' and a writer' if 'lost' in cell else ''}",
            f"{cell['per_second']:.2f}",
            f"{1e3 * cell['p50']:,.0f} ms",
            f"{1e3 * cell['p99']:,.0f} ms",
            f"{cell['lost']} of {cell['acknowledged']}" if "lost" in cell else "–",
        ]
        for cell in cells
    ]
    return markdown_table(["clients", "answers a second", "p50", "p99", "lost"], rows)


@click.command("serving")
@data_option("A text; its first characters are added.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Folder or name.")
@click.option("--characters", default=20_000, show_default=True, type=click.IntRange(1000))
@click.option("--clients", default="1,4,16", show_default=True, help="Numbers, with commas.")
@click.option("--questions", default=32, show_default=True, type=click.IntRange(2))
@click.option("--brief", "is_brief", is_flag=True, help="Only answers a second, and no JSON.")
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Where to write figures."
)
def serving_benchmark(
    data: Path,
    model: str,
    characters: int,
    clients: str,
    questions: int,
    is_brief: bool,
    json_path: Path | None,
) -> None:
    """Answers a second over HTTP, and what HTTP adds to the first token."""
    counts = _counts(clients)
    loaded = load_model(model)
    text = data.read_text(encoding="utf-8")[:characters]
    words = [word for word in text.split() if len(word) > 4] or text.split()
    asked = [f"What about {words[at * 37 % len(words)]}?" for at in range(questions)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Session.create(folder / f"{_STORE}.lmos", loaded) as session:
            session.add("book", text)
        with serving(folder, loaded) as (url, _):
            cells = [ask_all(url, asked, count) for count in counts]
            if not is_brief:
                with Session.open(folder / f"{_STORE}.lmos", loaded, read_only=True) as session:
                    over_http, in_process = first_tokens(url, session, asked)
                cells.append(write_beside(url, asked, max(counts)))
    click.echo(table(cells))
    gain = cells[len(counts) - 1]["per_second"] / cells[0]["per_second"]
    click.echo(f"\n{counts[-1]} clients ÷ {counts[0]}: {gain:.2f} times as many answers a second")
    if is_brief:
        return
    ratio = over_http / in_process
    click.echo(
        f"\nfirst token: {1e3 * over_http:,.0f} ms over HTTP, {1e3 * in_process:,.0f} ms in "
        f"process, ratio {ratio:.3f}"
    )
    settings = {"characters": characters, "questions": questions, "first_token_ratio": ratio}
    settings["gain"] = gain
    save_json(json_path, "serving", model, settings, cells)


def _counts(text: str) -> list[int]:
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise ConfigError(f"--clients: expected numbers with commas, got {text!r}")
    return counts

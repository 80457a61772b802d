"""A soak of serving: a server that is killed again and again while clients write, read and ask.

Each server is a process of its own that runs `lmos serve`; it is forked from one that has loaded
the libraries, so that most of the time is spent on serving. In turns it is ended by SIGKILL, which
leaves it no time for anything, and by SIGTERM. Writers remember what was acknowledged. At the end
that must be there, what was forgotten must not, and no store may have a fault. Knows HTTP and
processes; knows no task.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import httpx

from benchmarks.report import markdown_table, save_json
from lmos import Session, load_model
from lmos.cli import main
from lmos.errors import LmosError
from lmos.model.base import BaseModel
from lmos.model.released import DEFAULT_MODEL
from lmos.server.running import address_of, listen

_START_SECONDS = 300.0
_STOP_SECONDS = 60.0
_REQUEST_SECONDS = 60.0
_PAUSE_SECONDS = 0.1
_ADD_EVERY, _FORGET_EVERY = 10, 20
_DEEP_PLACES = 32
_LIBRARIES = ["__main__", "lmos.server.app", "lmos.server.running", "lmos.model.base"]
_END_SIGNALS = (signal.SIGKILL, signal.SIGTERM)


@dataclass(frozen=True)
class Load:
    """What a soak does to a server.

    Attributes:
        seconds: How long; the last server may live a little longer.
        most_kills: After which it is over, however early.
        lives: Least and most seconds from one server's start to its end.
        least_writes: Acknowledged ones before a server may be ended.
        num_stores: In the folder.
        num_writers: Threads that write, each to sources of its own.
        num_readers: Threads that retrieve and ask.
    """

    seconds: float
    most_kills: int | None = None
    lives: tuple[float, float] = (2.0, 8.0)
    least_writes: int = 1
    num_stores: int = 3
    num_writers: int = 4
    num_readers: int = 2


@dataclass
class Written:
    """What one writer knows of its sources: texts by the name of their store and source.

    Attributes:
        kept: Lines whose writing was acknowledged.
        open: Lines that were sent and not answered: each may be there or not.
        forgotten: Sources whose forgetting was acknowledged.
    """

    kept: set[tuple[str, str, str]] = field(default_factory=set)
    open: set[tuple[str, str, str]] = field(default_factory=set)
    forgotten: set[tuple[str, str]] = field(default_factory=set)
    num_acknowledged: int = 0


class Server:
    """One `lmos serve` after the other, at the same address.

    Args:
        folder: Of the stores.
        model: Folder or name.
    """

    def __init__(self, folder: Path, model: str) -> None:
        with listen("127.0.0.1", 0) as listener:
            self.url = address_of(listener)
        port = self.url.rpartition(":")[2]
        self._words = ["serve", str(folder), "--port", port, "--model", model]
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_LIBRARIES)
        self._log = folder / "server.log"
        self._process: Any = None

    def start(self) -> None:
        """Start one, and wait until it serves."""
        self._process = self._context.Process(target=_serve, args=(self._words, self._log))
        self._process.start()
        end = time.monotonic() + _START_SECONDS
        while not self._serves():
            if not self._process.is_alive() or time.monotonic() > end:
                raise LmosError(f"the server did not start:\n{self._log.read_text()[-2000:]}")
            time.sleep(_PAUSE_SECONDS)

    def end(self, number: signal.Signals) -> None:
        """Send it a signal, and wait until it is gone."""
        os.kill(self._process.pid, number)
        self._process.join(_STOP_SECONDS)
        expected = 0 if number == signal.SIGTERM else -number
        if self._process.exitcode != expected:
            code = self._process.exitcode
            raise LmosError(f"after {number.name} expected exit status {expected}, got {code}")

    def close(self) -> None:
        """End it at once, if it still runs."""
        if self._process is not None and self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _serves(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/healthz").status_code == 200
        return False


def _serve(words: list[str], log: Path) -> None:
    """In a process of its own: the command."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    main(words)


class _Clients:
    """Threads that use a server until they are told to stop, whether it is there or not."""

    def __init__(self, url: str, stores: list[str], load: Load) -> None:
        self.written = [Written() for _ in range(load.num_writers)]
        self.replies: Counter[str] = Counter()
        self._url = url
        self._stores = stores
        self._is_over = threading.Event()
        writers = [lambda who=who: self._write(who) for who in range(load.num_writers)]
        readers = [lambda who=who: self._read(who) for who in range(load.num_readers)]
        self._failures: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._until_over, args=(work,)) for work in (*writers, *readers)
        ]

    @property
    def num_acknowledged(self) -> int:
        return sum(each.num_acknowledged for each in self.written)

    @contextmanager
    def working(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in self._threads:
                thread.join()
        if self._failures:
            raise self._failures[0]

    def check(self) -> None:
        """Raise what ended a thread early."""
        if self._failures:
            raise self._failures[0]

    def _until_over(self, work: Callable[[], Iterator[None]]) -> None:
        try:
            for _ in work():
                if self._is_over.is_set():
                    return
        except BaseException as error:
            self._failures.append(error)

    def _write(self, who: int) -> Iterator[None]:
        """Append; now and then add a source of its own, and forget it."""
        store = self._stores[who % len(self._stores)]
        written, number, base = self.written[who], 0, f"/stores/{store}/sources"
        with httpx.Client(base_url=self._url, timeout=_REQUEST_SECONDS) as client:
            while True:
                number += 1
                line = f"Fact {who}.{number}: the code of door {number} is {number * 7919 % 9973}."
                is_new = number % _ADD_EVERY == 0
                name = f"page {who}.{number}" if is_new else f"notes {who}"
                place = (store, name, line)
                written.open.add(place)
                body = {"name": name, "text": line}
                path = base if is_new else f"{base}/append"
                if self._sent(client.build_request("POST", path, json=body), client, "write"):
                    written.open.discard(place)
                    written.kept.add(place)
                    written.num_acknowledged += 1
                    if number % _FORGET_EVERY == 0:
                        self._forget(client, base, place, written)
                yield

    def _forget(
        self, client: httpx.Client, base: str, place: tuple[str, str, str], written: Written
    ) -> None:
        written.kept.discard(place)
        written.open.add(place)
        request = client.build_request("DELETE", base, params={"name": place[1]})
        if self._sent(request, client, "forget"):
            written.open.discard(place)
            written.forgotten.add(place[:2])
            written.num_acknowledged += 1

    def _read(self, who: int) -> Iterator[None]:
        with httpx.Client(base_url=self._url, timeout=_REQUEST_SECONDS) as client:
            number = 0
            while True:
                number += 1
                store = self._stores[(who + number) % len(self._stores)]
                what = ("retrieve", "ask")[number % 2]
                body: dict[str, Any] = {"question": f"What is the code of door {number}?"}
                body |= {"max_new_tokens": 8} if what == "ask" else {}
                self._sent(
                    client.build_request("POST", f"/stores/{store}/{what}", json=body), client, what
                )
                yield

    def _sent(self, request: httpx.Request, client: httpx.Client, what: str) -> bool:
        """Whether a request was done; it counts as open if no answer came."""
        try:
            reply = client.send(request)
        except httpx.TransportError:
            self.replies[f"{what}: no reply"] += 1
            time.sleep(_PAUSE_SECONDS)
            return False
        self.replies[f"{what}: {reply.status_code}"] += 1
        if reply.is_error:
            time.sleep(_PAUSE_SECONDS)
        return reply.is_success


def soak(folder: Path, model: BaseModel, model_name: str, load: Load, seed: int = 0) -> Any:
    """End a server again and again, and count what is lost.

    Args:
        folder: An empty one.
        model: The one of that name.
        model_name: Folder or name, as `lmos serve` takes it.
        load: What is done.
        seed: Of the moments at which it is ended.

    Returns:
        `acknowledged` changes; `kills` and `stops`; `lost` lines; `returned` sources, which were
        forgotten; `foreign` lines, which nobody wrote, or not once; `faults` of the stores;
        `replies` by kind and status.

    Raises:
        LmosError: A server does not start, or does not stop when it is told to.
    """
    dice = random.Random(seed)
    stores = [f"store{number}" for number in range(load.num_stores)]
    for name in stores:
        Session.create(folder / f"{name}.lmos", model).close()
    server, ended = Server(folder, model_name), Counter[str]()
    clients = _Clients(server.url, stores, load)
    over = time.monotonic() + load.seconds
    try:
        server.start()
        with clients.working():
            while time.monotonic() < over and sum(ended.values()) != load.most_kills:
                number = _END_SIGNALS[sum(ended.values()) % len(_END_SIGNALS)]
                _wait_for_writes(clients, load.least_writes)
                time.sleep(dice.uniform(*load.lives))
                server.end(number)
                ended[number.name] += 1
                server.start()
            _wait_for_writes(clients, load.least_writes)
        server.end(signal.SIGKILL)
    finally:
        server.close()
    return {
        "acknowledged": clients.num_acknowledged,
        "kills": ended["SIGKILL"] + 1,
        "stops": ended["SIGTERM"],
        **count_lost(folder, stores, model, clients.written),
        "replies": dict(sorted(clients.replies.items())),
    }


def _wait_for_writes(clients: _Clients, least: int) -> None:
    enough, end = clients.num_acknowledged + least, time.monotonic() + _START_SECONDS
    while clients.num_acknowledged < enough:
        clients.check()
        if time.monotonic() > end:
            raise LmosError(f"no write was acknowledged within {_START_SECONDS:g} s")
        time.sleep(_PAUSE_SECONDS)


def count_lost(
    folder: Path, stores: list[str], model: BaseModel, written: list[Written]
) -> dict[str, Any]:
    """What the stores hold, beside what the writers know; see `soak`."""
    lines: Counter[tuple[str, str, str]] = Counter()
    sources: set[tuple[str, str]] = set()
    faults: list[str] = []
    for name in stores:
        with Session.open(folder / f"{name}.lmos", model, read_only=True) as session:
            faults += session.verify(deep=_DEEP_PLACES)
            for source in session.sources():
                sources.add((name, source.name))
                text = session.store.text(source.source_id).decode()
                lines.update((name, source.name, line) for line in text.splitlines())
    kept = set[tuple[str, str, str]]().union(*(each.kept for each in written))
    maybe = set[tuple[str, str, str]]().union(*(each.open for each in written))
    forgotten = set[tuple[str, str]]().union(*(each.forgotten for each in written))
    foreign = [line for line, times in lines.items() if times > 1 or line not in kept | maybe]
    return {
        "lost": len(kept - set(lines)),
        "returned": len(forgotten & sources),
        "foreign": len(foreign),
        "faults": faults,
    }


@click.command("soak")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Folder or name.")
@click.option("--minutes", default=10.0, show_default=True, type=click.FloatRange(0.05))
@click.option("--stores", default=3, show_default=True, type=click.IntRange(1))
@click.option("--writers", default=4, show_default=True, type=click.IntRange(1))
@click.option("--readers", default=2, show_default=True, type=click.IntRange(0))
@click.option("--seed", default=0, show_default=True, type=int)
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Where to write figures."
)
def soak_serving(
    model: str,
    minutes: float,
    stores: int,
    writers: int,
    readers: int,
    seed: int,
    json_path: Path | None,
) -> None:
    """Kill `lmos serve` again and again under load; nothing acknowledged may be lost."""
    load = Load(60 * minutes, num_stores=stores, num_writers=writers, num_readers=readers)
    with tempfile.TemporaryDirectory() as name:
        figures = soak(Path(name), load_model(model), model, load, seed)
    names = ("acknowledged", "kills", "stops", "lost", "returned", "foreign")
    cells = [*(str(figures[each]) for each in names), str(len(figures["faults"]))]
    click.echo(markdown_table([*names, "faults"], [cells]))
    click.echo("\n" + ", ".join(f"{what}: {count}" for what, count in figures["replies"].items()))
    settings = {"minutes": minutes, "stores": stores, "writers": writers, "readers": readers}
    save_json(json_path, "soak", model, {**settings, "seed": seed}, [figures])

"""Isolation: many tenants in one folder, and clients that try to read each other's stores.

Each tenant has a store, a key and a word that stands in no other store; every store has sources of
the same names and ids. Clients send their own key with names, paths, ids and filters of others, and
keys that are wrong, over REST, OpenAI's API and the Model Context Protocol. A reply with a word of
another tenant that was not in the request is a leak. Knows HTTP; knows no task.
"""

from __future__ import annotations

import random
import re
import resource
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import httpx
import torch

from benchmarks.report import markdown_table, save_json
from benchmarks.serving import serving
from lmos import load_model
from lmos.model.base import BaseModel
from lmos.model.released import DEFAULT_MODEL
from lmos.server.keys import ANY_STORE, add_key
from lmos.session import make_manifest
from lmos.store.memory import MemoryStore
from lmos.store.sqlite import SQLiteStore
from lmos.tree.builder import SourceText, TreeBuilder

_MARK = re.compile(r"zq[0-9a-f]{12}zq")
_SECONDS = 600.0
_BATCH = 50
_TOKENS = 4
_AGENT = {"Accept": "application/json, text/event-stream"}


@dataclass(frozen=True)
class Tenant:
    """One of many: the name of its store, the word that it alone has, its key."""

    name: str
    mark: str
    key: str

    @property
    def sources(self) -> tuple[str, str]:
        """The names of its sources: one that all have, and one that it alone has."""
        return "diary", f"page of {self.mark}"

    @property
    def text(self) -> str:
        """What its store holds, in each of its sources."""
        return (
            f"The code of the garage door is {self.mark}.\n"
            f"{self.mark} keeps a blue bicycle.\nThe dog of {self.mark} sleeps on the mat.\n"
        )


@dataclass(frozen=True)
class Attempt:
    """A request: what it tries, and how it is sent."""

    kind: str
    method: str
    path: str
    key: str
    json: Any = None
    params: Any = None
    headers: Any = None
    files: Any = None


def make_tenants(folder: Path, model: BaseModel, number: int, *, opens_all: bool) -> list[Tenant]:
    """Stores in a folder, and a file `keys.json` with a key for each; half of them may write.

    Args:
        folder: An empty one.
        model: Of the stores.
        number: Of tenants.
        opens_all: Give keys that open every store, to see that leaks are found.
    """
    dice = random.Random(0)
    tenants = []
    for each in range(number):
        name = f"tenant{each}"
        store = ANY_STORE if opens_all else name
        key, _ = add_key(folder / "keys.json", store, can_write=each % 2 == 1)
        tenants.append(Tenant(name, f"zq{dice.getrandbits(48):012x}zq", key))
    manifest = make_manifest(model)
    for start in range(0, number, _BATCH):
        batch = tenants[start : start + _BATCH]
        sources = [SourceText(tenant.name, tenant.text.encode()) for tenant in batch]
        with torch.no_grad():
            patches = TreeBuilder(model, manifest).build(MemoryStore(manifest), sources)
        for tenant, patch in zip(batch, patches, strict=True):
            with SQLiteStore.create(folder / f"{tenant.name}.lmos", manifest) as store_file:
                for name in tenant.sources:
                    store_file.put_source(name, patch, time=0)
    return tenants


def attempts(tenants: Sequence[Tenant], dice: random.Random, number: int) -> Iterator[Attempt]:
    """Requests, most of which try to reach a store that their key does not open."""
    kinds = [_own, _own_ids, _foreign_store, _foreign_change, _path, _openai, _agent, _wrong_key]
    for _ in range(number):
        mine, other = dice.sample(tenants, 2)
        yield dice.choice(kinds)(mine, other, dice)


def _own(mine: Tenant, _: Tenant, dice: random.Random) -> Attempt:
    """What is allowed, so that replies with words of tenants are among those that are looked at."""
    return _question("own store", mine.key, mine.name, "What is the code of the garage door?", dice)


def _own_ids(mine: Tenant, other: Tenant, dice: random.Random) -> Attempt:
    """The own store, asked for what another has."""
    base, kind = f"/stores/{mine.name}", "ids of others"
    source = dice.choice([f"page of {other.mark}", "../diary", f"{other.name}/diary", "2", "-1"])
    where = {"tenant": other.name, "file_id": "file-1"}
    body = {"question": f"What has {other.name}?", "search": {"where": where}}
    return dice.choice(
        [
            Attempt(kind, "GET", f"{base}/text", mine.key, params={"source": source}),
            Attempt(kind, "GET", f"{base}/tree", mine.key, params={"source": source}),
            Attempt(kind, "DELETE", f"{base}/sources", mine.key, params={"name": source}),
            Attempt(kind, "POST", f"{base}/retrieve", mine.key, json=body),
            _question(kind, mine.key, mine.name, f"What is the code of {other.name}?", dice),
        ]
    )


def _foreign_store(mine: Tenant, other: Tenant, dice: random.Random) -> Attempt:
    base, kind = f"/stores/{other.name}", "stores of others"
    paths = ["", "/sources", "/export", "/text?source=diary", "/tree?source=diary", "/text"]
    return dice.choice(
        [
            Attempt(kind, "GET", base + dice.choice(paths), mine.key),
            Attempt(kind, "POST", f"{base}/verify", mine.key),
            _question(kind, mine.key, other.name, "What is the code of the garage door?", dice),
        ]
    )


def _foreign_change(mine: Tenant, other: Tenant, dice: random.Random) -> Attempt:
    base, kind = f"/stores/{other.name}", "changes of others"
    body = {"name": "diary", "text": f"{mine.mark} was here."}
    return dice.choice(
        [
            Attempt(kind, "POST", f"{base}/sources", mine.key, json=body),
            Attempt(kind, "POST", f"{base}/sources/append", mine.key, json=body),
            Attempt(kind, "POST", f"{base}/files", mine.key, files={"file": ("a.txt", b"here")}),
            Attempt(kind, "DELETE", f"{base}/sources", mine.key, params={"name": "diary"}),
            Attempt(kind, "DELETE", base, mine.key),
            Attempt(kind, "POST", "/stores", mine.key, json={"name": other.name}),
        ]
    )


def _path(mine: Tenant, other: Tenant, dice: random.Random) -> Attempt:
    """Names that may lead elsewhere."""
    steps = ["..", ".", "%2e%2e", "..%2f", "..%5c", "%00", "//", ";", "%252e%252e%252f"]
    name = dice.choice(
        [
            f"{mine.name}/{dice.choice(steps)}/{other.name}",
            f"{mine.name}{dice.choice(steps)}{other.name}",
            f"{other.name}.lmos",
            f"{other.name}{dice.choice(['%20', '.', '%00', '/', '%0a'])}",
            other.name.upper(),
            quote(f"/{dice.choice(['etc/passwd', 'proc/self/environ', 'tmp'])}", safe=""),
            "keys.json",
            *("*", "%2a", "%25"),
        ]
    )
    tail = dice.choice(["", "/text?source=diary", "/sources", "/export"])
    start = dice.choice(["/stores/", "/page/", "/v1/models/", f"/stores/{mine.name}/../"])
    return Attempt("paths", "GET", f"{start}{name}{tail}", mine.key)


def _openai(mine: Tenant, other: Tenant, dice: random.Random) -> Attempt:
    kind, key = "OpenAI's API", mine.key
    question = "What is the code of the garage door?"
    named = dice.choice([{"user": other.name}, {"model": other.name}, {"model": other.mark}])
    header = dice.choice([None, {"X-Lmos-Store": other.name}])
    talk = {"messages": [{"role": "user", "content": question}], "max_tokens": _TOKENS}
    answer = {"input": question, "max_output_tokens": _TOKENS}
    goes_on = {**answer, "previous_response_id": f"resp_{dice.getrandbits(128):032x}"}
    filters = {"type": "eq", "key": "filename", "value": "diary"}
    search = f"/v1/vector_stores/{other.name}/search"
    return dice.choice(
        [
            Attempt(kind, "POST", "/v1/chat/completions", key, {**talk, **named}, headers=header),
            Attempt(kind, "POST", "/v1/responses", key, {**answer, **named}, headers=header),
            Attempt(kind, "POST", "/v1/responses", key, {**goes_on, **named}),
            Attempt(kind, "POST", search, key, {"query": question, "filters": filters}),
            Attempt(kind, "GET", f"/v1/models/{other.name}", key),
            Attempt(kind, "GET", "/v1/models", key),
        ]
    )


def _agent(mine: Tenant, other: Tenant, dice: random.Random) -> Attempt:
    """A call of a tool, or a resource, of another's store."""
    place = f"lmos://{dice.choice([other.name, f'{mine.name}/../{other.name}'])}/diary"
    question, page = "What is the code of the garage door?", f"page of {other.mark}"
    name, arguments = dice.choice(
        [
            ("search", {"query": question, "store": other.name}),
            ("search", {"query": question}),
            ("ask", {"question": question, "store": other.name}),
            ("fetch", {"id": f"{place}#0-40"}),
            ("fetch", {"id": place}),
            ("sources", {"store": other.name}),
            ("remember", {"text": f"{mine.mark} was here.", "store": other.name}),
            ("update", {"source": page, "old": "dog", "new": mine.mark, "store": other.name}),
            ("forget", {"source": page, "store": other.name}),
        ]
    )
    method, params = dice.choice(
        [
            ("tools/call", {"name": name, "arguments": arguments}),
            ("tools/call", {"name": name, "arguments": arguments}),
            ("resources/read", {"uri": place}),
            ("resources/list", {}),
        ]
    )
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return Attempt("agents", "POST", "/mcp", mine.key, body, headers=_AGENT)


def _wrong_key(mine: Tenant, other: Tenant, dice: random.Random) -> Attempt:
    """Another's store with a key that is like its own."""
    _, key_id, secret = other.key.split("-", 2)
    mixed = f"lmos-{key_id}-{mine.key.split('-', 2)[2]}"
    keys = [mixed, other.key[:-1], other.key.swapcase(), f"lmos-{key_id}-", secret, "*", "null"]
    return replace(_foreign_store(mine, other, dice), kind="wrong keys", key=dice.choice(keys))


def _question(kind: str, key: str, store: str, text: str, dice: random.Random) -> Attempt:
    what = dice.choice(["ask", "retrieve"])
    body = {"question": text, **({"max_new_tokens": _TOKENS} if what == "ask" else {})}
    return Attempt(kind, "POST", f"/stores/{store}/{what}", key, body)


def attack(
    url: str,
    tenants: Sequence[Tenant],
    number: int,
    num_clients: int,
    look: Callable[[], None],
    seed: int = 0,
) -> dict[str, Any]:
    """Send so many requests, and look for words of others in the replies.

    Args:
        url: Of the server.
        tenants: All of them.
        number: Of requests.
        num_clients: That send at once.
        look: Called after each reply.
        seed: Of what is sent.

    Returns:
        `requests` and `leaks` by kind; `own`, replies with the asker's own word; `failures`,
        replies of 500 or more; `statuses`.
    """
    owners = {tenant.key: tenant for tenant in tenants}
    counts: dict[str, Counter[Any]] = {name: Counter() for name in ("requests", "leaks", "status")}
    own = failures = 0
    lock = threading.Lock()

    def send(attempt: Attempt) -> None:
        nonlocal own, failures
        headers = {"Authorization": f"Bearer {attempt.key}", **(attempt.headers or {})}
        request = client.build_request(
            attempt.method,
            f"{url}{attempt.path}",
            json=attempt.json,
            params=attempt.params,
            headers=headers,
            files=attempt.files,
        )
        sent = set(_MARK.findall(f"{attempt.path} {attempt.json} {attempt.params}"))
        reply = client.send(request)
        told = set(_MARK.findall(f"{reply.headers} {reply.text}"))
        if reply.content.startswith(b"PK"):
            told.add("an archive")
        mine = owners.get(attempt.key)
        look()
        with lock:
            counts["requests"][attempt.kind] += 1
            counts["leaks"][attempt.kind] += bool(told - sent - {mine.mark if mine else ""})
            counts["status"][reply.status_code] += 1
            own += mine is not None and mine.mark in told
            failures += reply.status_code >= 500

    with (
        httpx.Client(timeout=_SECONDS) as client,
        ThreadPoolExecutor(num_clients) as threads,
    ):
        list(threads.map(send, attempts(tenants, random.Random(seed), number)))
    return {
        "requests": dict(counts["requests"]),
        "leaks": dict(counts["leaks"]),
        "own": own,
        "failures": failures,
        "statuses": dict(sorted(counts["status"].items())),
    }


def changed(folder: Path, tenants: Sequence[Tenant]) -> int:
    """Stores that hold a word of another tenant, or lack what their owner has not taken away."""
    wrong = 0
    for tenant in tenants:
        with SQLiteStore.open(folder / f"{tenant.name}.lmos", read_only=True) as store:
            texts = {each.name: store.text(each.source_id).decode() for each in store.sources()}
        marks = set(_MARK.findall("".join(texts.values())))
        is_whole = all(texts.get(name) == tenant.text for name in tenant.sources)
        wrong += marks != {tenant.mark} or not is_whole
    return wrong


def measure(
    folder: Path,
    model: BaseModel,
    number: int,
    requests: int,
    num_clients: int = 4,
    *,
    opens_all: bool = False,
) -> dict[str, Any]:
    """Make tenants in an empty folder, attack them, and count what leaks and what was changed."""
    tenants = make_tenants(folder, model, number, opens_all=opens_all)
    most_open = 0
    before = _peak_bytes()
    with serving(folder, model, folder / "keys.json") as (url, served):

        def look() -> None:
            nonlocal most_open
            most_open = max(most_open, served.pool.num_open)

        figures = attack(url, tenants, requests, num_clients, look)
    return {
        **figures,
        "changed": changed(folder, tenants) if not opens_all else None,
        "most_open": most_open,
        "grown_bytes": _peak_bytes() - before,
    }


def _peak_bytes() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@click.command("isolation")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Folder or name.")
@click.option("--tenants", default=1000, show_default=True, type=click.IntRange(2))
@click.option("--requests", default=10_000, show_default=True, type=click.IntRange(1))
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Where to write figures."
)
def isolation(model: str, tenants: int, requests: int, json_path: Path | None) -> None:
    """Many tenants who try to read each other's stores; no reply may hold another's word."""
    with tempfile.TemporaryDirectory() as name:
        figures = measure(Path(name), load_model(model), tenants, requests)
    rows = [
        [kind, str(count), str(figures["leaks"][kind])]
        for kind, count in sorted(figures["requests"].items())
    ]
    click.echo(markdown_table(["requests for", "sent", "leaks"], rows))
    click.echo(
        f"\n{requests:,} requests, {sum(figures['leaks'].values())} leaks; "
        f"{figures['own']:,} replies with the asker's own word, {figures['failures']} failures of "
        f"the server, {figures['changed']} stores changed; at most {figures['most_open']} open, "
        f"peak memory grown by {figures['grown_bytes'] / 1e6:,.0f} MB; {figures['statuses']}"
    )
    save_json(json_path, "isolation", model, {"tenants": tenants, "requests": requests}, [figures])

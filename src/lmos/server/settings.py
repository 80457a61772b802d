"""What a server is told when it starts: where the stores lie, and its limits.

Knows values alone. Opens nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lmos.documents.base import Document, Reading
from lmos.documents.files import read_sent
from lmos.errors import ConfigError
from lmos.model.base import BaseModel
from lmos.model.released import DEFAULT_MODEL
from lmos.session import load_model
from lmos.settings import WHEN, require_choice
from lmos.store.keys import Key

LoadModel = Callable[[str, str | None], BaseModel]
"""The name of a model and the folder of its adapter, if it is elsewhere -> the model."""

ReadFile = Callable[[str, bytes, Reading], tuple[list[Document], list[str]]]
"""From a name and bytes to documents and notes; raises `DataError` where it finds no text."""


@dataclass(frozen=True)
class ServerConfig:
    """How a server serves.

    Attributes:
        folder: Holds the stores, each a file `NAME.lmos`.
        keys: File of API keys, as `lmos keys` writes it; without one, everybody who reaches the
            server may do everything.
        default_model: The model of new stores and of embeddings.
        load: Loads a model, once for all stores that are bound to it.
        read_file: From the name and the bytes of a file that is uploaded to the documents in it.
        store_key: Opens the stores that are encrypted, and encrypts new ones; without one, they are
            refused and new ones are not encrypted.
        max_models: Most models in memory; a store of one more is refused.
        max_open: Most stores that are open at once; the one that was used least recently is closed.
        readers: Threads that answer, retrieve and read: questions at once. They share the cores
            and decode together; with more of them, more are answered a second, each more slowly.
        writers: Threads that add and forget.
        max_waiting: Requests that wait for a thread, for each kind of work; more are refused.
        max_waiting_each: Of those, the ones of one store.
        max_body_bytes: Of a request.
        max_answer_tokens: Of an answer.
        receive_seconds: Within which the body of a request must have come.
        answer_seconds: Within which a question must be answered.
        wait_seconds: How long a change waits while another process writes to the store.
        when: Whether a turn of a talk over OpenAI's API is looked up, as `Session.ask` takes it.
        origins: Web pages of these addresses may call the server; none but its own by default.
        hosts: Names by which the server may be called, of its own machine; `None` for any.
    """

    folder: Path
    keys: Path | None = None
    default_model: str = DEFAULT_MODEL
    load: LoadModel = load_model
    read_file: ReadFile = read_sent
    store_key: Key | None = None
    max_models: int = 2
    max_open: int = 64
    readers: int = 8
    writers: int = 1
    max_waiting: int = 64
    max_waiting_each: int = 32
    max_body_bytes: int = 16_000_000
    max_answer_tokens: int = 512
    receive_seconds: float = 60.0
    answer_seconds: float = 120.0
    wait_seconds: float = 30.0
    when: str = WHEN[0]
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise ConfigError(f"expected a folder of stores at {self.folder}; make it first")
        require_choice("when", self.when, *WHEN)
        for name in (
            *("max_models", "max_open", "readers", "writers", "max_waiting", "max_waiting_each"),
            *("max_body_bytes", "max_answer_tokens", "receive_seconds", "answer_seconds"),
        ):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name}: expected more than 0, got {getattr(self, name)}")

"""One writer at a time: a lock that is held as long as somebody may write to a store.

It is a lock of the operating system on a small file beside the store, so it is free again however
its holder ends; a second file says who that is. Knows nothing of SQLite, which has its own lock for
each transaction; that one alone would let two processes build on the same state in turn and lose
one's work.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import filelock

from lmos.errors import StoreLocked

SUFFIX = "-writer"
HOLDER_SUFFIX = "-holder"
_POLL_SECONDS = 0.05
_SILENT_SECONDS = 1.0
_MAX_COMMAND_CHARS = 200


def _tell_nobody(_: str) -> None:
    """Wait in silence."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for another writer.

    Attributes:
        seconds: 0 does not wait.
        tell: Told once, after a second, who is waited for.
    """

    seconds: float = 0.0
    tell: Callable[[str], None] = _tell_nobody


class WriterLock:
    """The right to write to a store, from construction to `release`.

    Args:
        path: The store.
        patience: How long to wait while somebody else has it.
        is_private: Do not tell others how this process was called: names of sources may be in it.

    Raises:
        StoreLocked: Another process has it, or this one has it already; says who, and since when.
        OSError: The folder cannot be written.
    """

    def __init__(
        self, path: Path, patience: Patience | None = None, *, is_private: bool = False
    ) -> None:
        self._path = path.with_name(path.name + SUFFIX)
        self._holder_path = path.with_name(path.name + HOLDER_SUFFIX)
        # Not of one thread: a store may be closed by another than the one that opened it.
        self._lock = filelock.FileLock(self._path, thread_local=False, fallback_to_soft=False)
        self._wait(path, patience or Patience())
        try:
            self._holder_path.write_text(
                _describe_this_process([] if is_private else sys.argv[1:]), encoding="utf-8"
            )
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give the right back. Calling it twice is fine."""
        if not self._lock.is_locked:
            return
        self._holder_path.unlink(missing_ok=True)
        # While it is held: who locks a file that has lost its name meanwhile starts over.
        # Windows keeps the name of an open file; the next writer takes it as it is.
        with suppress(PermissionError):
            self._path.unlink(missing_ok=True)
        self._lock.release()

    def _wait(self, path: Path, patience: Patience) -> None:
        start = time.monotonic()
        has_told = False
        while not self._is_taken():
            waited = time.monotonic() - start
            if waited >= patience.seconds:
                raise StoreLocked(_refusal(path, _read_holder(self._holder_path), patience))
            if waited >= _SILENT_SECONDS and not has_told:
                holder = _read_holder(self._holder_path)
                patience.tell(f"waiting for {holder} to finish writing to {path}")
                has_told = True
            time.sleep(min(_POLL_SECONDS, patience.seconds - waited))

    def _is_taken(self) -> bool:
        """Whether the lock is ours now."""
        try:
            self._lock.acquire(blocking=False)
        except filelock.Timeout:
            return False
        return True


def _describe_this_process(arguments: Sequence[str]) -> str:
    command = shlex.join([_program(), *arguments])
    if len(command) > _MAX_COMMAND_CHARS:
        command = command[: _MAX_COMMAND_CHARS - 1] + "…"
    return json.dumps({"pid": os.getpid(), "command": command, "since": time.time()})


def _program() -> str:
    """What was started: `lmos`, the name of a module or of a script, or `python`."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    module = getattr(spec, "name", "").removesuffix(".__main__")
    name = Path(sys.argv[0]).name if sys.argv else ""
    if module.startswith("lmos"):
        return "lmos"
    return module or name.removeprefix("-c") or "python"


def _read_holder(path: Path) -> str:
    """Who holds the lock, in words; what cannot be read is left out."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        since = datetime.fromtimestamp(values["since"])
        return f"process {values['pid']} ({values['command']}, since {since:%Y-%m-%d %H:%M:%S})"
    except (OSError, ValueError, LookupError, TypeError, OverflowError):
        return "another process"


def _refusal(path: Path, holder: str, patience: Patience) -> str:
    waited = f"; waited {patience.seconds:g} s" if patience.seconds else ""
    return (
        f"{holder} has {path} open for writing{waited}. Nothing was written. Try again when it is "
        "done, or wait longer (--wait SECONDS on the command line)"
    )

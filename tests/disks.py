"""Disks between SQLite and the real one: they remember what was synced, or run out of room."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Self

import apsw

SECTOR_BYTES = 512


@dataclass(frozen=True)
class Event:
    """Something that a disk was told, or a remark of the test.

    Attributes:
        what: `write`, `truncate`, `delete`, `sync` or `remark`.
        file: Name of the file; of a remark, its words.
        offset: Where a write begins, or the new size.
        data: What is written.
    """

    what: str
    file: str
    offset: int = 0
    data: bytes = b""


class Disk(apsw.VFS):
    """Passes everything on to the real disk; `told` hears of every change first.

    Every connection that is made before the end of its `with` block goes through it. What encrypts
    stands above it, so it sees the bytes that come to lie on the disk.
    """

    def __init__(self) -> None:
        self._name = f"disk-{id(self)}"
        super().__init__(self._name, "unix")
        self._ciphers, self._before = f"multipleciphers-{self._name}", apsw.vfs_names()[0]
        # It is made when it is first named.
        apsw.Connection(":memory:", vfs=self._ciphers).close()
        apsw.set_default_vfs(self._ciphers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        apsw.set_default_vfs(self._before)
        apsw.unregister_vfs(self._ciphers)
        self.unregister()

    def told(self, event: Event) -> None:
        """May remember the event, or raise."""

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> _File:
        return _File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.told(Event("delete", Path(filename).name))
        super().xDelete(filename, syncdir)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: apsw.URIFilename | str | None, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._disk, self._file = disk, Path(path or "").name

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.told(Event("write", self._file, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self._disk.told(Event("truncate", self._file, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        self._disk.told(Event("sync", self._file))
        super().xSync(flags)


class RecordingDisk(Disk):
    """Remembers all that it was told, but of temporary files: they have no name to outlive by."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []

    def told(self, event: Event) -> None:
        if event.file:
            self.events.append(event)

    def remark(self, words: str) -> None:
        """Note that something happened outside of the disk."""
        self.events.append(Event("remark", words))


class FailingDisk(Disk):
    """Fails at one event and at all that follow it, until it is mended.

    Args:
        kind: Of the events that count and fail.
        error: What SQLite is told.
    """

    def __init__(self, kind: str, error: type[apsw.Error]) -> None:
        super().__init__()
        self._kind, self._error = kind, error
        self.num_left: int | None = None
        """Events until it fails; `None` when it does not."""

    def told(self, event: Event) -> None:
        if self.num_left is None or event.what != self._kind:
            return
        if self.num_left == 0:
            raise self._error(f"no {event.what} to {event.file}")
        self.num_left -= 1


class PowerCut:
    """What lies on a disk when the power fails somewhere in a list of events.

    A sync makes whole what a file was told before. Of the rest, each change is there or not, and a
    write perhaps in part, whatever the order.

    Args:
        before: Every file before the first event.
        events: What the disk is told.
    """

    def __init__(self, before: dict[str, bytes], events: Sequence[Event]) -> None:
        self._synced = {name: bytearray(content) for name, content in before.items()}
        self._pending: dict[str, list[Event]] = defaultdict(list)
        self._events = events
        self._num_told = 0

    def files_after(self, num_events: int, dice: random.Random) -> dict[str, bytes]:
        """Every file if the power fails after so many events, never fewer than the last time."""
        for event in self._events[self._num_told : num_events]:
            if event.what == "sync":
                for change in self._pending.pop(event.file, []):
                    _apply(self._synced, change)
            elif event.what != "remark":
                self._pending[event.file].append(event)
        self._num_told = num_events
        files = {name: bytearray(content) for name, content in self._synced.items()}
        share = dice.choice([0, 0.5, 0.9, 1])
        for change in chain.from_iterable(self._pending.values()):
            if dice.random() < share:
                _apply(files, _torn(change, dice) if dice.random() < 0.1 else change)
        return {name: bytes(content) for name, content in files.items()}


def _apply(files: dict[str, bytearray], event: Event) -> None:
    if event.what == "delete":
        files.pop(event.file, None)
        return
    content = files.setdefault(event.file, bytearray())
    if event.what == "truncate":
        del content[event.offset :]
    content.extend(bytes(max(event.offset - len(content), 0)))
    content[event.offset : event.offset + len(event.data)] = event.data


def _torn(event: Event, dice: random.Random) -> Event:
    """A write that got as far as some sector."""
    num_kept = dice.randrange(0, len(event.data) + 1, SECTOR_BYTES)
    return replace(event, data=event.data[:num_kept])
